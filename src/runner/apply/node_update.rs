//! Updates of nodes outside of a playbook: the maintenance of a node changes its availability, its
//! role and its labels through a manager. The specification is read right before each update,
//! because an update replaces all of it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;

use super::Permit;
use crate::docker::RequestBody;
use crate::names::HostName;
use crate::runner::Fleet;
use crate::transport::TransportError;

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
enum NodeUpdateError {
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
    let permit = Permit::grant();
    let host = fleet.host(manager).await;
    let host = host.map_err(|error| Silent(error.to_string()))?;
    let call = async |method: &str, path: &str, body: RequestBody| {
        let call = host.request(&permit, method, path, &body, CALL_LIMIT);
        match timeout(CALL_LIMIT, call).await {
            Ok(Ok((status, answer))) if status < 500 => Ok((status, answer)),
            Ok(Ok((status, answer))) => {
                let said = answer.get("message").and_then(Value::as_str);
                let said = said.map_or_else(|| format!("status {status}"), str::to_owned);
                if said.contains("out of sequence") {
                    return Ok((409, answer));
                }
                Err(Silent(said))
            }
            Ok(Err(error)) => Err(Silent(error.to_string())),
            Err(_) => Err(Silent(TransportError::Timeout(CALL_LIMIT).to_string())),
        }
    };
    for _ in 0..ATTEMPTS {
        let path = format!("/nodes/{node_id}");
        let (status, node) = call("GET", &path, RequestBody::default()).await?;
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
        let (status, answer) = call("POST", &path, RequestBody::json(&spec)).await?;
        match status {
            200..=299 => return Ok(()),
            409 => {}
            _ => {
                let said = answer.get("message").and_then(Value::as_str);
                return Err(Refused(
                    said.map_or_else(|| format!("status {status}"), str::to_owned),
                ));
            }
        }
    }
    Err(Refused(format!(
        "the node changed during each of {ATTEMPTS} attempts"
    )))
}
