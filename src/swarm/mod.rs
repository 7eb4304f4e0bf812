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
mod sight;

pub use addresses::{Addresses, SWARM_PORT, host_part, port_of, with_port};
pub use certificate::Validity;
pub use drift::{Sighting, cluster_drift, mends};
pub use info::{Info, RemoteManager};
pub use membership::{LiveSwarm, Membership, Obstacle, Standing, settled, standing};
pub use node::{ManagerStatus, Node, Role};
pub use objects::{Objects, Reading, read_from};
pub use quorum::{Allowed, Loss, Voters, may_lose};
pub(crate) use sight::error_text;
pub use sight::{EngineView, Look, Sight};
