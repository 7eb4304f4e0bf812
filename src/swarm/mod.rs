//! The cluster's own rules, pure over what Docker Engines answered: who is a member of what
//! (`membership`), what may be taken away (`quorum`), what a person should see (`overview`, `drift`).
//! Nothing here reads a host.

mod addresses;
mod certificate;
mod drift;
mod info;
mod membership;
mod node;
mod objects;
pub mod overview;
mod quorum;
#[cfg(test)]
pub mod samples;
mod view;

pub use addresses::{ManagerAddresses, SWARM_PORT, host_part, port_of, with_port};
pub use certificate::CertificateValidity;
pub use drift::{MemberObservation, cluster_drift, mends};
pub use info::{DockerInfo, RemoteManager};
pub use membership::{
    LiveSwarm, Membership, MembershipError, MembershipStatus, resolve_membership, try_resolve,
};
pub use node::{ManagerStatus, NodeRole, SwarmNode};
pub use objects::{ObjectsReading, SwarmObjects, read_from};
pub use quorum::{AllowedLoss, VoterLoss, Voters, may_lose};
pub(crate) use view::error_text;
pub use view::{DockerStatus, SwarmReading, SwarmView};
