# Runs inside the new tree of a virtual machine, after the setup of container nodes.
set -eu

# A virtual machine has hardware, and a kernel of its own.
for unit in systemd-udevd.service systemd-udev-trigger.service sys-kernel-debug.mount sys-kernel-tracing.mount; do
    rm -f "/etc/systemd/system/$unit"
done
find /etc/sysctl.d -type l -lname /dev/null -delete
rm -f /usr/local/sbin/skep-lab-first-program

# Identity of the machine: the second disk is a script that sets it.
cat >/etc/systemd/system/skep-lab-identity.service <<'END'
[Unit]
Description=Identity of this machine in its skep lab
DefaultDependencies=no
RequiresMountsFor=/etc /home /root
After=systemd-remount-fs.service
Before=sysinit.target network-pre.target systemd-networkd.service
Wants=network-pre.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -eu /dev/vdb
StandardOutput=journal+console
StandardError=journal+console

[Install]
WantedBy=sysinit.target
END
# QEMU gets the kernel and its RAM disk from outside, so a package's hook must not spend ten minutes
# on another RAM disk.
echo 'update_initramfs=no' >/etc/initramfs-tools/update-initramfs.conf

# Done at build time, because an emulated processor would need a minute of the first boot for it.
journalctl --update-catalog
ldconfig

systemctl enable skep-lab-identity.service systemd-networkd.service >/dev/null 2>&1

touch /usr
touch /etc/.updated /var/.updated
