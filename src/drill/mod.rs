//! Failure drills: what should happen when machines are lost, and whether it did. `scenario` says who is lost and what should
//! hold, pure; `watch` looks at the swarm meanwhile, `probe` sends requests to a published port; `verdict` compares.

mod probe;
mod scenario;
mod verdict;
mod watch;

pub use probe::{Prober, Tally};
pub use scenario::{Cast, Member, Scenario, cast};
pub use verdict::{Measured, Row, rows};
pub use watch::{Sample, Watched, published_port, sample, watch};
