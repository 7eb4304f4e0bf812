//! The cluster's own rules, pure over the answers of Docker Engines: membership of hosts
//! (`membership`), removal of managers (`quorum`), reports for a person (`overview`, `drift`). No
//! code here reads a host.

mod addresses;
mod certificate;
mod drift;
mod engine_facts;
mod identity;
mod info;
mod membership;
mod node;
mod objects;
mod other_swarm;
pub mod overview;
mod quorum;
#[cfg(test)]
pub mod samples;
mod view;

pub use addresses::{
    HostAddresses, ManagerAddresses, SWARM_PORT, comparable, host_part, port_of, with_port,
};
pub use certificate::{CertificateValidity, certificate_role};
pub use drift::{ClusterDrift, MemberObservation, cluster_drift};
pub use engine_facts::{EngineFacts, EngineVersion, FactVerdict, RequiredConsent, upstream};
pub use identity::NodeClaim;
pub use info::{DockerInfo, RemoteManager};
pub use membership::{
    LiveSwarm, Membership, MembershipError, MembershipObservation, MembershipStatus,
    observe_membership, resolve_membership,
};
pub use node::{ManagerStatus, NodeRole, SwarmNode};
pub use objects::{SwarmObjects, read_from};
pub use quorum::{AllowedLoss, STAYS_LOCKED, VoterLoss, Voters, may_lose};
pub use view::{DockerStatus, SwarmView};
