//! A network cut: every packet of a node is dropped without a signal, in both directions, as with
//! an unplugged cable.
//! The node's address stays, connections hang instead of being refused, and a restart of the node
//! ends the cut.

use super::docker::{docker_finish, shell_in};
use super::error::LabError;

/// If the kernel cannot drop packets in this table, the script sets the interface down instead.
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

/// Cuts the network of a running node.
pub(crate) fn cut(container: &str) -> Result<(), LabError> {
    shell_in(container, CUT, 30).map(drop)
}

/// Restores the network of a running node; no effect on a node that is not cut.
pub(crate) fn heal(container: &str) -> Result<(), LabError> {
    shell_in(container, HEAL, 30).map(drop)
}

/// Returns true if the network of a running node is cut.
pub(crate) fn is_cut(container: &str) -> Result<bool, LabError> {
    docker_finish(30, ["exec", container, "sh", "-c", IS_CUT]).map(|finished| finished.success)
}
