//! Failure drills: what should happen when machines are lost, and whether it did. `scenario` says who is lost and what should
//! hold, pure; `watch` looks at the swarm meanwhile, `probe` sends requests to a published port; `verdict` compares.

mod probe;
mod results;
mod scenario;
mod watch;

pub use probe::{PortProber, RequestStats};
pub use results::{DrillMeasurement, DrillResult, drill_results};
pub use scenario::{DrillNode, DrillPlan, Scenario, plan_drill};
pub use watch::{RecoveryTimes, SwarmSample, published_port, sample, watch};
