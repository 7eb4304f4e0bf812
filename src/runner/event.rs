//! The messages of a run, as one bounded stream of events to one reporter.

use serde::Serialize;
use tokio::sync::mpsc;

use super::outcome::{ChangeView, Problem, ResourceOutcome, RunSummary};
use crate::names::HostName;

/// Version of the events' form in `--json`; it increases when a field changes its meaning or is
/// removed.
pub const EVENT_SCHEMA: u32 = 1;

/// Maximum number of queued events; a slow terminal slows the run down instead of using more
/// memory.
const QUEUE: usize = 1024;

/// Event of a run.
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
    /// The connection is established. `new_host_key` is the SHA256 fingerprint of the host's key,
    /// if this run has learned the key.
    Connected {
        host: HostName,
        millis: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        new_host_key: Option<String>,
    },
    /// The connection could not be made, or was lost.
    Unreachable {
        host: HostName,
        #[serde(flatten)]
        trouble: Problem,
    },
    /// The work on the host failed as a whole: the host's task panicked, or another run of `apply`
    /// works on it.
    HostFailed {
        host: HostName,
        #[serde(flatten)]
        trouble: Problem,
    },
    /// The queries of a host are being answered.
    Gathering { host: HostName },
    /// Every resource of a host was compared with the host.
    Planned {
        host: HostName,
        resources: Vec<ResourceOutcome>,
    },
    /// A play begins on its hosts.
    PlayStarted { play: String, hosts: Vec<HostName> },
    /// A host waits, e.g. for its turn to restart the Engine.
    Waiting { host: HostName, why: String },
    /// The progress of a stack's service has changed.
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
    /// A step succeeded.
    StepFinished {
        host: HostName,
        resource: String,
        step: String,
        millis: u64,
    },
    /// The work on a resource is complete.
    ResourceFinished {
        host: HostName,
        #[serde(flatten)]
        result: ResourceOutcome,
    },
    /// A note for people.
    Note {
        host: Option<HostName>,
        text: String,
    },
    /// The work on a host is complete in this phase.
    HostFinished { host: HostName },
    /// The run is over.
    RunFinished { summary: RunSummary },
}

/// Sending end of the stream.
#[derive(Clone)]
pub struct EventSender(Option<mpsc::Sender<Event>>);

impl EventSender {
    /// Returns a sender and the receiving end.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<Event>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(Some(sender)), receiver)
    }

    /// Returns a sender whose events are discarded.
    #[must_use]
    pub fn silent() -> Self {
        Self(None)
    }

    /// Sends an event; if the reporter is gone (a closed pipe), the event is dropped and the run
    /// continues.
    pub async fn send(&self, event: Event) {
        if let Some(sender) = &self.0 {
            let _ = sender.send(event).await;
        }
    }
}
