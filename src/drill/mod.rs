//! Failure drills: the expected effect of a loss of machines, and the measured effect. `scenario`
//! chooses the machines and states the expectations, without I/O; `watch` samples the swarm
//! meanwhile; `probe` sends requests to a published port; `results` compares.

mod probe;
mod results;
mod scenario;
mod watch;

pub use probe::{PortProber, RequestStats};
pub use results::{DrillMeasurement, DrillResult, drill_results};
pub use scenario::{DrillNode, DrillPlan, Scenario, plan_drill};
pub use watch::{RecoveryTimes, SwarmSample, published_port, sample, watch};
