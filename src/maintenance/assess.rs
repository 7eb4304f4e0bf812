//! Assessment of a drain: for each service with tasks on the node, whether they can move or will
//! stop, and whether the service is interrupted. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use super::balance::{obstacle, surplus};
use super::placement::place;
use super::workload::{ServiceMode, SwarmWorkload, WorkloadService};

/// Effect of a drain on one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceImpact {
    /// Name of the service.
    pub service: String,
    /// Active tasks on the node.
    pub tasks: usize,
    /// Tasks that another node can take.
    pub moving: usize,
    /// Running tasks on other nodes.
    pub elsewhere: usize,
    /// Reason why tasks stop instead of moving; `None` if all of them can move.
    pub stops: Option<String>,
    /// Reason why the service is interrupted; `None` if it is not.
    pub interruption: Option<String>,
    /// True if all running tasks are on the node, and some of them are started elsewhere before the
    /// drain.
    pub spread_first: bool,
    /// Number of tasks that must run on other nodes before the drain is complete.
    #[serde(skip)]
    pub(super) needed: usize,
    /// ID of the service.
    #[serde(skip)]
    pub(super) service_id: String,
    /// Time for which the new tasks are watched, in nanoseconds.
    #[serde(skip)]
    pub(super) monitor: u64,
}

impl ServiceImpact {
    /// Returns true if the tasks that stopped on the node run there again.
    pub(super) fn is_back(&self, workload: &SwarmWorkload, node_id: &str) -> bool {
        let Some(service) = workload.service(&self.service_id) else {
            return true;
        };
        if self.stops.is_none() || service.mode == ServiceMode::Job {
            return true;
        }
        let running = workload
            .tasks_on(node_id)
            .filter(|task| task.service_id == service.id && task.is_running());
        running.count() >= self.tasks - self.moving
    }
}

/// Returns the effect of the drain of a node on each service with tasks there, by name. `without`
/// are the nodes that take no tasks, because they are drained as well.
pub(super) fn assess(
    workload: &SwarmWorkload,
    node_id: &str,
    without: &[String],
) -> Vec<ServiceImpact> {
    let mut excluded = without.to_vec();
    excluded.push(node_id.to_owned());
    // Each task that moves takes the place of later ones.
    let mut planned = workload.clone();
    let mut services: Vec<&WorkloadService> = workload.services.iter().collect();
    services.sort_by(|one, other| one.name.cmp(&other.name));
    services
        .into_iter()
        .filter_map(|service| impact(workload, &mut planned, service, node_id, &excluded))
        .collect()
}

/// Returns the services whose tasks left the node in a drain that was begun before, and whose
/// replacements must still run: the tasks in the same slots on other nodes.
pub(super) fn assess_begun(workload: &SwarmWorkload, node_id: &str) -> Vec<ServiceImpact> {
    let mut impacts = Vec::new();
    for service in &workload.services {
        let ServiceMode::Replicated(_) = service.mode else {
            continue;
        };
        let mine = || {
            let tasks = workload.tasks.iter();
            tasks.filter(|task| task.service_id == service.id)
        };
        let left: BTreeSet<u64> = mine()
            .filter(|task| task.node_id == node_id)
            .map(|task| task.slot)
            .collect();
        let elsewhere = || mine().filter(|task| task.node_id != node_id && task.is_active());
        let moving = elsewhere().filter(|task| left.contains(&task.slot)).count();
        if moving == 0 {
            continue;
        }
        let running = elsewhere().filter(|task| task.is_running()).count();
        let needed = elsewhere().filter(|task| task.is_running() || left.contains(&task.slot));
        impacts.push(ServiceImpact {
            service: service.name.clone(),
            tasks: 0,
            moving,
            elsewhere: running,
            stops: None,
            interruption: None,
            spread_first: false,
            needed: needed.count(),
            service_id: service.id.clone(),
            monitor: service.monitor,
        });
    }
    impacts
}

fn impact(
    workload: &SwarmWorkload,
    planned: &mut SwarmWorkload,
    service: &WorkloadService,
    node_id: &str,
    excluded: &[String],
) -> Option<ServiceImpact> {
    let here = workload
        .tasks_on(node_id)
        .filter(|task| task.service_id == service.id);
    let here: Vec<_> = here.cloned().collect();
    if here.is_empty() {
        return None;
    }
    let running_on = |is_here: bool| {
        let tasks = workload.tasks.iter();
        tasks
            .filter(|task| {
                task.service_id == service.id
                    && task.is_running()
                    && (task.node_id == node_id) == is_here
            })
            .count()
    };
    let elsewhere = running_on(false);
    let (mut moving, mut stops) = (0, None);
    if service.mode == ServiceMode::Global {
        stops = Some("a global service runs on active nodes only".to_owned());
    } else {
        for task in &here {
            match place(planned, service, excluded) {
                Ok(node) => {
                    moving += 1;
                    let mut moved = task.clone();
                    moved.node_id = node;
                    planned.tasks.push(moved);
                }
                Err(obstacle) => stops = Some(obstacle.words()),
            }
        }
    }
    let replicas = match service.mode {
        ServiceMode::Replicated(replicas) => replicas,
        ServiceMode::Global | ServiceMode::Job => 0,
    };
    let spread_first = elsewhere == 0
        && running_on(true) > 1
        && surplus(workload, service, excluded) > 0
        && obstacle(workload, service, replicas).is_none();
    let interruption = if spread_first || service.mode == ServiceMode::Job || running_on(true) == 0
    {
        None
    } else if moving > 0 && !service.local_volumes.is_empty() {
        Some(format!(
            "it would start on another node without its data, which is in the volume {} here",
            service.local_volumes.join(", ")
        ))
    } else if elsewhere == 0 {
        Some(match &stops {
            Some(why) if moving == 0 => format!("its only running task stops: {why}"),
            _ => "its only running task is here, and stops before the next one starts".to_owned(),
        })
    } else {
        None
    };
    let most = usize::try_from(replicas).unwrap_or(usize::MAX);
    Some(ServiceImpact {
        service: service.name.clone(),
        tasks: here.len(),
        moving,
        elsewhere,
        stops,
        interruption,
        spread_first,
        needed: (elsewhere + moving).min(most),
        service_id: service.id.clone(),
        monitor: service.monitor,
    })
}
