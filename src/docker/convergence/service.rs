//! Convergence of one service, computed from the lists of the Docker Engine API. Pure: it reads
//! nothing.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// Lists of one reading.
pub(super) struct TaskSnapshot<'a> {
    pub tasks: &'a [Value],
    pub nodes: &'a [Value],
    /// IDs of tasks that had ended before the wait began.
    pub past: &'a BTreeSet<String>,
}

/// Convergence of one service at the moment of a reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceConvergence {
    /// Name of the service.
    pub service: String,
    /// Running tasks of the new version; for a job, its complete tasks.
    pub running: u64,
    /// Number of tasks that should run.
    pub desired: u64,
    /// True if the whole service runs as it should.
    pub settled: bool,
    /// True if the service makes no further progress by itself.
    pub over: bool,
    /// True if a task finds no node, and no task of the service is shutting down.
    pub unplaced: bool,
    /// Number of tasks that failed since the wait began.
    pub failures: usize,
    /// Number of tasks that failed at their network: it may not have reached the node yet, or may
    /// still be there after `docker stack rm`.
    pub unattached: usize,
    /// Last error, with its node.
    pub trouble: Option<String>,
}

impl ServiceConvergence {
    /// Returns the state for people: `web_app 0/1 running: No such image: x (on docker02)`.
    #[must_use]
    pub fn words(&self) -> String {
        let why = self
            .trouble
            .as_ref()
            .map_or_else(String::new, |why| format!(": {why}"));
        format!(
            "{} {}/{} running{why}",
            self.service, self.running, self.desired
        )
    }
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Returns true if the task is in a final state.
fn is_over(task: &Value) -> bool {
    matches!(
        text(task, "/Status/State"),
        "complete" | "shutdown" | "failed" | "rejected" | "remove" | "orphaned"
    )
}

fn is_failed(task: &Value) -> bool {
    matches!(text(task, "/Status/State"), "failed" | "rejected")
}

/// Returns true for the errors of Docker Engines about a network that is not complete on their
/// node, while it appears or is removed.
fn at_its_network(task: &Value) -> bool {
    let said = text(task, "/Status/Err");
    [
        "could not find network",
        "attaching to network failed",
        "network sandbox join failed",
        "No such network",
        "network not found",
        "error creating vxlan interface",
        "error while removing network",
    ]
    .iter()
    .any(|word| said.contains(word))
        || (said.starts_with("network ") && said.ends_with("not found"))
}

/// Returns the IDs of the tasks that have ended.
pub(super) fn ended(tasks: &[Value]) -> BTreeSet<String> {
    tasks
        .iter()
        .filter(|task| is_over(task))
        .map(|task| text(task, "/ID").to_owned())
        .collect()
}

/// Evaluates the convergence of one service.
pub(super) fn evaluate_service(service: &Value, seen: &TaskSnapshot<'_>) -> ServiceConvergence {
    let id = text(service, "/ID");
    let template = comparable(service.pointer("/Spec/TaskTemplate"));
    let mine: Vec<&Value> = seen
        .tasks
        .iter()
        .filter(|task| text(task, "/ServiceID") == id)
        .collect();
    let current: Vec<&Value> = mine
        .iter()
        .copied()
        .filter(|task| comparable(task.get("Spec")) == template)
        .collect();
    let wanted_running: Vec<&Value> = mine
        .iter()
        .copied()
        .filter(|task| text(task, "/DesiredState") == "running")
        .collect();
    let old = wanted_running
        .iter()
        .any(|task| comparable(task.get("Spec")) != template);

    let job = service
        .pointer("/Spec/Mode/ReplicatedJob")
        .or_else(|| service.pointer("/Spec/Mode/GlobalJob"));
    let replicas = service
        .pointer("/Spec/Mode/Replicated")
        .map(|mode| mode.get("Replicas").and_then(Value::as_u64).unwrap_or(1));
    let state = |wanted: &'static str| {
        current
            .iter()
            .filter(move |task| text(task, "/Status/State") == wanted)
    };
    let running = match job {
        Some(_) => state("complete").count(),
        None => state("running")
            .filter(|task| text(task, "/DesiredState") == "running")
            .count(),
    };
    let desired = match (job, replicas) {
        (Some(job), _) => job
            .get("TotalCompletions")
            .and_then(Value::as_u64)
            .unwrap_or(1),
        (None, Some(replicas)) => replicas,
        // A global service has one task for each eligible node.
        (None, None) => wanted_running.len() as u64,
    };
    let global = job.is_none() && replicas.is_none();
    let running = running as u64;

    let update = text(service, "/UpdateStatus/State");
    let taken_back = matches!(update, "paused" | "rollback_completed" | "rollback_paused");
    let in_motion = matches!(update, "updating" | "rollback_started");
    // Tasks of the old version may fail while they shut down, so they are ignored, unless the
    // update was rolled back: then the failed tasks are those of the new version.
    let whose = if taken_back { &mine } else { &current };
    let failed: Vec<&Value> = whose
        .iter()
        .copied()
        .filter(|task| is_failed(task))
        .collect();
    let new = failed
        .iter()
        .filter(|task| !seen.past.contains(text(task, "/ID")));
    let (unattached, failures): (Vec<&&Value>, Vec<&&Value>) =
        new.partition(|task| at_its_network(task));
    let leaving = mine
        .iter()
        .any(|task| text(task, "/DesiredState") == "shutdown" && !is_over(task));
    let unplaced = wanted_running.iter().find(|task| {
        text(task, "/Status/State") == "pending" && !text(task, "/Status/Err").is_empty()
    });

    let nowhere = global && desired == 0 && !in_motion;
    let settled = running == desired && !(old || in_motion || taken_back || nowhere);
    // Without a task that could still run, nothing further happens by itself.
    let abandoned = running < desired
        && !failed.is_empty()
        && mine.iter().all(|task| is_over(task))
        && !in_motion;
    let trouble = if settled {
        None
    } else {
        trouble(service, taken_back, unplaced.copied(), &failed, seen.nodes)
    };
    ServiceConvergence {
        service: text(service, "/Spec/Name").to_owned(),
        running,
        desired,
        settled,
        over: taken_back || abandoned,
        unplaced: (unplaced.is_some() && !leaving) || nowhere,
        failures: failures.len(),
        unattached: unattached.len(),
        trouble: trouble.or_else(|| nowhere.then(|| "no node satisfies its constraints".into())),
    }
}

fn trouble(
    service: &Value,
    taken_back: bool,
    unplaced: Option<&Value>,
    failed: &[&Value],
    nodes: &[Value],
) -> Option<String> {
    // The Engine's error about its own cleanup after a task ended hides the reason why it ended.
    let tells =
        |task: &Value| !text(task, "/Status/Err").starts_with("error while removing network");
    let last = failed
        .iter()
        .max_by_key(|task| (tells(task), text(task, "/Status/Timestamp")));
    let last = last.map(|task| {
        format!(
            "{}{}{}",
            text(task, "/Status/Err"),
            killed(task),
            on_node(task, nodes)
        )
    });
    if taken_back {
        let how = match text(service, "/UpdateStatus/State") {
            "paused" => "the update was paused",
            "rollback_paused" => "the update was rolled back, and the rollback failed as well",
            _ => "the update was rolled back",
        };
        let words = [
            Some(how.to_owned()),
            Some(text(service, "/UpdateStatus/Message").to_owned()),
            last,
        ];
        return Some(
            words
                .into_iter()
                .flatten()
                .filter(|word| !word.is_empty())
                .collect::<Vec<_>>()
                .join("; "),
        );
    }
    unplaced
        .map(|task| text(task, "/Status/Err").to_owned())
        .or(last)
}

/// Returns a note on a memory limit if the task was killed. 137 is 128 plus the number of SIGKILL,
/// which the kernel sends to a process that exceeds its memory limit; the swarm does not report who
/// sent it.
fn killed(task: &Value) -> String {
    let limit = task
        .pointer("/Spec/Resources/Limits/MemoryBytes")
        .and_then(Value::as_u64)
        .filter(|limit| *limit > 0);
    match limit.filter(|_| text(task, "/Status/Err").contains("(137)")) {
        Some(limit) => format!(
            ", killed (SIGKILL), as happens when it exceeds its memory limit of {} MiB",
            limit >> 20
        ),
        None => String::new(),
    }
}

fn on_node(task: &Value, nodes: &[Value]) -> String {
    let id = text(task, "/NodeID");
    let name = nodes
        .iter()
        .find(|node| text(node, "/ID") == id)
        .map(|node| text(node, "/Description/Hostname"));
    match name.filter(|name| !name.is_empty()) {
        Some(name) => format!(" (on {name})"),
        None => String::new(),
    }
}

/// Returns a task's specification without its placement: a task that fits a new placement keeps
/// running with its old specification.
fn comparable(spec: Option<&Value>) -> Map<String, Value> {
    let mut spec = spec.and_then(Value::as_object).cloned().unwrap_or_default();
    spec.remove("Placement");
    // Services have this field, their tasks do not.
    spec.remove("Runtime");
    spec
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn service(mode: &Value, update: &str) -> Value {
        json!({"ID": "s1", "Spec": {"Name": "web_app", "Mode": mode, "TaskTemplate": {"ContainerSpec": {"Image": "new"}, "Runtime": "container"}},
               "UpdateStatus": {"State": update, "Message": "update paused due to failure"}})
    }

    fn task(id: &str, image: &str, wanted: &str, state: &str, error: &str) -> Value {
        json!({"ID": id, "ServiceID": "s1", "NodeID": "n2", "DesiredState": wanted,
               "Spec": {"ContainerSpec": {"Image": image}, "Placement": {"Constraints": [id]}},
               "Status": {"State": state, "Err": error, "Timestamp": format!("2026-01-01T00:00:0{}Z", id.len())}})
    }

    fn look(service: &Value, tasks: &[Value]) -> ServiceConvergence {
        let nodes = [json!({"ID": "n2", "Description": {"Hostname": "docker02"}})];
        evaluate_service(
            service,
            &TaskSnapshot {
                tasks,
                nodes: &nodes,
                past: &["past".to_owned()].into(),
            },
        )
    }

    #[test]
    fn service_is_settled_when_all_tasks_of_the_new_version_run() {
        let two = json!({"Replicated": {"Replicas": 2}});
        let running = |id, image| task(id, image, "running", "running", "");
        let standing = look(
            &service(&two, ""),
            &[running("a", "new"), running("b", "new")],
        );
        assert!(
            standing.settled && standing.trouble.is_none(),
            "{standing:?}"
        );
        let standing = look(
            &service(&two, ""),
            &[running("a", "new"), running("b", "old")],
        );
        assert_eq!(
            (standing.running, standing.desired, standing.settled),
            (1, 2, false)
        );
        assert!(
            !look(
                &service(&two, "updating"),
                &[running("a", "new"), running("b", "new")]
            )
            .settled
        );
        assert!(
            look(
                &service(&json!({"Global": {}}), "completed"),
                &[running("a", "new")]
            )
            .settled
        );
    }

    #[test]
    fn rollback_is_final_and_gives_its_reason() {
        let one = json!({"Replicated": {}});
        let tasks = [
            task("a", "new", "running", "running", ""),
            task("bb", "old", "shutdown", "failed", "task: non-zero exit (3)"),
            task(
                "ccc",
                "old",
                "shutdown",
                "failed",
                "error while removing network: unknown network",
            ),
        ];
        for (state, word) in [
            ("rollback_completed", "rolled back"),
            ("paused", "update was paused"),
            ("rollback_paused", "rollback failed as well"),
        ] {
            let standing = look(&service(&one, state), &tasks);
            assert!(standing.over && !standing.settled, "{standing:?}");
            let words = standing.words();
            assert!(
                words.contains(word) && words.contains("non-zero exit (3) (on docker02)"),
                "{words}"
            );
        }
        assert!(!look(&service(&one, "rollback_started"), &tasks).over);
    }

    #[test]
    fn failures_before_the_wait_do_not_count() {
        let one = json!({"Replicated": {"Replicas": 1}});
        let failed = |id| task(id, "new", "shutdown", "rejected", "No such image: new:1");
        let standing = look(
            &service(&one, ""),
            &[
                failed("past"),
                failed("b"),
                task("c", "new", "running", "preparing", ""),
            ],
        );
        assert_eq!((standing.failures, standing.over), (1, false));
        assert!(
            standing
                .words()
                .contains("No such image: new:1 (on docker02)")
        );
        // Without a task that could still run, the service is over.
        assert!(look(&service(&one, ""), &[failed("past")]).over);
    }

    #[test]
    fn failures_at_a_missing_network_are_counted_apart() {
        let one = json!({"Replicated": {"Replicas": 1}});
        let failed = |id, why| task(id, "new", "shutdown", "rejected", why);
        let tasks = [
            failed("a", "network web_default not found"),
            failed(
                "b",
                "attaching to network failed, make sure your network options are correct",
            ),
            failed("c", "No such image: new:1"),
            task("d", "new", "running", "preparing", ""),
        ];
        let standing = look(&service(&one, ""), &tasks);
        assert_eq!(
            (standing.failures, standing.unattached, standing.over),
            (1, 2, false)
        );
    }

    #[test]
    fn killed_task_with_a_memory_limit_names_the_limit() {
        let one = json!({"Replicated": {"Replicas": 1}});
        let words = |limit: Option<u64>, error| {
            let mut failed = task("b", "new", "shutdown", "failed", error);
            let mut service = service(&one, "");
            if let Some(limit) = limit {
                let limits = json!({"Limits": {"MemoryBytes": limit}});
                failed["Spec"]["Resources"] = limits.clone();
                service["Spec"]["TaskTemplate"]["Resources"] = limits;
            }
            look(&service, &[failed]).words()
        };
        let said = words(Some(32 << 20), "task: non-zero exit (137)");
        assert!(
            said.ends_with(
                "(137), killed (SIGKILL), as happens when it exceeds its memory limit of 32 MiB (on docker02)"
            ),
            "{said}"
        );
        assert!(!words(None, "task: non-zero exit (137)").contains("memory"));
        assert!(!words(Some(32 << 20), "task: non-zero exit (1)").contains("memory"));
    }

    #[test]
    fn failed_tasks_of_the_old_version_do_not_count() {
        let one = json!({"Replicated": {"Replicas": 1}});
        let old = task("b", "old", "shutdown", "failed", "No such container");
        let standing = look(
            &service(&one, "updating"),
            &[old, task("a", "new", "running", "starting", "")],
        );
        assert_eq!((standing.failures, standing.trouble), (0, None));
    }

    #[test]
    fn pending_task_without_a_node_is_unplaced() {
        let one = json!({"Replicated": {"Replicas": 1}});
        let pending = task(
            "a",
            "new",
            "running",
            "pending",
            "no suitable node (scheduling constraints not satisfied on 3 nodes)",
        );
        let standing = look(&service(&one, ""), std::slice::from_ref(&pending));
        assert!(
            standing.unplaced && standing.words().contains("no suitable node"),
            "{standing:?}"
        );
        let leaving = task("b", "old", "shutdown", "running", "");
        assert!(
            !look(&service(&one, ""), &[pending, leaving]).unplaced,
            "the node may become free"
        );
        assert!(look(&service(&json!({"Global": {}}), ""), &[]).unplaced);
    }
}
