//! Updates of nodes, of services and of the swarm itself outside of a playbook: the maintenance of
//! a node changes its availability, its role and its labels through a manager, or removes it from
//! the swarm. The specification is read right before each update, because an update replaces all of
//! it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::Permit;
use super::locked_host::post_locked;
use crate::docker::RequestBody;
use crate::names::HostName;
use crate::runner::Fleet;
use crate::transport::TransportError;

/// Time limit for one request to one manager.
const CALL_LIMIT: Duration = Duration::from_secs(20);
/// Attempts at an update: each change of a node, also of its state, makes a new version.
const ATTEMPTS: u32 = 10;

/// An object of the swarm whose specification is updated.
enum SwarmObject<'a> {
    Node(&'a str),
    Service(&'a str),
    /// The swarm itself, with flags such as `rotateWorkerToken`.
    Swarm(&'a [&'a str]),
}

impl SwarmObject<'_> {
    fn path(&self) -> String {
        match self {
            Self::Node(id) => format!("/nodes/{id}"),
            Self::Service(id) => format!("/services/{id}"),
            Self::Swarm(_) => "/swarm".into(),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Node(id) => format!("node {id}"),
            Self::Service(id) => format!("service {id}"),
            Self::Swarm(_) => "specification of a swarm".into(),
        }
    }

    fn flags(&self) -> String {
        let flags = match self {
            Self::Node(_) | Self::Service(_) => &[],
            Self::Swarm(flags) => *flags,
        };
        flags.iter().map(|flag| format!("&{flag}=true")).collect()
    }
}

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
    update_object(fleet, managers, &SwarmObject::Node(node_id), edit).await
}

/// Changes the specification of a service, as [`update_node`] does for a node. The swarm keeps the
/// credentials of its registry.
///
/// # Errors
/// Reason why no manager made the change, in one sentence.
pub async fn update_service(
    fleet: &Fleet,
    managers: &[HostName],
    service_id: &str,
    edit: impl Fn(&mut Value) + Sync,
) -> Result<(), String> {
    update_object(fleet, managers, &SwarmObject::Service(service_id), edit).await
}

/// Changes the specification of the swarm, as [`update_node`] does for a node. `flags` are those of
/// the request, such as `rotateWorkerToken`; with flags, the request is sent in any case.
///
/// # Errors
/// Reason why no manager made the change, in one sentence.
pub async fn update_swarm(
    fleet: &Fleet,
    managers: &[HostName],
    flags: &[&str],
    edit: impl Fn(&mut Value) + Sync,
) -> Result<(), String> {
    update_object(fleet, managers, &SwarmObject::Swarm(flags), edit).await
}

async fn update_object(
    fleet: &Fleet,
    managers: &[HostName],
    object: &SwarmObject<'_>,
    edit: impl Fn(&mut Value) + Sync,
) -> Result<(), String> {
    let edit = &edit;
    let ask = |manager| update_through(fleet, manager, object, edit);
    first_manager(managers, ask).await
}

/// Asks the managers in turn until one of them answers for the swarm.
async fn first_manager<'a, F: Future<Output = Result<(), SwarmUpdateError>>>(
    managers: &'a [HostName],
    ask: impl Fn(&'a HostName) -> F,
) -> Result<(), String> {
    let mut reasons = Vec::new();
    for manager in managers {
        match ask(manager).await {
            Ok(()) => return Ok(()),
            Err(SwarmUpdateError::Refused(why)) => return Err(format!("{manager}: {why}")),
            Err(SwarmUpdateError::Silent(why)) => reasons.push(format!("{manager}: {why}")),
        }
    }
    if reasons.is_empty() {
        reasons.push("there is no manager to ask".into());
    }
    Err(reasons.join("; "))
}

/// Reason why an update failed.
pub(super) enum SwarmUpdateError {
    /// The swarm refused it; another manager would do the same.
    Refused(String),
    /// This manager did not answer for the swarm.
    Silent(String),
}

async fn update_through(
    fleet: &Fleet,
    manager: &HostName,
    object: &SwarmObject<'_>,
    edit: &(impl Fn(&mut Value) + Sync),
) -> Result<(), SwarmUpdateError> {
    use SwarmUpdateError::{Refused, Silent};
    let (path, flags) = (object.path(), object.flags());
    for _ in 0..ATTEMPTS {
        let (status, present) = call(fleet, manager, "GET", &path, None).await?;
        if status == 404 {
            return Err(Refused(format!("the swarm has no {}", object.words())));
        }
        let version = present.pointer("/Version/Index").and_then(Value::as_u64);
        let (Some(version), Some(before)) = (version, present.get("Spec")) else {
            let words = object.words();
            return Err(Silent(format!("status {status} without the {words}")));
        };
        let mut spec = before.clone();
        edit(&mut spec);
        if spec == *before && flags.is_empty() {
            return Ok(());
        }
        let path = format!("{path}/update?version={version}{flags}");
        let (status, answer) = call(fleet, manager, "POST", &path, Some(&spec)).await?;
        match status {
            200..=299 => return Ok(()),
            409 => {}
            _ => return Err(Refused(message(status, &answer))),
        }
    }
    Err(Refused(format!(
        "the {} changed during each of {ATTEMPTS} attempts",
        object.words()
    )))
}

/// Sends one request to a host's Engine. An update of an old version has the status 409.
pub(super) async fn call(
    fleet: &Fleet,
    name: &HostName,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<(u16, Value), SwarmUpdateError> {
    use SwarmUpdateError::Silent;
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
    let path = format!("/nodes/{node_id}?force={force}");
    let path = path.as_str();
    let ask = |manager| async move {
        match call(fleet, manager, "DELETE", path, None).await? {
            (200..=299 | 404, _) => Ok(()),
            (status, answer) => Err(SwarmUpdateError::Refused(message(status, &answer))),
        }
    };
    first_manager(managers, ask).await
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
    post_locked(fleet, host, "/swarm/leave", None, owner, wait).await
}
