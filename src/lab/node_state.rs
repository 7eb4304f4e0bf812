//! The states of a node, of both sorts: container and virtual machine.

/// State of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// The node runs and has its network.
    Running,
    /// The node runs without its network.
    Cut,
    /// The node is stopped.
    Stopped,
    /// The node's container or disk does not exist.
    Missing,
}
