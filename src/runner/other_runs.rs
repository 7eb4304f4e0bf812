//! Other runs of `apply` on the hosts of a forecast: a forecast beside such a run would show states
//! that the run is about to change. The first gather of a host shows them, at no further exec.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::event::Event;
use super::gather::gather;
use super::{ConnectedHost, Fleet, ReadCache};
use crate::model::{HostAnswers, Query, ShellQuery};
use crate::transport::TransportError;

/// Time between two readings of a lock.
const PAUSE: Duration = Duration::from_secs(1);

/// Treatment of a host on which another run of `apply` works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherRuns {
    /// The host is planned all the same: this run has its lock.
    Ignored,
    /// The host is planned, with a note.
    Noted,
    /// The host is planned once the other run has ended; after this time, the host fails.
    AwaitedFor(Duration),
}

impl OtherRuns {
    /// Returns the query for the first gather of a host.
    pub(super) fn query(self) -> Option<Query> {
        (self != Self::Ignored).then_some(Query::Shell(ShellQuery::OtherRun))
    }
}

/// Returns the lock of another run, as the error that a run without patience would get.
pub(super) fn other_run(answers: &HostAnswers) -> Option<TransportError> {
    // Without an answer, the run finds out when it takes the lock.
    TransportError::of_lock(answers.other_run().ok()?)
}

/// Waits until no other run works on the host.
///
/// # Errors
/// [`TransportError::Locked`] or [`TransportError::StepRuns`] after the time limit; other variants
/// when the host cannot be read.
pub(super) async fn wait_for_other_run(
    fleet: &Fleet,
    host: &ConnectedHost,
    mut other: TransportError,
    until: Instant,
) -> Result<(), TransportError> {
    if Instant::now() < until {
        let event = Event::Waiting {
            host: host.name().clone(),
            why: other.to_string(),
        };
        fleet.events().send(event).await;
    }
    while Instant::now() < until {
        tokio::time::sleep(PAUSE).await;
        match read_other_run(fleet, host).await? {
            Some(still) => other = still,
            None => return Ok(()),
        }
    }
    Err(other)
}

/// Reads whether another run works on the host now.
///
/// # Errors
/// [`TransportError`] when the host cannot be read.
pub(super) async fn read_other_run(
    fleet: &Fleet,
    host: &ConnectedHost,
) -> Result<Option<TransportError>, TransportError> {
    let query = BTreeSet::from([Query::Shell(ShellQuery::OtherRun)]);
    let answers = gather(fleet, &ReadCache::default(), host, &query).await?;
    Ok(other_run(&answers))
}
