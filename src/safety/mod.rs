//! Refuses changes that would harm the cluster, and checks the cluster as a whole: the swarm's part
//! in the runner. The rules themselves are pure and live in `swarm`.

mod cluster_check;
mod guard;
mod tokens;

pub use cluster_check::{ExpectedMember, SwarmCheck, SwarmSnapshot};
pub use guard::SwarmGuard;
