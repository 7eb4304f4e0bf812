//! Recovery of a swarm that has lost the majority of its managers: proves the loss, chooses the
//! manager that knows most, and starts the swarm anew with what it knows. The other managers join
//! again by themselves, as the same nodes.

mod recover;
mod survivors;

pub use recover::{RecoveryOptions, RecoveryOutcome, plan_recovery, recover};
pub use survivors::{LostManager, RecoveryPlan, SurvivingManager};
