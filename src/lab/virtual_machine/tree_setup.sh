# Run inside the new tree of a virtual machine, behind the setup of nodes that are containers.
set -eu

# Here is hardware, and a kernel of its own.
for unit in systemd-udevd.service systemd-udev-trigger.service sys-kernel-debug.mount sys-kernel-tracing.mount; do
    rm -f "/etc/systemd/system/$unit"
done
find /etc/sysctl.d -type l -lname /dev/null -delete
rm -f /usr/local/sbin/skep-lab-first-program

# Which machine this is: the second disk is a script that says so.
cat >/etc/systemd/system/skep-lab-identity.service <<'END'
[Unit]
Description=What makes this machine one of its skep lab
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
# QEMU is given the kernel and its RAM disk; nobody waits ten minutes for a package's hook that makes another one.
echo 'update_initramfs=no' >/etc/initramfs-tools/update-initramfs.conf

# Done while building: an emulated processor would take a minute of the first boot for it.
journalctl --update-catalog
ldconfig

systemctl enable skep-lab-identity.service systemd-networkd.service >/dev/null 2>&1

touch /usr
touch /etc/.updated /var/.updated
