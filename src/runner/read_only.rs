//! A run that only looks: `plan` and `check`. It is the forecast and its summary; what performs steps is not within its
//! reach (see `runner::apply::permit`).

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::outcome::RunSummary;
use super::{ClusterCheck, Fleet};
use crate::playbook::ResolvedPlaybook;
use crate::runner::run_plan::forecast;

/// Looks at every host of the playbook, `forks` at once, and with a lookout at the whole. Always returns a
/// whole summary; a failing host is data. The connections stay open: whoever made the fleet closes it.
pub async fn look(
    fleet: &Arc<Fleet>,
    work: &Arc<ResolvedPlaybook>,
    forks: usize,
    lookout: Option<Arc<dyn ClusterCheck>>,
    stop: &CancellationToken,
) -> RunSummary {
    let started = Instant::now();
    let found = forecast(
        fleet,
        work,
        work.hosts(),
        forks,
        lookout.as_ref(),
        None,
        stop,
    )
    .await;
    let interrupted = found.interrupted;
    let findings = match lookout.filter(|_| !interrupted) {
        Some(lookout) => lookout.findings(fleet.as_ref(), &found).await,
        None => Vec::new(),
    };
    let mut hosts = found.into_outcomes();
    for (host, outcome) in findings {
        hosts.entry(host).or_default().resources.push(outcome);
    }
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let summary = RunSummary {
        hosts,
        interrupted,
        millis,
    };
    fleet
        .events()
        .send(Event::RunFinished {
            summary: summary.clone(),
        })
        .await;
    summary
}
