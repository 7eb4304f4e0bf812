//! Rebalance: spreads the tasks of a service over the nodes again. The service gets as many more
//! replicas as tasks must move; the scheduler starts them on the nodes with the fewest tasks. Once
//! they run, the service gets its number of replicas back, and the swarm stops tasks on the nodes
//! that have the most. So no request is lost, whatever the update order of the service is.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::balance::{ServiceBalance, balance};
use super::drain::under_lease;
use super::reading::{read_first, read_settled_swarm};
use super::workload::{REBALANCED_FROM, ServiceMode, SwarmTask, SwarmWorkload};
use super::{DrainOptions, MaintenanceError};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::{Fleet, update_service};

/// Time between two readings of the tasks.
const PAUSE: Duration = Duration::from_millis(500);

/// Plan of a rebalance: the services that are uneven, or that a rebalance has left half done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebalancePlan {
    /// The services, by name.
    pub services: Vec<ServiceBalance>,
    /// The managers to ask.
    managers: Vec<HostName>,
}

/// Result of the rebalance of one service.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RebalanceOutcome {
    /// Name of the service.
    pub service: String,
    /// Number of tasks that were started anew.
    pub moved: usize,
    /// Host names of the nodes, with the number of tasks afterwards.
    pub nodes: std::collections::BTreeMap<String, usize>,
    /// Seconds from the first change to the last.
    pub seconds: f64,
}

/// Reads the swarm, and finds the services that are uneven. `name` is that of a service or a stack;
/// `None` means all services.
///
/// # Errors
/// [`MaintenanceError::NoManager`], and [`MaintenanceError::UnknownService`].
pub async fn plan_rebalance(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    name: Option<&str>,
    forks: usize,
) -> Result<RebalancePlan, MaintenanceError> {
    let reading = read_settled_swarm(fleet, inventory, forks).await?;
    let mut chosen: Vec<_> = reading
        .workload
        .services
        .iter()
        .filter(|service| name.is_none_or(|name| service.name == name || service.stack == name))
        .collect();
    if let (Some(name), []) = (name, chosen.as_slice()) {
        return Err(MaintenanceError::UnknownService(name.to_owned()));
    }
    chosen.sort_by(|one, other| one.name.cmp(&other.name));
    let services = chosen
        .into_iter()
        .filter_map(|service| balance(&reading.workload, service));
    Ok(RebalancePlan {
        services: services
            .filter(|service| service.is_begun || service.moving > 0)
            .collect(),
        managers: reading.managers,
    })
}

/// Rebalances the services of a plan, one after the other. `note` gets one line of progress.
///
/// # Errors
/// [`MaintenanceError`]; the services before are even, and the later ones were not touched.
pub async fn rebalance(
    fleet: &Arc<Fleet>,
    plan: &RebalancePlan,
    options: &DrainOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<Vec<RebalanceOutcome>, MaintenanceError> {
    let Some(first) = plan.managers.first() else {
        return Ok(Vec::new());
    };
    let work = async {
        let mut outcomes = Vec::new();
        for service in plan.services.iter().filter(|service| service.is_needed()) {
            if stop.is_cancelled() {
                let why = format!("{} was not rebalanced", service.service);
                return Err(MaintenanceError::Interrupted(why));
            }
            let managers = &plan.managers;
            let outcome =
                rebalance_service(fleet, managers, service, options.limit, stop, note).await?;
            outcomes.push(outcome);
        }
        Ok(outcomes)
    };
    under_lease(fleet, first, options, stop, work).await
}

/// Rebalances one service. The number of replicas before is in a label of the service meanwhile, so
/// the same command finishes after a crash.
pub(super) async fn rebalance_service(
    fleet: &Arc<Fleet>,
    managers: &[HostName],
    service: &ServiceBalance,
    limit: Duration,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<RebalanceOutcome, MaintenanceError> {
    let (name, begun) = (&service.service, Instant::now());
    let edit = |edit: fn(&mut Value, u64), moving: usize| {
        let moving = moving as u64;
        async move {
            let changed = update_service(fleet, managers, &service.service_id, |spec| {
                edit(spec, moving);
            });
            changed.await.map_err(|why| MaintenanceError::Service {
                service: name.clone(),
                why,
            })
        }
    };
    let source = WorkloadSource { fleet, managers };
    // A rebalance that was killed left its tasks, of which the swarm keeps the best spread.
    edit(remove_replicas, 0).await?;
    let now = match source.read().await {
        Ok(workload) => {
            let found = workload.service(&service.service_id);
            found.and_then(|found| balance(&workload, found))
        }
        Err(why) => {
            return Err(MaintenanceError::Service {
                service: name.clone(),
                why,
            });
        }
    };
    let moving = now
        .filter(|now| now.obstacle.is_none())
        .map_or(0, |now| now.moving);
    if moving > 0 {
        let tasks = if moving == 1 { "task" } else { "tasks" };
        note(&format!("{name}: starting {moving} more {tasks}"));
        edit(add_replicas, moving).await?;
        let waited = wait_for_tasks(&source, service, limit, stop).await;
        // In any case the service gets its number of replicas back. The swarm removes tasks that do
        // not run first.
        edit(remove_replicas, 0).await?;
        waited.map_err(|wait| match wait {
            None => MaintenanceError::Interrupted(format!(
                "{name} has its former number of replicas, and may be uneven"
            )),
            Some(why) => MaintenanceError::Service {
                service: name.clone(),
                why: format!("its new tasks did not run within {}: {why}; it has its former number of replicas", humantime::format_duration(limit)),
            },
        })?;
    }
    edit(forget, 0).await?;
    let nodes = wait_for_end(&source, service, limit, stop).await;
    Ok(RebalanceOutcome {
        service: name.clone(),
        moved: moving,
        nodes,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

fn replicas_of(spec: &mut Value) -> Option<&mut Value> {
    spec.pointer_mut("/Mode/Replicated/Replicas")
}

/// Adds replicas, and writes their number before into a label.
fn add_replicas(spec: &mut Value, moving: u64) {
    let Some(before) = replicas_of(spec).and_then(|value| value.as_u64()) else {
        return;
    };
    if let Some(value) = replicas_of(spec) {
        *value = (before + moving).into();
    }
    spec["Labels"][REBALANCED_FROM] = before.to_string().into();
}

/// Gives the service the number of replicas back that its label has, unless somebody has given it
/// fewer. The label stays: the specification before this one, to which `docker service rollback`
/// returns, must not be one with more replicas.
fn remove_replicas(spec: &mut Value, _: u64) {
    let label = spec["Labels"][REBALANCED_FROM].as_str();
    let Some(before) = label.and_then(|label| label.parse::<u64>().ok()) else {
        return;
    };
    if let Some(value) = replicas_of(spec)
        && value.as_u64().is_some_and(|now| now > before)
    {
        *value = before.into();
    }
}

/// Removes the label.
fn forget(spec: &mut Value, _: u64) {
    if let Some(labels) = spec["Labels"].as_object_mut() {
        labels.remove(REBALANCED_FROM);
    }
}

/// Managers that return the workload of the swarm.
struct WorkloadSource<'a> {
    fleet: &'a Arc<Fleet>,
    managers: &'a [HostName],
}

impl WorkloadSource<'_> {
    /// Reads the workload from the first manager that answers.
    async fn read(&self) -> Result<SwarmWorkload, String> {
        let lists = read_first(self.fleet, self.managers).await;
        lists
            .map(|(_, workload)| workload)
            .map_err(|reasons| reasons.join("; "))
    }
}

/// Waits until all tasks of the service have run for the time for which the swarm watches new ones.
/// Fails with a reason after the limit, and without one after an interrupt.
async fn wait_for_tasks(
    source: &WorkloadSource<'_>,
    service: &ServiceBalance,
    limit: Duration,
    stop: &CancellationToken,
) -> Result<(), Option<String>> {
    let (begun, settling) = (Instant::now(), Duration::from_nanos(service.monitor));
    let mut complete_since = None;
    loop {
        let why = match source.read().await {
            Ok(workload) => missing(&workload, &service.service_id),
            Err(why) => Some(why),
        };
        match &why {
            None => {
                let since = *complete_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= settling {
                    return Ok(());
                }
            }
            Some(_) => complete_since = None,
        }
        if begun.elapsed() >= limit {
            let unstable = "they have not run for long enough";
            return Err(Some(why.unwrap_or_else(|| unstable.into())));
        }
        tokio::select! {
            () = stop.cancelled() => return Err(None),
            () = sleep(PAUSE) => {}
        }
    }
}

/// Returns the reason why a service does not have all its tasks.
fn missing(workload: &SwarmWorkload, service_id: &str) -> Option<String> {
    let service = workload.service(service_id)?;
    let ServiceMode::Replicated(wanted) = service.mode else {
        return None;
    };
    let mine = |task: &&SwarmTask| task.service_id == service_id && task.is_active();
    let tasks = || workload.tasks.iter().filter(mine);
    let running = tasks().filter(|task| task.is_running()).count() as u64;
    let trouble = tasks().find(|task| !task.is_running() && !task.error.is_empty());
    let error = trouble.map_or_else(String::new, |task| format!(" ({})", task.error));
    (running < wanted).then(|| format!("{running} of {wanted} tasks run{error}"))
}

/// Waits until the tasks that the swarm removes have ended, and returns the spread. It ends early
/// without an error: the service has all its tasks already.
async fn wait_for_end(
    source: &WorkloadSource<'_>,
    service: &ServiceBalance,
    limit: Duration,
    stop: &CancellationToken,
) -> std::collections::BTreeMap<String, usize> {
    let begun = Instant::now();
    let mut nodes = service.nodes.clone();
    loop {
        let mut is_over = begun.elapsed() >= limit || stop.is_cancelled();
        if let Ok(workload) = source.read().await {
            let found = workload.service(&service.service_id);
            if let Some(now) = found.and_then(|found| balance(&workload, found)) {
                nodes = now.nodes;
            }
            let ends = |task: &SwarmTask| {
                task.service_id == service.service_id && !task.has_ended() && !task.is_active()
            };
            is_over |= !workload.tasks.iter().any(ends);
        }
        if is_over {
            return nodes;
        }
        sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn replicas_are_added_and_removed_and_never_below_those_of_somebody_else() {
        let mut spec = json!({"Labels": null, "Mode": {"Replicated": {"Replicas": 4}}});
        let before = spec.clone();
        remove_replicas(&mut spec, 0);
        assert_eq!(spec, before, "no label, no change");
        add_replicas(&mut spec, 2);
        assert_eq!(spec["Mode"]["Replicated"]["Replicas"], 6);
        assert_eq!(spec["Labels"][REBALANCED_FROM], "4");
        remove_replicas(&mut spec, 0);
        assert_eq!(spec["Mode"]["Replicated"]["Replicas"], 4);
        // Somebody made the service smaller meanwhile.
        *replicas_of(&mut spec).unwrap() = 1.into();
        remove_replicas(&mut spec, 0);
        assert_eq!(spec["Mode"]["Replicated"]["Replicas"], 1);
        forget(&mut spec, 0);
        assert_eq!(spec["Labels"], json!({}));
        let mut global = json!({"Labels": {}, "Mode": {"Global": {}}});
        let before = global.clone();
        add_replicas(&mut global, 2);
        assert_eq!(global, before);
    }
}
