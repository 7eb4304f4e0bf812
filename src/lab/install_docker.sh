# Installs Docker inside the bare node image, from the mirror at /mirror. Nothing is started, and
# nothing that two nodes must not share is left behind.
# Arguments: Debian release, distribution and release of the stand-in for Docker's repository.
set -eu
suite=$1 distribution=$2 release=$3
sources=/etc/apt/sources.list.d/build.list
{
    printf 'deb [trusted=yes] file:/mirror/debian %s main\n' "$suite"
    printf 'deb [trusted=yes] file:/mirror/docker/linux/%s %s stable\n' "$distribution" "$release"
} >"$sources"
# Package scripts must not start a service: there is no systemd while the image is built.
printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 0755 /usr/sbin/policy-rc.d
export DEBIAN_FRONTEND=noninteractive
apt-get --quiet=2 update
apt-get --quiet=2 install --yes --no-install-recommends \
    docker-ce docker-ce-cli containerd.io docker-buildx-plugin docker-compose-plugin
rm -rf "$sources" /usr/sbin/policy-rc.d /var/lib/apt/lists/* /var/cache/apt/*.bin /var/cache/apt/archives/*.deb
