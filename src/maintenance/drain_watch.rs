//! Progress of a drain: whether the tasks of the node have ended, and their replacements run. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::assess::ServiceImpact;
use super::workload::{SwarmTask, SwarmWorkload};

/// Tasks that a drain waits for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct DrainProgress {
    /// Services with tasks on the node that have not ended, and the number of these tasks.
    pub left: BTreeMap<String, usize>,
    /// Services whose replacements do not run yet, with the reason.
    pub missing: BTreeMap<String, String>,
}

impl DrainProgress {
    /// Returns true if there is nothing to wait for.
    pub(super) fn is_complete(&self) -> bool {
        self.left.is_empty() && self.missing.is_empty()
    }

    /// Returns what the drain waits for, in words.
    pub(super) fn words(&self) -> String {
        let left = self.left.iter().map(|(service, count)| {
            let tasks = if *count == 1 { "task" } else { "tasks" };
            format!("{service}: {count} {tasks} not stopped yet")
        });
        let missing = self
            .missing
            .iter()
            .map(|(service, why)| format!("{service}: {why}"));
        left.chain(missing).collect::<Vec<_>>().join("; ")
    }
}

/// Returns the time for which the replacements must run before the drain is complete: the longest
/// time for which the swarm itself watches a new task.
pub(super) fn settling_time(impacts: &[ServiceImpact]) -> Duration {
    let moving = impacts.iter().filter(|impact| impact.moving > 0);
    Duration::from_nanos(moving.map(|impact| impact.monitor).max().unwrap_or(0))
}

/// Compares a reading with the assessment before the drain.
pub(super) fn progress(
    workload: &SwarmWorkload,
    node_id: &str,
    impacts: &[ServiceImpact],
) -> DrainProgress {
    let mut progress = DrainProgress::default();
    // A task that should stop counts until it has: it may still serve requests.
    let left = workload
        .tasks
        .iter()
        .filter(|task| task.node_id == node_id && !task.has_ended());
    for task in left {
        let name = workload
            .service(&task.service_id)
            .map_or("a removed service", |service| service.name.as_str());
        *progress.left.entry(name.to_owned()).or_default() += 1;
    }
    for impact in impacts {
        // A service that was removed or made smaller meanwhile is not waited for.
        let Some(service) = workload.service(&impact.service_id) else {
            continue;
        };
        let wanted = match service.mode {
            super::workload::ServiceMode::Replicated(replicas) => {
                usize::try_from(replicas).unwrap_or(usize::MAX)
            }
            _ => 0,
        };
        let needed = impact.needed.min(wanted);
        let mine = |task: &&SwarmTask| task.service_id == service.id && task.node_id != node_id;
        let running = workload
            .tasks
            .iter()
            .filter(mine)
            .filter(|task| task.is_running())
            .count();
        if running < needed {
            let trouble = workload
                .tasks
                .iter()
                .filter(mine)
                .find(|task| task.is_active() && !task.is_running() && !task.error.is_empty());
            let why = trouble.map_or_else(String::new, |task| format!(" ({})", task.error));
            let counts = format!("{running} of {needed} tasks run on other nodes{why}");
            progress.missing.insert(service.name.clone(), counts);
        }
    }
    progress
}
