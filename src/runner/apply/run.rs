//! A run that changes hosts, step by step: forecast, confirmation, apply play by play,
//! verification, summary.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;

use super::drained_restart::take_back_drained;
use super::failed_hosts::FailedHosts;
use super::locks::HostLocks;
use super::permit::Permit;
use super::play_stage::{PlayStage, stages};
use super::{Applier, LeaseOwner};
use crate::model::ValueSource;
use crate::names::HostName;
use crate::playbook::ResolvedPlaybook;
use crate::runner::apply::record_baseline::{PriorRecord, prior_records, record_baseline};
use crate::runner::apply::verification::skip_all;
use crate::runner::disruption_notes::DisruptionNotes;
use crate::runner::event::Event;
use crate::runner::examine::SETTLE_WAIT;
use crate::runner::fallback::Fallbacks;
use crate::runner::host_plan::PlannedResource;
use crate::runner::outcome::{HostOutcome, Outcome, Problem, RunSummary};
use crate::runner::run_plan::{PlanOptions, RunPlan, plan_run};
use crate::runner::{BaselineEntry, ClusterCheck, DisruptionGuard, Fleet, NodeDrain, OtherRuns};

/// Confirmation of a forecast.
#[async_trait::async_trait]
pub trait PlanApproval: Send + Sync {
    /// Shows the forecast; returns true if it is to be applied.
    async fn approve(&self, forecast: &RunPlan) -> bool;
}

/// Options of a run.
#[derive(Clone)]
pub struct RunOptions {
    /// Maximum number of hosts at once.
    pub forks: usize,
    /// Time to wait for another run's lock on a host; default 0 s.
    pub lock_wait: Duration,
    /// This run, as its locks and leases name it.
    pub owner: LeaseOwner,
    /// Drains nodes for the plays that ask for it; `None` if there is no such play.
    pub drain: Option<Arc<dyn NodeDrain>>,
    /// Place where the operator keeps the unlock key; `None` if a restarted manager of an
    /// autolocked swarm stays locked.
    pub unlock_key: Option<ValueSource>,
    /// Cluster check that provides the baseline to record at the end.
    pub cluster_check: Option<Arc<dyn ClusterCheck>>,
}

/// Plans, asks for confirmation, applies and verifies. Always returns a complete summary; a failed
/// host is data. The connections stay open: the owner of the fleet closes it.
pub async fn apply(
    fleet: &Arc<Fleet>,
    work: &Arc<ResolvedPlaybook>,
    guard: Arc<dyn DisruptionGuard>,
    approval: &dyn PlanApproval,
    options: &RunOptions,
    stop: &CancellationToken,
) -> RunSummary {
    let started = Instant::now();
    let plan_options = PlanOptions {
        forks: options.forks,
        other_runs: OtherRuns::AwaitedFor(options.lock_wait),
        settle_wait: SETTLE_WAIT,
        cluster_check: None,
        fallbacks: None,
    };
    let mut first = plan_run(fleet, work, work.hosts(), plan_options, stop).await;
    if !first.interrupted {
        let drain = options.drain.as_deref();
        let notes = DisruptionNotes::new(guard.as_ref(), drain, work);
        notes.add(fleet, &mut first, stop).await;
    }
    let mut agreed = !first.interrupted && first.has_work();
    if agreed {
        agreed = tokio::select! {
            answer = approval.approve(&first) => answer,
            () = stop.cancelled() => false,
        };
        first.interrupted = stop.is_cancelled();
    }
    let locks = Arc::new(HostLocks::new(
        options.owner.owner.clone(),
        options.lock_wait,
        stop.clone(),
    ));
    let mut summary = if agreed {
        let permit = Arc::new(Permit::grant());
        let applier = Arc::new(Applier {
            fleet: fleet.clone(),
            guard,
            permit: permit.clone(),
            locks: locks.clone(),
            stop: stop.clone(),
            lease_owner: options.owner.clone(),
            lock_wait: options.lock_wait,
            failed: FailedHosts::default(),
            plays: work.plays.iter().map(|play| play.name.clone()).collect(),
            drain: options.drain.clone(),
            manager_left: AtomicBool::new(false),
            unlock_key: options.unlock_key.clone(),
            drain_rules: work.plays.iter().map(|play| play.drain).collect(),
            disturbance: tokio::sync::Mutex::default(),
            changed_nodes: std::sync::Mutex::default(),
        });
        let (waiting, prior_records, fallbacks) = (
            first.waiting(),
            prior_records(&first),
            first.fallbacks.clone(),
        );
        let summary = play_by_play(&applier, work, first, options.forks).await;
        take_back_drained(fleet, work, &summary, options, stop).await;
        let hosts = work.hosts();
        // Hosts that are read again in any case need not be found by their nodes.
        let owners = if hosts_to_verify(&summary, &waiting, &hosts).len()
            > hosts_to_verify(&summary, &waiting, &[]).len()
        {
            applier.owners_of_changed_nodes(&hosts).await
        } else {
            Vec::new()
        };
        let verified = verify(
            fleet,
            work,
            options.forks,
            stop,
            summary,
            (&waiting, &owners, &fallbacks),
        );
        let (summary, baseline) = tokio::join!(verified, baseline_entries(fleet, options));
        let known = (&prior_records, &baseline[..]);
        conclude(fleet, &permit, &locks, known, summary, options).await
    } else if !first.interrupted && !first.has_work() {
        // No change to confirm: resources that are in sync count as applied from now on.
        let known = prior_records(&first);
        let summary = RunSummary {
            interrupted: false,
            hosts: first.into_outcomes(),
            millis: 0,
        };
        take_back_drained(fleet, work, &summary, options, stop).await;
        let permit = Arc::new(Permit::grant());
        let baseline = baseline_entries(fleet, options).await;
        conclude(
            fleet,
            &permit,
            &locks,
            (&known, &baseline),
            summary,
            options,
        )
        .await
    } else {
        RunSummary {
            interrupted: first.interrupted,
            hosts: first.into_outcomes(),
            millis: 0,
        }
    };
    summary.millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    fleet
        .events()
        .send(Event::RunFinished {
            summary: summary.clone(),
        })
        .await;
    summary
}

/// Writes the records and releases the locks. A host on which skep itself fails meanwhile counts as
/// failed.
async fn conclude(
    fleet: &Arc<Fleet>,
    permit: &Arc<Permit>,
    locks: &Arc<HostLocks>,
    (known, baseline): (&HashMap<HostName, PriorRecord>, &[BaselineEntry]),
    mut summary: RunSummary,
    options: &RunOptions,
) -> RunSummary {
    let mut panics = record_baseline(
        fleet,
        permit,
        locks,
        known,
        &summary,
        baseline,
        options.forks,
    )
    .await;
    panics.extend(locks.release().await);
    for (host, panic) in panics {
        let trouble = Problem::internal(&host, &panic);
        let outcome = summary.hosts.entry(host.clone()).or_default();
        // The record and the lock belong to one command, which may fail twice.
        if outcome.failure.is_some() {
            continue;
        }
        outcome.failure = Some(trouble.clone());
        fleet
            .events()
            .send(Event::HostFailed { host, trouble })
            .await;
    }
    summary
}

async fn baseline_entries(fleet: &Arc<Fleet>, options: &RunOptions) -> Vec<BaselineEntry> {
    match &options.cluster_check {
        Some(cluster_check) => cluster_check.baseline_entries(fleet.as_ref()).await,
        None => Vec::new(),
    }
}

async fn play_by_play(
    applier: &Arc<Applier>,
    work: &ResolvedPlaybook,
    first: RunPlan,
    forks: usize,
) -> RunSummary {
    let mut hosts: IndexMap<HostName, HostOutcome> = IndexMap::new();
    let mut tasks: IndexMap<HostName, Vec<PlannedResource>> = IndexMap::new();
    for (name, host) in first.hosts {
        // A host that could not be read, or whose change was refused, is not changed: no step of
        // any play runs there.
        if host.outcome.is_lost() || host.outcome.failed() {
            applier.failed.add(&name);
            hosts.insert(name, skip_differences(host.outcome));
        } else {
            hosts.insert(
                name.clone(),
                HostOutcome {
                    execs: host.outcome.execs,
                    ..HostOutcome::default()
                },
            );
            tasks.insert(name, host.tasks);
        }
    }
    for stage in stages(work) {
        let mut mine: Vec<(HostName, Vec<PlannedResource>)> = Vec::new();
        for (name, tasks) in &tasks {
            let tasks: Vec<PlannedResource> = tasks
                .iter()
                .filter(|task| stage.contains(&task.play))
                .cloned()
                .collect();
            let host = hosts.entry(name.clone()).or_default();
            let interrupted = applier
                .stop
                .is_cancelled()
                .then_some("the run was interrupted");
            match skip_reason(host).or(interrupted) {
                Some(because) => host
                    .resources
                    .extend(skip_all(&applier.plays, &tasks, because).resources),
                None if tasks.is_empty() => {}
                None => mine.push((name.clone(), tasks)),
            }
        }
        if mine.is_empty() {
            continue;
        }
        let staged = stage.iter().map(|index| {
            let takes_part = |(name, tasks): &(HostName, Vec<PlannedResource>)| {
                let is_there = tasks.iter().any(|task| task.play == *index);
                is_there.then(|| name.clone())
            };
            let hosts = mine.iter().filter_map(takes_part).collect();
            (*index, work.plays[*index].name.clone(), hosts)
        });
        let first_play = &work.plays[stage[0]];
        let at_once = first_play.serial.unwrap_or(forks).min(forks);
        let staged = PlayStage::new(staged.collect::<Vec<_>>());
        applier
            .stage(staged, mine, at_once, first_play.max_fail, &mut hosts)
            .await;
    }
    RunSummary {
        hosts,
        interrupted: applier.stop.is_cancelled(),
        millis: 0,
    }
}

/// Returns the reason why a host takes part in no further play. The plays of a host run in order: a
/// missed play is not skipped over.
fn skip_reason(host: &HostOutcome) -> Option<&'static str> {
    if host.unreachable.is_some() {
        Some("the host was lost")
    } else if host.failure.is_some() {
        Some("skep itself failed on the host")
    } else if host.failed() {
        Some("an earlier resource of the host failed")
    } else if host.count(|outcome| matches!(outcome, Outcome::Skipped { .. })) > 0 {
        Some("an earlier play skipped the host")
    } else {
        None
    }
}

/// Marks the differences of a host that is not changed as skipped.
fn skip_differences(mut outcome: HostOutcome) -> HostOutcome {
    for resource in &mut outcome.resources {
        if resource.outcome == Outcome::Differs {
            resource.outcome = Outcome::Skipped {
                because: "the host could not be read, or a change of it was refused".into(),
            };
        }
    }
    outcome
}

/// Gathers every changed host once more, and every host whose node of the swarm was changed: a
/// later resource, or another host, may have undone an earlier one. Hosts that waited for another
/// host are gathered as well: they were not changed, and nobody has confirmed a change of them.
async fn verify(
    fleet: &Arc<Fleet>,
    work: &Arc<ResolvedPlaybook>,
    forks: usize,
    stop: &CancellationToken,
    mut summary: RunSummary,
    (waiting, owners, fallbacks): (&[HostName], &[HostName], &Fallbacks),
) -> RunSummary {
    let again = hosts_to_verify(&summary, waiting, owners);
    if again.is_empty() || stop.is_cancelled() {
        return summary;
    }
    let second = plan_run(
        &Arc::new(fleet.quiet()),
        work,
        again,
        PlanOptions {
            forks,
            other_runs: OtherRuns::Ignored,
            settle_wait: SETTLE_WAIT,
            cluster_check: None,
            fallbacks: Some(fallbacks),
        },
        stop,
    )
    .await;
    for (name, after) in second.hosts {
        let Some(host) = summary.hosts.get_mut(&name) else {
            continue;
        };
        if waiting.contains(&name) {
            *host = fail_unapproved(after.outcome);
            continue;
        }
        host.unreachable = after.outcome.unreachable.map(|trouble| Problem {
            why: format!(
                "applied, but lost before it could be verified: {}",
                trouble.why
            ),
            hint: trouble.hint,
        });
        host.failure = after.outcome.failure.map(|trouble| Problem {
            why: format!("applied, but not verified: {}", trouble.why),
            hint: trouble.hint,
        });
        for resource in after.outcome.resources {
            let repeats = resource
                .change
                .as_ref()
                .is_some_and(|change| change.repeats);
            if resource.outcome == Outcome::Unchanged || repeats {
                continue;
            }
            let known = host
                .resources
                .iter_mut()
                .find(|known| known.resource == resource.resource && known.play == resource.play);
            if let Some(known) = known {
                known.outcome = Outcome::Failed {
                    why: "was in sync after its steps, but has drifted by the end of the run".into(),
                    hint: "another resource of the playbook, another host of the run, or a program on the host changes it back".into(),
                };
            }
        }
    }
    summary
}

/// Returns the hosts that are read once more: changed hosts, the `owners` of changed nodes, and
/// hosts that were `waiting` for another host.
fn hosts_to_verify(
    summary: &RunSummary,
    waiting: &[HostName],
    owners: &[HostName],
) -> Vec<HostName> {
    let is_changed = |name: &HostName, host: &HostOutcome| {
        host.unreachable.is_none()
            && !host.failed()
            && (host.count(|outcome| *outcome == Outcome::Changed) > 0 || owners.contains(name))
    };
    summary
        .hosts
        .iter()
        .filter(|(name, host)| is_changed(name, host) || waiting.contains(name))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Marks the differences of a host that could be read only at the end as failed: they were in no
/// plan that the user confirmed.
fn fail_unapproved(mut outcome: HostOutcome) -> HostOutcome {
    for resource in &mut outcome.resources {
        if resource.outcome == Outcome::Differs {
            resource.outcome = Outcome::Failed {
                why: "differs; it could be read only after another host was repaired".into(),
                hint: "run again".into(),
            };
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runner::ResourceOutcome;

    #[test]
    fn owners_of_changed_nodes_are_verified() {
        let names = ["a", "b", "c", "d", "e", "f"].map(HostName::new);
        let outcomes = [
            Outcome::Changed,
            Outcome::Unchanged,
            Outcome::Unchanged,
            Outcome::Failed {
                why: String::new(),
                hint: String::new(),
            },
            Outcome::Unchanged,
            Outcome::Changed,
        ];
        let mut summary = RunSummary::default();
        for (name, outcome) in names.iter().zip(outcomes) {
            summary.hosts.insert(
                name.clone(),
                HostOutcome {
                    resources: vec![ResourceOutcome::new("play", "volume[v]", outcome)],
                    ..HostOutcome::default()
                },
            );
        }
        let lost = Problem {
            why: String::new(),
            hint: String::new(),
        };
        summary.hosts[5].unreachable = Some(lost);
        // `c` changed nothing itself, but another host changed its node.
        let waiting = [names[4].clone()];
        let owners = [names[2].clone(), names[3].clone(), names[5].clone()];
        let again = hosts_to_verify(&summary, &waiting, &owners);
        assert_eq!(again, [&names[0], &names[2], &names[4]].map(Clone::clone));
    }
}
