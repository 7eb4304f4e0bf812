//! The steps that membership is made of: requests to a manager, and waits for a value.

use std::time::Duration;

use serde_json::Value;

use crate::model::{DeferredValue, DockerCall, GeneratedValue, Operation, Step, WaitForValue};
use crate::names::HostName;

/// Time limit of a join; the Engine itself waits 20 s and then continues in the background.
pub(super) const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// Time limit until a node's Engine reports it as active.
pub(super) const ACTIVE_WITHIN: Duration = Duration::from_secs(60);

/// Time limit for the managers to report a node that left as down (three missed heartbeats of 5 s,
/// with a large margin).
pub(super) const DOWN_WITHIN: Duration = Duration::from_secs(90);

/// Returns a step that calls the API of an Engine: the host's own Engine if `managers` is empty.
pub(super) fn call(
    summary: impl Into<String>,
    managers: Vec<HostName>,
    method: &'static str,
    path: impl Into<String>,
    body: Option<Value>,
    late: Vec<DeferredValue>,
) -> Step {
    let call = DockerCall {
        managers,
        method,
        path: path.into(),
        body,
        late,
        made: GeneratedValue::Nothing,
        timeout: JOIN_TIMEOUT,
    };
    Step {
        summary: summary.into(),
        act: Operation::DockerApi(call),
    }
}

/// Returns a step that waits for a field of an Engine's answer.
pub(super) fn wait(
    summary: impl Into<String>,
    managers: Vec<HostName>,
    path: impl Into<String>,
    pointer: &str,
    equals: impl Into<Value>,
    deadline: Duration,
) -> Step {
    let wait = WaitForValue {
        managers,
        path: path.into(),
        pointer: pointer.into(),
        equals: equals.into(),
        deadline,
    };
    Step {
        summary: summary.into(),
        act: Operation::Wait(wait),
    }
}

/// Returns a step that waits for a field of the host's own `/info`.
pub(super) fn wait_own(summary: &str, pointer: &str, equals: impl Into<Value>) -> Step {
    wait(summary, Vec::new(), "/info", pointer, equals, ACTIVE_WITHIN)
}
