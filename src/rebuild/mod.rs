//! The rebuild of a node: skep destroys the machine, creates it again, and brings it back to its
//! place in the swarm. `quorum`, `labels` and `leave` decide over data without I/O; `run` performs
//! the steps. Arguments, questions and output belong to the command line.

mod error;
mod labels;
mod leave;
mod quorum;
mod run;

pub use error::RebuildError;
pub use labels::{LabelPlan, accept_lost_cluster, data_directories, plan_labels};
pub use leave::leave_lost_swarm;
pub use quorum::{QuorumFacts, SwarmFate, check_quorum};
pub use run::{RebuildOutcome, RebuildSession, rebuild};

/// Consent of the operator to the losses that a rebuild may cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RebuildConsent {
    /// The managers may lose their majority.
    pub force: bool,
    /// The swarm may be lost with its only manager; a new swarm is started.
    pub new_cluster: bool,
    /// The data directories of the new machine are meant to be empty.
    pub data_empty: bool,
}
