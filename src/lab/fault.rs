//! A node without its network: every packet is dropped in silence, in and out, as by a pulled cable.
//! The address stays, connections hang instead of being refused, and nothing of it survives a restart.

use super::docker::{docker_finish, shell_in};
use super::error::LabError;

/// Where a kernel cannot drop packets in this table, the interface goes down instead.
const CUT: &str = "
drop() { iptables -w -t mangle -C \"$@\" -j DROP 2>/dev/null || iptables -w -t mangle -I \"$@\" -j DROP; }
drop PREROUTING -i eth0 && drop POSTROUTING -o eth0 || ip link set eth0 down
";

const HEAL: &str = "
ip link set eth0 up
for way in 'PREROUTING -i' 'POSTROUTING -o'; do
    while iptables -w -t mangle -D $way eth0 -j DROP 2>/dev/null; do :; done
done
";

const IS_CUT: &str = "
iptables -w -t mangle -C PREROUTING -i eth0 -j DROP 2>/dev/null && exit 0
! ip link show eth0 | grep -q '[<,]UP[,>]'
";

/// Takes the network away from a running node.
pub(crate) fn cut(container: &str) -> Result<(), LabError> {
    shell_in(container, CUT, 30).map(drop)
}

/// Gives it back; a node that has it stays as it is.
pub(crate) fn heal(container: &str) -> Result<(), LabError> {
    shell_in(container, HEAL, 30).map(drop)
}

/// Whether a running node is cut off.
pub(crate) fn is_cut(container: &str) -> Result<bool, LabError> {
    docker_finish(30, ["exec", container, "sh", "-c", IS_CUT]).map(|finished| finished.success)
}
