//! The first plan: every host is gathered once and compared with all of its resources. `plan` and
//! `check` end here, and no function of this file can change a host: only `runner::apply` performs
//! steps.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use tokio_util::sync::CancellationToken;

use super::event::Event;
use super::examine::{ExamineResult, HostExaminer};
use super::host_plan::PREPARED_FOR_CHANGES;
use super::outcome::{DriftCause, HostOutcome, Outcome, Problem, ResourceOutcome};
use super::{Baseline, ClusterCheck, ConnectedHost, Fleet, ReadCache, TaskPanic, fan_out};
use crate::model::{
    DefinitionDigest, ExamineError, HostAnswers, HostFacts, ProbeError, Query, Resource, ShellQuery,
};
use crate::names::HostName;
use crate::playbook::{HostResource, ResolvedPlaybook, ResourceBinding};
use crate::runner::applied_record::AppliedRecord;
use crate::runner::fallback::{Fallbacks, choose_fallbacks, plan_on_fallback};
use crate::runner::host_plan::{HostPlan, PlannedResource, resource_outcome};
use crate::runner::missing_engine::note_missing_engine;
use crate::runner::open_directory::plan_behind_open_directories;
use crate::runner::other_runs::{OtherRuns, other_run, wait_for_other_run};
use crate::transport::TransportError;

/// Changes that every host needs, as far as they are known before any change is made.
pub struct RunPlan {
    /// Plans by host, in the order of the request.
    pub hosts: IndexMap<HostName, HostPlan>,
    /// True if the run was interrupted before all hosts were checked.
    pub interrupted: bool,
    /// Hosts that take over a play's cluster-scoped resources from their delegate, by index of the
    /// play.
    pub(super) fallbacks: Fallbacks,
}

impl RunPlan {
    /// Returns the outcomes, for reports.
    #[must_use]
    pub fn into_outcomes(self) -> IndexMap<HostName, HostOutcome> {
        self.hosts
            .into_iter()
            .map(|(name, host)| (name, host.outcome))
            .collect()
    }

    /// Returns the hosts whose only problem is that another host does not answer.
    #[must_use]
    pub fn waiting(&self) -> Vec<HostName> {
        self.hosts
            .iter()
            .filter(|(_, host)| host.waits)
            .map(|(name, _)| name.clone())
            .collect()
    }

    /// Returns true if any host that may be changed needs a change.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.hosts.values().any(|host| {
            host.outcome.unreachable.is_none()
                && !host.outcome.failed()
                && host.tasks.iter().any(|task| task.change.is_some())
        })
    }
}

impl Baseline for RunPlan {
    fn matches(&self, host: &HostName, id: &str, definition: &DefinitionDigest) -> Option<bool> {
        self.hosts.get(host)?.record.matches(id, definition)
    }
}

/// Time for which the hosts of a plan share the reads of an Engine.
const READS_VALID_FOR: Duration = Duration::from_secs(2);

/// Options of a plan.
#[derive(Clone, Copy)]
pub struct PlanOptions<'a> {
    /// Maximum number of hosts at once.
    pub forks: usize,
    /// Treatment of hosts on which another run of `apply` works.
    pub other_runs: OtherRuns,
    /// Time to wait for a state that is about to change without any request.
    pub settle_wait: Duration,
    /// Cluster check, whose queries are sent together with those of the resources.
    pub cluster_check: Option<&'a Arc<dyn ClusterCheck>>,
    /// Hosts on which cluster-scoped resources of an unreachable host are planned; `None` chooses
    /// the play's next readable host.
    pub(super) fallbacks: Option<&'a Fallbacks>,
}

/// Plans `hosts`.
pub async fn plan_run(
    fleet: &Arc<Fleet>,
    work: &Arc<ResolvedPlaybook>,
    hosts: Vec<HostName>,
    options: PlanOptions<'_>,
    stop: &CancellationToken,
) -> RunPlan {
    let PlanOptions {
        forks,
        other_runs,
        settle_wait,
        cluster_check,
        fallbacks,
    } = options;
    let waits = HostWaits {
        other_runs,
        settle_wait,
    };
    let round = Arc::new(ReadCache::valid_for(READS_VALID_FOR));
    let looked = fan_out(hosts.clone(), forks, |host| {
        let (fleet, work, stop) = (fleet.clone(), work.clone(), stop.clone());
        let round = round.clone();
        let cluster_check = cluster_check.cloned();
        async move {
            if stop.is_cancelled() {
                return None;
            }
            tokio::select! {
                looked = plan_host(&fleet, &work, &host, round, cluster_check.as_deref(), waits) => Some(looked),
                () = stop.cancelled() => None,
            }
        }
    })
    .await;
    let mut found: IndexMap<HostName, HostPlan> = IndexMap::new();
    let mut interrupted = stop.is_cancelled();
    for (host, looked) in hosts.into_iter().zip(looked) {
        let forecast = match looked {
            Ok(Some(looked)) => looked,
            Ok(None) => {
                interrupted = true;
                HostPlan::default()
            }
            Err(panic) => failed_host(fleet, &host, &panic).await,
        };
        found.insert(host, forecast);
    }
    let chosen = fallbacks
        .cloned()
        .unwrap_or_else(|| choose_fallbacks(work, &mut found));
    if !interrupted {
        plan_on_fallback(fleet, work, &mut found, &chosen).await;
    }
    RunPlan {
        hosts: found,
        interrupted,
        fallbacks: chosen,
    }
}

/// Waits of one host before it is planned.
#[derive(Clone, Copy)]
struct HostWaits {
    other_runs: OtherRuns,
    settle_wait: Duration,
}

async fn plan_host(
    fleet: &Fleet,
    work: &ResolvedPlaybook,
    name: &HostName,
    round: Arc<ReadCache>,
    cluster_check: Option<&dyn ClusterCheck>,
    waits: HostWaits,
) -> HostPlan {
    let events = fleet.events();
    let forecast = match fleet.host(name).await {
        Ok(host) => {
            events.send(Event::Gathering { host: name.clone() }).await;
            let mut looked =
                match examine_host(fleet, &host, work, round, cluster_check, waits).await {
                    Ok(looked) => looked,
                    Err(
                        error @ (TransportError::Locked { .. } | TransportError::StepRuns { .. }),
                    ) => locked_host(fleet, name, &error).await,
                    Err(error) => unreachable_host(&error),
                };
            looked.outcome.execs = host.execs();
            looked
        }
        Err(error) => unreachable_host(&error),
    };
    match &forecast.outcome.unreachable {
        None if forecast.locked => {}
        Some(trouble) => {
            events
                .send(Event::Unreachable {
                    host: name.clone(),
                    trouble: trouble.clone(),
                })
                .await;
        }
        None => {
            let resources = forecast.outcome.resources.clone();
            events
                .send(Event::Planned {
                    host: name.clone(),
                    resources,
                })
                .await;
        }
    }
    forecast
}

/// Returns the plan of a host that could not be read: the state of its resources is unknown, so
/// none counts as in sync.
fn unreachable_host(error: &TransportError) -> HostPlan {
    let trouble = Problem {
        why: error.to_string(),
        hint: error.hint(),
    };
    let outcome = HostOutcome {
        unreachable: Some(trouble),
        ..HostOutcome::default()
    };
    HostPlan {
        outcome,
        ..HostPlan::default()
    }
}

/// Returns the plan of a host on which another run of `apply` works: it was not read, and this run
/// does nothing there.
async fn locked_host(fleet: &Fleet, name: &HostName, error: &TransportError) -> HostPlan {
    let trouble = Problem {
        why: error.to_string(),
        hint: error.hint(),
    };
    let event = Event::HostFailed {
        host: name.clone(),
        trouble: trouble.clone(),
    };
    fleet.events().send(event).await;
    let outcome = HostOutcome {
        failure: Some(trouble),
        ..HostOutcome::default()
    };
    HostPlan {
        outcome,
        locked: true,
        ..HostPlan::default()
    }
}

/// Returns the plan of a host on which skep itself failed: the state of its resources is as unknown
/// as that of an unreachable host.
async fn failed_host(fleet: &Fleet, name: &HostName, panic: &TaskPanic) -> HostPlan {
    let trouble = Problem::internal(name, panic);
    fleet
        .events()
        .send(Event::HostFailed {
            host: name.clone(),
            trouble: trouble.clone(),
        })
        .await;
    let outcome = HostOutcome {
        failure: Some(trouble),
        ..HostOutcome::default()
    };
    HostPlan {
        outcome,
        ..HostPlan::default()
    }
}

async fn examine_host(
    fleet: &Fleet,
    host: &ConnectedHost,
    work: &ResolvedPlaybook,
    round: Arc<ReadCache>,
    cluster_check: Option<&dyn ClusterCheck>,
    waits: HostWaits,
) -> Result<HostPlan, TransportError> {
    let host_resources: Vec<(usize, &HostResource)> = work.host_resources(host.name()).collect();
    // Facts are read in the same exec as everything that does not depend on them.
    let ready: Vec<Arc<dyn Resource>> = host_resources
        .iter()
        .filter_map(|(_, host_resource)| host_resource.ready())
        .collect();
    let deferred = host_resources
        .iter()
        .any(|(_, host_resource)| host_resource.ready().is_none());
    // The record of the last apply is read in it as well, at no further exec.
    let recorded = !host_resources.is_empty();
    let record = recorded.then(AppliedRecord::query);
    let more = cluster_check
        .map(|cluster_check| cluster_check.queries(host.name()))
        .unwrap_or_default();
    let more = deferred
        .then_some(Query::Shell(ShellQuery::Facts))
        .into_iter()
        .chain(record)
        .chain(waits.other_runs.query())
        .chain(more);
    // The first reading starts its own shell. One more is for the second reading, and one for each
    // stream to the Engine.
    let is_docker = |query: &Query| matches!(query, Query::Docker(_));
    let engine_reads = HostExaminer::queries_of(&ready);
    let engine_reads = engine_reads.into_iter().filter(is_docker).count();
    host.prepare_for(usize::from(deferred) + engine_reads.min(3));
    let more: Vec<Query> = more.collect();
    let mut look = HostExaminer::gather_in(round, fleet, host, &ready, more.clone()).await?;
    let mut notes = Vec::new();
    let begun = Instant::now();
    while let Some(other) = other_run(&look.answers) {
        let OtherRuns::AwaitedFor(limit) = waits.other_runs else {
            notes.push(format!("another run of apply is under way: {other}"));
            break;
        };
        wait_for_other_run(fleet, host, other, begun + limit).await?;
        // Everything that was read beside the other run is read again.
        look = HostExaminer::gather(fleet, host, &ready, more.clone()).await?;
    }
    let mut tasks = Vec::new();
    let mut unbound = Vec::new();
    for (play, host_resource) in host_resources {
        match bind(host_resource, &look.answers) {
            Ok(resources) => tasks.extend(resources.into_iter().map(|resource| PlannedResource {
                play,
                playbook: Arc::clone(&work.plays[play].playbook),
                resource,
                change: None,
                follow_ups: Vec::new(),
            })),
            Err(why) => unbound.push((play, host_resource.label(), why)),
        }
    }
    let resources: Vec<Arc<dyn Resource>> =
        tasks.iter().map(|task| task.resource.clone()).collect();
    if matches!(waits.other_runs, OtherRuns::AwaitedFor(_)) && look.any_differs(&ready) {
        // `apply` goes on with the host as soon as the plan is confirmed.
        host.keep_prepared(PREPARED_FOR_CHANGES);
    }
    // Queries of deferred resources are sent in one further exec, together with the follow-up
    // queries of the other resources.
    look.query_with_needs(&resources).await?;
    let mut examined = look.examine_settled(&resources, waits.settle_wait).await?;
    let unread = plan_behind_open_directories(&tasks, &mut examined);
    note_missing_engine(&tasks, &mut examined, &look.answers);
    let elsewhere = |result: &ExamineResult| {
        matches!(result, Err(ExamineError::Probe(ProbeError::Elsewhere(_))))
    };
    let waits = unbound.is_empty()
        && examined.iter().any(elsewhere)
        && examined
            .iter()
            .all(|result| result.is_ok() || elsewhere(result));
    if let Some(cluster_check) = cluster_check {
        cluster_check.record(host.name(), &look.answers);
    }
    // The record was not read on a host whose plays have only cluster-scoped resources that run on
    // another host.
    let record = if recorded {
        AppliedRecord::read(&look.answers)
    } else {
        AppliedRecord::default()
    };
    notes.extend(record.warning());
    let mut outcome = HostOutcome {
        notes,
        ..HostOutcome::default()
    };
    for (play, resource, why) in unbound {
        let play = work.plays[play].name.clone();
        let outcome_of = Outcome::Failed {
            why,
            hint: "run `skep facts` to see the facts of the host".into(),
        };
        let cause = Some(DriftCause::Unknown);
        outcome.resources.push(ResourceOutcome {
            cause,
            ..ResourceOutcome::new(play, resource, outcome_of)
        });
    }
    for (index, (task, result)) in tasks.iter_mut().zip(examined).enumerate() {
        let mut of_resource =
            resource_outcome(&work.plays[task.play].name, task.resource.id(), &result);
        record.explain(task.resource.as_ref(), &task.playbook, &mut of_resource);
        if unread.contains(&index) {
            of_resource.cause = Some(DriftCause::Unknown);
        }
        outcome.resources.push(of_resource);
        task.change = result.ok().flatten();
        task.note_follow_ups(&look.answers);
    }
    Ok(HostPlan {
        tasks,
        outcome,
        record,
        waits,
        locked: false,
    })
}

fn bind(
    host_resource: &HostResource,
    answers: &HostAnswers,
) -> Result<Vec<Arc<dyn Resource>>, String> {
    match &host_resource.resource {
        ResourceBinding::Bound(resource) => Ok(vec![resource.clone()]),
        ResourceBinding::Deferred(deferred) => {
            let facts: &HostFacts = answers
                .facts()
                .map_err(|error: ProbeError| error.to_string())?;
            deferred
                .bind(facts)
                .map_err(|diagnostics| diagnostics.to_string())
        }
    }
}
