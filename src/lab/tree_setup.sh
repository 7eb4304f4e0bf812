# Runs once inside the new tree of a skep lab node.
set -eu

useradd --create-home --shell /bin/bash vagrant
echo 'vagrant ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/vagrant
chmod 0440 /etc/sudoers.d/vagrant

# Each node gets its identity at its first start.
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id
: >/etc/machine-id

# Packages come from the mirror of the lab environment; no source of the building machine is kept.
rm -f /etc/apt/sources.list /etc/apt/sources.list.d/*
rm -rf /var/lib/apt/lists/*
mkdir -p /etc/apt/keyrings

# A node has no console and no hardware, and the clock belongs to the machine below.
for unit in console-getty.service getty@tty1.service getty.target systemd-timesyncd.service \
    systemd-udevd.service systemd-udev-trigger.service systemd-firstboot.service \
    apt-daily.timer apt-daily-upgrade.timer sys-kernel-debug.mount sys-kernel-tracing.mount; do
    ln -sf /dev/null "/etc/systemd/system/$unit"
done
systemctl enable ssh.service >/dev/null 2>&1 || true

# The settings of packages are not the node's own: a container must not change the machine below.
for settings in /usr/lib/sysctl.d/*.conf; do
    [ -e "$settings" ] || continue
    ln -sf /dev/null "/etc/sysctl.d/${settings##*/}"
done
