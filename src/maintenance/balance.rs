//! Balance of a service: whether its tasks are spread over the nodes, and how many of them would
//! move. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::placement::place;
use super::workload::{ServiceMode, SwarmTask, SwarmWorkload, WorkloadService};

/// Spread of the tasks of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceBalance {
    /// Name of the service.
    pub service: String,
    /// Host names of the nodes that run its tasks or could take one, with the number of tasks.
    pub nodes: BTreeMap<String, usize>,
    /// Number of tasks that move; 0 if the service is even.
    pub moving: usize,
    /// Reason why the tasks stay although the service is uneven.
    pub obstacle: Option<String>,
    /// True if a rebalance before this one has added tasks and not removed them.
    pub is_begun: bool,
    /// ID of the service.
    #[serde(skip)]
    pub(super) service_id: String,
    /// Time for which the new tasks are watched, in nanoseconds.
    #[serde(skip)]
    pub(super) monitor: u64,
}

impl ServiceBalance {
    /// Returns true if the rebalance changes the service.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.is_begun || (self.moving > 0 && self.obstacle.is_none())
    }
}

/// Returns the balance of a service with several replicas; `None` for other services.
pub(super) fn balance(
    workload: &SwarmWorkload,
    service: &WorkloadService,
) -> Option<ServiceBalance> {
    let ServiceMode::Replicated(replicas) = service.mode else {
        return None;
    };
    if replicas < 2 && service.rebalanced_from.is_none() {
        return None;
    }
    let moving = surplus(workload, service, &[]);
    let mut nodes = BTreeMap::new();
    for node in &workload.nodes {
        let text = |pointer: &str| node.pointer(pointer).and_then(serde_json::Value::as_str);
        let id = text("/ID").unwrap_or_default();
        let tasks = tasks_on(workload, service, id);
        if tasks > 0 || super::placement::obstacle(workload, service, node).is_none() {
            let name = text("/Description/Hostname").unwrap_or(id);
            *nodes.entry(name.to_owned()).or_default() += tasks;
        }
    }
    Some(ServiceBalance {
        service: service.name.clone(),
        nodes,
        moving,
        obstacle: (moving > 0)
            .then(|| obstacle(workload, service, replicas))
            .flatten(),
        is_begun: service.rebalanced_from.is_some(),
        service_id: service.id.clone(),
        monitor: service.monitor,
    })
}

/// Returns the number of tasks that must move until no node has two tasks more than another node
/// that could take one. `without` are nodes that take none.
pub(super) fn surplus(
    workload: &SwarmWorkload,
    service: &WorkloadService,
    without: &[String],
) -> usize {
    let mut planned = workload.clone();
    let mut moving = 0;
    loop {
        let Ok(target) = place(&planned, service, without) else {
            return moving;
        };
        let of_service = |task: &SwarmTask| {
            task.service_id == service.id && task.is_active() && !task.node_id.is_empty()
        };
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for task in planned.tasks.iter().filter(|task| of_service(task)) {
            *counts.entry(task.node_id.clone()).or_default() += 1;
        }
        let least = counts.get(&target).copied().unwrap_or(0);
        let fullest = counts.into_iter().max_by_key(|(_, count)| *count);
        let Some((source, _)) = fullest.filter(|(_, most)| *most >= least + 2) else {
            return moving;
        };
        let mut tasks = planned.tasks.iter_mut();
        if let Some(task) = tasks.find(|task| of_service(task) && task.node_id == source) {
            task.node_id = target;
        }
        moving += 1;
    }
}

/// Returns the reason why the tasks of a service must stay where they are.
pub(super) fn obstacle(
    workload: &SwarmWorkload,
    service: &WorkloadService,
    replicas: u64,
) -> Option<String> {
    if service.is_updating {
        return Some("an update of the service runs or is paused".into());
    }
    if let [first, ..] = service.local_volumes.as_slice() {
        return Some(format!(
            "its tasks have their data in the volume {first} of their node"
        ));
    }
    if service.uses_slots {
        return Some("its tasks are told apart by the number of their slot".into());
    }
    if service.has_preferences {
        return Some("its placement preferences decide where tasks run".into());
    }
    let running = workload
        .tasks
        .iter()
        .filter(|task| task.service_id == service.id && task.is_running());
    let running = running.count() as u64;
    (running < replicas).then(|| format!("{running} of its {replicas} tasks run"))
}

fn tasks_on(workload: &SwarmWorkload, service: &WorkloadService, node_id: &str) -> usize {
    workload
        .tasks_on(node_id)
        .filter(|task| task.service_id == service.id)
        .count()
}
