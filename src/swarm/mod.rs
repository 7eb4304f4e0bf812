//! The cluster's own rules, pure over what Engines said: who is a member of what (`membership`), what may be taken
//! away (`quorum`), what a person should see (`overview`, `drift`). Only `guard` and `lookout` read Engines, through the engine's trait.

mod addresses;
mod certificate;
mod drift;
mod guard;
mod info;
mod lookout;
mod membership;
mod node;
mod objects;
pub mod overview;
mod quorum;
#[cfg(test)]
pub mod samples;
mod sight;
mod tokens;

pub use addresses::{Addresses, SWARM_PORT, host_part, port_of, with_port};
pub use certificate::Validity;
pub use guard::SwarmGuard;
pub use info::{Info, RemoteManager};
pub use lookout::{SwarmLookout, SwarmSeen, Wanted};
pub use membership::{LiveSwarm, Membership, Obstacle, Standing, settled, standing};
pub use node::{ManagerStatus, Node, Role};
pub use objects::{Objects, Reading, read_from};
pub use quorum::{Allowed, Loss, Voters, may_lose};
pub use sight::{EngineView, Look, Sight};
