//! Updates of nodes outside of a playbook: the maintenance of a node changes its availability, its
//! role and its labels through a manager, or removes it from the swarm. The specification is read
//! right before each update, because an update replaces all of it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::Permit;
use crate::docker::RequestBody;
use crate::names::HostName;
use crate::runner::Fleet;
use crate::transport::{HostLock, TransportError};

/// Time limit for one request to one manager.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// Attempts at an update: each change of the node, also of its state, makes a new version.
const ATTEMPTS: u32 = 10;

/// Changes the specification of a node through the first of these managers that answers. `edit`
/// gets the present specification; if it changes nothing, no request is sent.
///
/// # Errors
/// Reason why no manager made the change, in one sentence.
pub async fn update_node(
    fleet: &Fleet,
    managers: &[HostName],
    node_id: &str,
    edit: impl Fn(&mut Value) + Sync,
) -> Result<(), String> {
    let mut reasons = Vec::new();
    for manager in managers {
        match update_through(fleet, manager, node_id, &edit).await {
            Ok(()) => return Ok(()),
            Err(NodeUpdateError::Refused(why)) => return Err(format!("{manager}: {why}")),
            Err(NodeUpdateError::Silent(why)) => reasons.push(format!("{manager}: {why}")),
        }
    }
    if reasons.is_empty() {
        reasons.push("there is no manager to ask".into());
    }
    Err(reasons.join("; "))
}

/// Reason why an update failed.
pub(super) enum NodeUpdateError {
    /// The swarm refused it; another manager would do the same.
    Refused(String),
    /// This manager did not answer for the swarm.
    Silent(String),
}

async fn update_through(
    fleet: &Fleet,
    manager: &HostName,
    node_id: &str,
    edit: &(impl Fn(&mut Value) + Sync),
) -> Result<(), NodeUpdateError> {
    use NodeUpdateError::{Refused, Silent};
    for _ in 0..ATTEMPTS {
        let path = format!("/nodes/{node_id}");
        let (status, node) = call(fleet, manager, "GET", &path, None).await?;
        if status == 404 {
            return Err(Refused(format!("the swarm has no node {node_id}")));
        }
        let version = node.pointer("/Version/Index").and_then(Value::as_u64);
        let (Some(version), Some(before)) = (version, node.get("Spec")) else {
            return Err(Silent(format!("status {status} without a node")));
        };
        let mut spec = before.clone();
        edit(&mut spec);
        if spec == *before {
            return Ok(());
        }
        let path = format!("/nodes/{node_id}/update?version={version}");
        let (status, answer) = call(fleet, manager, "POST", &path, Some(&spec)).await?;
        match status {
            200..=299 => return Ok(()),
            409 => {}
            _ => return Err(Refused(message(status, &answer))),
        }
    }
    Err(Refused(format!(
        "the node changed during each of {ATTEMPTS} attempts"
    )))
}

/// Sends one request to a host's Engine. An update of an old version has the status 409.
pub(super) async fn call(
    fleet: &Fleet,
    name: &HostName,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, Value), NodeUpdateError> {
    use NodeUpdateError::Silent;
    let permit = Permit::grant();
    let body = body.map(RequestBody::json).unwrap_or_default();
    let host = fleet.host(name).await;
    let host = host.map_err(|error| Silent(error.to_string()))?;
    let request = host.request(&permit, method, path, &body, CALL_LIMIT);
    match timeout(CALL_LIMIT, request).await {
        Ok(Ok((_, answer))) if message(0, &answer).contains("out of sequence") => Ok((409, answer)),
        Ok(Ok((status, answer))) if status < 500 => Ok((status, answer)),
        Ok(Ok((status, answer))) => Err(Silent(message(status, &answer))),
        Ok(Err(error)) => Err(Silent(error.to_string())),
        Err(_) => Err(Silent(TransportError::Timeout(CALL_LIMIT).to_string())),
    }
}

pub(super) fn message(status: u16, answer: &Value) -> String {
    let said = answer.get("message").and_then(Value::as_str);
    said.map_or_else(|| format!("status {status}"), |said| said.trim().to_owned())
}

/// Removes a node from the list of the managers. With `force`, the node may still be listed as
/// ready. A node that is not listed counts as removed.
///
/// # Errors
/// Reason why no manager removed it, in one sentence.
pub async fn remove_node(
    fleet: &Fleet,
    managers: &[HostName],
    node_id: &str,
    force: bool,
) -> Result<(), String> {
    let mut reasons = Vec::new();
    for manager in managers {
        let path = format!("/nodes/{node_id}?force={force}");
        match call(fleet, manager, "DELETE", &path, None).await {
            Ok((200..=299 | 404, _)) => return Ok(()),
            Ok((status, answer)) => {
                return Err(format!("{manager}: {}", message(status, &answer)));
            }
            Err(NodeUpdateError::Refused(why) | NodeUpdateError::Silent(why)) => {
                reasons.push(format!("{manager}: {why}"));
            }
        }
    }
    Err(reasons.join("; "))
}

/// Makes a worker leave its swarm, with the lock of its host. A manager is refused.
///
/// # Errors
/// Reason why the host did not leave, in one sentence.
pub async fn leave_swarm(
    fleet: &Fleet,
    host: &HostName,
    owner: &str,
    wait: Duration,
) -> Result<(), String> {
    let permit = Permit::grant();
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let connection = connected.connection(&permit).clone();
    let lock = HostLock::acquire(connection, &format!("{owner} for {host}"), wait).await;
    let lock = lock.map_err(|error| error.to_string())?;
    let left = call(fleet, host, "POST", "/swarm/leave", None).await;
    // A lock that is not released ends by itself, and the host has left its swarm in any case.
    if let Err(error) = lock.release().await {
        tracing::debug!(%host, %error, "the lock was not released");
    }
    match left {
        Ok((200..=299, _)) => Ok(()),
        Ok((status, answer)) => Err(message(status, &answer)),
        Err(NodeUpdateError::Refused(why) | NodeUpdateError::Silent(why)) => Err(why),
    }
}
