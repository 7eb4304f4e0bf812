//! A run that only looks: `plan` and `check`. It is the plan_run and its summary; what performs steps is not within its
//! reach (see `runner::apply::permit`).

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::outcome::RunSummary;
use super::{ClusterCheck, Fleet};
use crate::playbook::ResolvedPlaybook;
use crate::runner::run_plan::plan_run;

/// Looks at every host of the playbook, `forks` at once, and with a cluster_check at the whole. Always returns a
/// whole summary; a failing host is data. The connections stay open: whoever made the fleet closes it.
pub async fn run_read_only(
    fleet: &Arc<Fleet>,
    work: &Arc<ResolvedPlaybook>,
    forks: usize,
    cluster_check: Option<Arc<dyn ClusterCheck>>,
    stop: &CancellationToken,
) -> RunSummary {
    let started = Instant::now();
    let found = plan_run(
        fleet,
        work,
        work.hosts(),
        forks,
        cluster_check.as_ref(),
        None,
        stop,
    )
    .await;
    let interrupted = found.interrupted;
    let findings = match cluster_check.filter(|_| !interrupted) {
        Some(cluster_check) => cluster_check.findings(fleet.as_ref(), &found).await,
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
