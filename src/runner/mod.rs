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

pub use apply::{Approve, RunOptions, apply};
pub use event::{Event, Events};
pub use fan_out::{TaskPanic, fan_out};
pub use fleet::{Connector, Fleet, Round};
pub use forecast::{Forecast, forecast};
pub use guard::{Engines, Guard};
pub use host::Host;
pub use look::look;
pub use lookout::{Keepsake, Lookout, Memory};
pub use outcome::{Cause, HostOutcome, Outcome, ResourceOutcome, RunSummary};
