//! Refuses what would harm the cluster, and checks the cluster as a whole: the swarm's part in the run
//! loop. The rules themselves are pure and live in `swarm`.

mod guard;
mod lookout;
mod tokens;

pub use guard::SwarmGuard;
pub use lookout::{ExpectedMember, SwarmCheck, SwarmSnapshot};
