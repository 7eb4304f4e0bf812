//! Failure drills: machines are stopped on purpose, and the reaction of the swarm is compared with
//! the expectations. `scenario` chooses the machines and the expectations, and `results` compares;
//! both are pure. `watch` reads the swarm, and `run` performs the steps in order. Arguments and
//! output belong to the command line.

mod results;
mod run;
mod scenario;
mod watch;

pub use results::{DrillMeasurement, DrillResult, drill_results};
pub use run::{DrillError, DrillReport, DrillRequest, DrillSession, run_drill};
pub use scenario::{DrillNode, DrillPlan, Scenario, plan_drill};
pub use watch::{RecoveryTimes, SwarmSample, SwarmWatch, published_port, sample, watch};
