//! A read-only run: `plan` and `check`. It consists of `plan_run` and the summary; it cannot reach
//! the code that performs steps (see `runner::apply::permit`).

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::outcome::RunSummary;
use super::{ClusterCheck, DisruptionNotes, Fleet, OtherRuns};
use crate::playbook::ResolvedPlaybook;
use crate::runner::run_plan::{PlanOptions, plan_run};

/// Checks every host of the playbook, `forks` at once, and the whole cluster if a `cluster_check`
/// is given. Disruptive changes get the `notes`. Always returns a complete summary;
/// a failed host is data. The connections stay open: the owner of the fleet closes it.
pub async fn run_read_only(
    fleet: &Arc<Fleet>,
    work: &Arc<ResolvedPlaybook>,
    forks: usize,
    cluster_check: Option<Arc<dyn ClusterCheck>>,
    notes: Option<&DisruptionNotes<'_>>,
    stop: &CancellationToken,
) -> RunSummary {
    let started = Instant::now();
    let ahead = async {
        if let Some(cluster_check) = &cluster_check {
            tokio::select! {
                () = cluster_check.read_ahead(fleet.as_ref()) => {}
                () = stop.cancelled() => {}
            }
        }
    };
    let planned = plan_run(
        fleet,
        work,
        work.hosts(),
        PlanOptions {
            forks,
            other_runs: OtherRuns::Noted,
            settle_wait: Duration::ZERO,
            cluster_check: cluster_check.as_ref(),
            fallbacks: None,
        },
        stop,
    );
    let (mut found, ()) = tokio::join!(planned, ahead);
    let interrupted = found.interrupted;
    if let Some(notes) = notes.filter(|_| !interrupted) {
        notes.add(fleet, &mut found, stop).await;
    }
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
