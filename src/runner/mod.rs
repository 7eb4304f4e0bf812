//! The runner: connect, gather, plan, guard, apply, verify. It performs all I/O for the kinds and
//! knows no kind by name; it reports to people only through events.

mod applied_record;
pub mod apply;
mod cluster_check;
mod disruption_notes;
pub mod event;
mod examine;
mod fallback;
pub mod fan_out;
mod fleet;
pub mod gather;
mod guard;
mod host;
mod host_plan;
mod missing_engine;
mod node_drain;
mod open_directory;
mod other_runs;
pub mod outcome;
mod poll_pause;
mod read_only;
mod run_plan;

pub use apply::{
    LeaseError, LeaseOutcome, LeaseOwner, PlanApproval, RunOptions, SwarmLease, apply,
    boot_identity, force_new_cluster, leave_swarm, proven_unlock_key, read_raft_archive,
    read_unlock_key, refresh_package_lists, remove_node, restart_machine, take_swarm_lease,
    unlock_manager, update_node, update_service, update_swarm, write_raft_archive,
};
pub use cluster_check::{Baseline, BaselineEntry, ClusterCheck};
pub use disruption_notes::DisruptionNotes;
pub use event::{Event, EventSender};
pub use fan_out::{TaskPanic, fan_out};
pub use fleet::{Connector, Fleet, ReadCache};
pub use guard::{DisruptionForecast, DisruptionGuard, DockerReader};
pub use host::ConnectedHost;
pub use node_drain::{DrainedNode, NodeDrain, ProgressNotes};
pub use other_runs::OtherRuns;
pub use outcome::{DriftCause, HostOutcome, Outcome, ResourceOutcome, RunSummary};
pub use read_only::run_read_only;
pub use run_plan::{PlanOptions, RunPlan, plan_run};
