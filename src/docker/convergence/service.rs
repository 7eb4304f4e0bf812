//! Where one service stands, out of what the Engine's API lists: pure.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

/// What one look saw.
pub(super) struct TaskSnapshot<'a> {
    pub tasks: &'a [Value],
    pub nodes: &'a [Value],
    /// IDs of tasks that ended before the waiting began.
    pub past: &'a BTreeSet<String>,
}

/// Where a service stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceConvergence {
    /// Name of the service.
    pub service: String,
    /// Tasks of the new version that run, or for a job those that are complete.
    pub running: u64,
    /// Tasks that should run.
    pub desired: u64,
    /// Whether all of it is as it should be.
    pub settled: bool,
    /// Whether it will not come any further by itself.
    pub over: bool,
    /// Whether a task finds no node, and none of the service is on its way out.
    pub unplaced: bool,
    /// Tasks that failed since the waiting began.
    pub failures: usize,
    /// Those that failed at their network: it may still be on its way to the node, or on its way out after `docker stack rm`.
    pub unattached: usize,
    /// The last error, with its node.
    pub trouble: Option<String>,
}

impl ServiceConvergence {
    /// For people: `web_app 0/1 running: No such image: x (on docker02)`.
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

/// States that a task does not leave.
fn is_over(task: &Value) -> bool {
    matches!(
        text(task, "/Status/State"),
        "complete" | "shutdown" | "failed" | "rejected" | "remove" | "orphaned"
    )
}

fn is_failed(task: &Value) -> bool {
    matches!(text(task, "/Status/State"), "failed" | "rejected")
}

/// What Engines say of a network that is not whole on their node, while it comes or goes.
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

/// IDs of the tasks that have ended.
pub(super) fn ended(tasks: &[Value]) -> BTreeSet<String> {
    tasks
        .iter()
        .filter(|task| is_over(task))
        .map(|task| text(task, "/ID").to_owned())
        .collect()
}

/// Where a service stands.
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
        // A global service has a task for each node that it fits.
        (None, None) => wanted_running.len() as u64,
    };
    let global = job.is_none() && replicas.is_none();
    let running = running as u64;

    let update = text(service, "/UpdateStatus/State");
    let taken_back = matches!(update, "paused" | "rollback_completed" | "rollback_paused");
    let in_motion = matches!(update, "updating" | "rollback_started");
    // Tasks of the version before may end badly while they are told to go: only where that one is wanted again, what failed is
    // the version that was to replace it.
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
    // With no task left that could come to run, nothing further happens by itself.
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
    // What an Engine says of its own cleaning, when a task went, hides why it went.
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
            "paused" => "the update was stopped half-way",
            "rollback_paused" => "the update was rolled back, and that failed too",
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

/// 137 is 128 and the number of SIGKILL. The kernel sends it to what takes more memory than it may; the swarm does not say who did.
fn killed(task: &Value) -> String {
    let limit = task
        .pointer("/Spec/Resources/Limits/MemoryBytes")
        .and_then(Value::as_u64)
        .filter(|limit| *limit > 0);
    match limit.filter(|_| text(task, "/Status/Err").contains("(137)")) {
        Some(limit) => format!(
            ", killed as when it takes more memory than its limit of {} MiB",
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

/// A task's specification without its placement: a task that fits a new placement is left as it is, with its old words.
fn comparable(spec: Option<&Value>) -> Map<String, Value> {
    let mut spec = spec.and_then(Value::as_object).cloned().unwrap_or_default();
    spec.remove("Placement");
    // Told of services and not of their tasks.
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
    fn running_as_wanted_is_settled_and_old_versions_do_not_count() {
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
    fn a_rollback_is_over_and_says_why() {
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
            ("paused", "half-way"),
            ("rollback_paused", "failed too"),
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
    fn failures_count_from_now_on() {
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
        // With nothing left that could run, it is over.
        assert!(look(&service(&one, ""), &[failed("past")]).over);
    }

    #[test]
    fn a_network_that_is_not_there_yet_is_no_failure_of_the_service() {
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
    fn a_task_that_was_killed_within_a_limit_of_memory_is_told_so() {
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
                "(137), killed as when it takes more memory than its limit of 32 MiB (on docker02)"
            ),
            "{said}"
        );
        assert!(!words(None, "task: non-zero exit (137)").contains("memory"));
        assert!(!words(Some(32 << 20), "task: non-zero exit (1)").contains("memory"));
    }

    #[test]
    fn how_the_old_version_ends_is_no_failure() {
        let one = json!({"Replicated": {"Replicas": 1}});
        let old = task("b", "old", "shutdown", "failed", "No such container");
        let standing = look(
            &service(&one, "updating"),
            &[old, task("a", "new", "running", "starting", "")],
        );
        assert_eq!((standing.failures, standing.trouble), (0, None));
    }

    #[test]
    fn no_node_fits() {
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
            "the node may come free"
        );
        assert!(look(&service(&json!({"Global": {}}), ""), &[]).unplaced);
    }
}
