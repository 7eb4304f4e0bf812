//! Declarations of resources that concern the cluster as a whole: the expected members of the
//! swarm, and the treatment of data that a lost machine or a lost cluster left behind.

/// The playbook's declarations for a host that should be a member of the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedMember {
    /// True if the playbook declares the availability of the node.
    pub says_availability: bool,
    /// True if the node may be a manager.
    pub may_manage: bool,
}

/// A version that the playbook wants for a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinnedVersion {
    /// Name of the package.
    pub package: String,
    /// Version, or a pattern such as `28.*`.
    pub version: String,
}

/// Data that a resource refuses unless the operator has declared the loss of its former owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ForeignData {
    /// Empty directories become the volumes, regardless of the node that had the volumes before.
    EmptyDirectories,
    /// The former cluster is lost: a new one may start, and volumes that the former one has marked
    /// become its volumes.
    FormerCluster,
}
