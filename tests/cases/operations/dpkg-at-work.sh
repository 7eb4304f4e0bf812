. "$(dirname "$0")/../library.sh"
environment 1 0 docker
on docker01 'mkdir -p /tmp/b/DEBIAN; printf "Package: slowpkg\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n" >/tmp/b/DEBIAN/control; printf "#!/bin/sh\nsleep 25\n" >/tmp/b/DEBIAN/postinst; chmod 755 /tmp/b/DEBIAN/postinst; dpkg-deb -b /tmp/b /root/slow.deb >/dev/null; setsid apt-get -y install /root/slow.deb >/root/log 2>&1 & sleep 4'
skep check "$DOCKER"
expect "dpkg that is at work (its lock is held) is no interruption and no drift" silent 'interrupted -> repaired'
skep apply -y "$DOCKER"
expect "apply waits for whoever holds dpkg's lock, as documented, and ends well" is "$RC" 0
finish
