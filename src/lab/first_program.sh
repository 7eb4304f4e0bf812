#!/bin/sh
# First program of a skep lab node. Ends by becoming systemd.
set -u

# systemd needs one unified cgroup tree of its own. If the machine still mounts the old controllers,
# systemd would prune the cgroups that Docker creates inside the node.
cut -d ' ' -f 2 /proc/mounts | grep '^/sys/fs/cgroup' | sort -r | while read -r mounted; do
    umount "$mounted"
done
mount -t cgroup2 cgroup2 /sys/fs/cgroup || echo "skep: cannot mount cgroup2" >&2

# Docker inside the node needs mounts that propagate, as on a machine.
mount --make-rshared /

# Docker binds these files from outside; on a machine they are ordinary files, which a rename can
# replace.
for file in hosts hostname resolv.conf; do
    cp "/etc/$file" "/run/$file" && umount "/etc/$file" || continue
    [ -s "/etc/$file" ] || cp "/run/$file" "/etc/$file"
done

# Identity that two nodes must not share.
[ -s /etc/machine-id ] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
# An RSA key, as `ssh-keygen -A` would make it too, takes half a second of a processor.
for type in ecdsa ed25519; do
    [ -s "/etc/ssh/ssh_host_${type}_key" ] || ssh-keygen -q -t "$type" -N '' -f "/etc/ssh/ssh_host_${type}_key"
done

exec /lib/systemd/systemd
