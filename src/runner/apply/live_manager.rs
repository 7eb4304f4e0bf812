//! Finds the manager through which a step reaches the swarm.

use serde_json::Value;

use super::step_error::StepError;
use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet};

/// Returns the first of these hosts whose Docker Engine is a manager of a swarm now.
pub(super) async fn live_manager(
    fleet: &Fleet,
    managers: &[HostName],
) -> Result<HostName, StepError> {
    for manager in managers {
        let info = fleet.get(manager, "/info").await;
        let in_control = info
            .ok()
            .and_then(|info| info.pointer("/Swarm/ControlAvailable"))
            .and_then(Value::as_bool);
        if in_control == Some(true) {
            return Ok(manager.clone());
        }
    }
    let names: Vec<&str> = managers.iter().map(HostName::as_str).collect();
    Err(StepError::DeferredValue(format!(
        "no host of {} answers as a manager of the swarm",
        names.join(", ")
    )))
}
