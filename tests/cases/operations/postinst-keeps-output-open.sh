. "$(dirname "$0")/../library.sh"
environment 1 0 bare
# A package's script starts a daemon that keeps its standard output.
on docker01 'mkdir -p /tmp/b/DEBIAN; printf "Package: daemonthing\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n" >/tmp/b/DEBIAN/control; printf "#!/bin/sh\nsleep 300 &\n" >/tmp/b/DEBIAN/postinst; chmod 755 /tmp/b/DEBIAN/postinst; mkdir /srv/repo; dpkg-deb -b /tmp/b /srv/repo/daemonthing.deb; cd /srv/repo; printf "Package: daemonthing\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\nFilename: ./daemonthing.deb\nSize: %s\nSHA256: %s\nDescription: x\n" "$(stat -c %s daemonthing.deb)" "$(sha256sum daemonthing.deb | cut -d" " -f1)" >Packages; echo "deb [trusted=yes] file:/srv/repo ./" >/etc/apt/sources.list.d/repo.list; apt-get update' >/dev/null 2>&1
LIMIT=120 skep apply -y "$(playbook daemon '{ package = { name = "daemonthing" } },')"
expect "the step ends with apt, not with the daemon" is "$RC" 0
expect "it does not wait for the daemon ($SECS s)" below "$SECS" 100
skep apply -y "$(playbook again '{ package = { name = "tree" } },')"
expect "the daemon does not hold the host's lock" is "$RC" 0
finish
