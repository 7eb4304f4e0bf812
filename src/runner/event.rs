//! All that a run says, as one bounded stream of events to one reporter.

use serde::Serialize;
use tokio::sync::mpsc;

use super::outcome::{ChangeView, Problem, ResourceOutcome, RunSummary};
use crate::names::HostName;

/// Version of the events' form in `--json`; it grows when a field changes its meaning or goes away.
pub const EVENT_SCHEMA: u32 = 1;

/// Events that wait for the reporter at the most; a slow terminal slows the run, it never eats memory.
const QUEUE: usize = 1024;

/// Something that happened.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[expect(
    missing_docs,
    reason = "the fields are named as in the glossary of docs/architecture.md"
)]
pub enum Event {
    /// A run begins.
    RunStarted {
        verb: &'static str,
        hosts: Vec<HostName>,
    },
    /// A connection is being made.
    Connecting { host: HostName },
    /// It stands.
    Connected { host: HostName, millis: u64 },
    /// It could not be made, or was lost.
    Unreachable {
        host: HostName,
        #[serde(flatten)]
        trouble: Problem,
    },
    /// skep itself failed on the host: a task of it panicked.
    HostFailed {
        host: HostName,
        #[serde(flatten)]
        trouble: Problem,
    },
    /// A host's questions are being answered.
    Gathering { host: HostName },
    /// All of a host's resources were compared with the host.
    Planned {
        host: HostName,
        resources: Vec<ResourceOutcome>,
    },
    /// A play begins on its hosts.
    PlayStarted { play: String, hosts: Vec<HostName> },
    /// A host waits, e.g. for its turn to restart the Engine.
    Waiting { host: HostName, why: String },
    /// A service of a stack comes closer to what it should be, or further from it.
    Converging {
        host: HostName,
        service: String,
        running: u64,
        desired: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    },
    /// A change begins.
    ChangeStarted {
        host: HostName,
        resource: String,
        change: ChangeView,
    },
    /// A change differs from the forecast.
    ForecastDiffers {
        host: HostName,
        resource: String,
        how: String,
    },
    /// A step begins.
    StepStarted {
        host: HostName,
        resource: String,
        step: String,
    },
    /// A step ended well.
    StepFinished {
        host: HostName,
        resource: String,
        step: String,
        millis: u64,
    },
    /// A resource is done with.
    ResourceFinished {
        host: HostName,
        #[serde(flatten)]
        result: ResourceOutcome,
    },
    /// A remark for people.
    Note {
        host: Option<HostName>,
        text: String,
    },
    /// A host is done with in this phase.
    HostFinished { host: HostName },
    /// The run is over.
    RunFinished { summary: RunSummary },
}

/// The sending end.
#[derive(Clone)]
pub struct EventSender(Option<mpsc::Sender<Event>>);

impl EventSender {
    /// A stream and its receiving end.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(Some(sender)), receiver)
    }

    /// A stream that nobody reads.
    #[must_use]
    pub fn silent() -> Self {
        Self(None)
    }

    /// Sends an event; when the reporter is gone (a closed pipe) it is dropped and the run goes on.
    pub async fn send(&self, event: Event) {
        if let Some(sender) = &self.0 {
            let _ = sender.send(event).await;
        }
    }
}
