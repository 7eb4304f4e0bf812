//! Removal of a stack: its services first, then, after their tasks have stopped, all its other
//! objects. Volumes stay, as with `docker stack rm`.

use std::time::Duration;

use serde_json::Value;

use super::super::cluster::request;
use super::{LiveStack, StackResource};
use crate::model::{
    Action, Change, DisplayValue, Operation, Step, WaitForValue, docker_filters, stack_label,
};
use crate::names::HostName;

/// Time limit for the tasks to stop; a task gets ten seconds unless its service sets another time.
const TASKS_GONE: Duration = Duration::from_secs(120);

/// Returns the change that removes the stack; `None` when no object of it exists.
pub(super) fn plan(
    stack: &StackResource,
    live: &LiveStack,
    managers: &[HostName],
) -> Option<Change> {
    if live.is_empty(&stack.name) {
        return None;
    }
    let mut change = Change::new(Action::Delete);
    let remove = |change: Change, sort: &str, object: &Value| {
        let name = object
            .get("Name")
            .or_else(|| object.pointer("/Spec/Name"))
            .and_then(Value::as_str)
            .unwrap_or("?");
        let id = object
            .get("ID")
            .or_else(|| object.get("Id"))
            .and_then(Value::as_str)
            .unwrap_or_default();
        let one = sort.trim_end_matches('s');
        let step = request(
            format!("remove the {one} {name}"),
            managers,
            "DELETE",
            format!("/{sort}/{id}"),
            None,
        );
        change
            .field(
                format!("{one} {name}"),
                DisplayValue::text("present"),
                DisplayValue::Absent,
            )
            .step(step)
    };
    for service in live.own_services(&stack.name) {
        change = remove(change, "services", service);
    }
    // A network, secret or config that a task still uses cannot be removed.
    change = change.step(Step {
        summary: format!("wait until the tasks of {} are gone", stack.name),
        act: Operation::Wait(WaitForValue {
            managers: managers.to_vec(),
            path: format!(
                "/tasks?filters={}",
                docker_filters(&[("label", &[&stack_label(&stack.name)])])
            ),
            pointer: String::new(),
            equals: Value::Array(Vec::new()),
            deadline: TASKS_GONE,
        }),
    });
    for secret in &live.secrets {
        change = remove(change, "secrets", secret);
    }
    for config in &live.configs {
        change = remove(change, "configs", config);
    }
    for network in live.own_networks(&stack.name) {
        change = remove(change, "networks", network);
    }
    Some(change.note("volumes of the stack stay on their nodes"))
}
