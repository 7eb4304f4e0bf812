//! How the work is done: connect, gather, plan, guard, apply, verify. The engine performs all I/O for the kinds and knows
//! none of them by name; it speaks to people only through events.

pub mod apply;
pub mod event;
mod examine;
pub mod fan_out;
mod fleet;
mod forecast;
pub mod gather;
mod guard;
mod host;
mod look;
mod lookout;
pub mod outcome;
mod record;
mod standby;

pub use apply::{PlanApproval, RunOptions, apply};
pub use event::{Event, EventSender};
pub use fan_out::{TaskPanic, fan_out};
pub use fleet::{Connector, Fleet, ReadCache};
pub use forecast::{RunPlan, forecast};
pub use guard::{DisruptionGuard, DockerReader};
pub use host::ConnectedHost;
pub use look::look;
pub use lookout::{Baseline, BaselineEntry, ClusterCheck};
pub use outcome::{DriftCause, HostOutcome, Outcome, ResourceOutcome, RunSummary};
