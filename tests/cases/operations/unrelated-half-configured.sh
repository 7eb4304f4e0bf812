. "$(dirname "$0")/../library.sh"
environment 1 0
on docker01 'mkdir -p /tmp/b/DEBIAN; printf "Package: bootthing\nVersion: 1.0\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: x\n" >/tmp/b/DEBIAN/control; printf "#!/bin/sh\nexit 1\n" >/tmp/b/DEBIAN/postinst; chmod 755 /tmp/b/DEBIAN/postinst; dpkg-deb -b /tmp/b /root/g.deb; dpkg -i /root/g.deb' >/dev/null 2>&1
printf 'include = ["docker.toml", "swarm.toml"]\n[[plays]]\nhosts = "all"\nresources = [{ node_labels = { a = "b" } }]\n' >"$CLUSTER"
skep apply -y "$CLUSTER"
expect "Docker's packages are as asked: another package's failure is told, and does not stop the label" is "$(on docker01 'docker node inspect self --format {{.Spec.Labels.a}}')" b
finish
