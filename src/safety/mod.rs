//! Refuses changes that would harm the cluster, and checks the cluster as a whole: the swarm's part
//! in the runner. The rules themselves are pure and live in `swarm`.

mod autolock;
mod cluster_check;
mod cluster_status;
mod expected_members;
mod guard;
mod host_upkeep;
#[cfg(test)]
pub(crate) mod samples;
mod tokens;

pub use autolock::AutolockForecast;
pub use cluster_check::{SwarmCheck, SwarmSnapshot};
pub use cluster_status::{ClusterStatus, members, read_cluster, read_infos};
pub use expected_members::expected_members;
pub use guard::SwarmGuard;
