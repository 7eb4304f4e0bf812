//! Makes a backup: drains a manager that is not the leader, stops its Engine, copies the state of
//! the swarm, and takes the node back.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::Value;

use super::archive::{BackupManifest, ManifestNode, SwarmBackup};
use crate::inventory::Inventory;
use crate::maintenance::drain::check_interruption;
use crate::maintenance::node_visit::NodeVisit;
use crate::maintenance::reading::{SwarmReading, read_settled_swarm, read_swarm};
use crate::maintenance::remove::local_volumes;
use crate::maintenance::{DrainPurpose, MaintenanceError, NodeTarget};
use crate::model::sha256;
use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet, read_raft_archive};

/// Reason for no backup of an autolocked swarm; docs/decisions/0146 has the tries.
const AUTOLOCKED: &str = "the swarm is autolocked, and Docker Engine cannot start an autolocked swarm anew from a copy; turn autolock off \
    (`docker swarm update --autolock=false` on a manager), make the backup, and turn it on again";

/// Plan of a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupPlan {
    /// The manager whose state is copied.
    pub target: NodeTarget,
    /// Note about the voters.
    pub note: Option<String>,
}

impl BackupPlan {
    /// Checks that no service is interrupted.
    ///
    /// # Errors
    /// [`MaintenanceError::Interruption`].
    pub fn check(&self) -> Result<(), MaintenanceError> {
        check_interruption(&self.target)
    }
}

/// Reads the swarm, and chooses a manager that is not the leader; `from` is the choice of the
/// operator.
///
/// # Errors
/// [`MaintenanceError`] if no manager can be stopped.
pub async fn plan_backup(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    from: Option<&HostName>,
    forks: usize,
) -> Result<BackupPlan, MaintenanceError> {
    let reading = read_settled_swarm(fleet, inventory, forks).await?;
    let managers = reading.managers.iter();
    let managers = managers.filter(|host| from.is_none_or(|one| one == *host));
    let targets = managers.map(|host| reading.target(host, &[]));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    if reading.is_autolocked() {
        return Err(MaintenanceError::NoRestore(AUTOLOCKED.into()));
    }
    // The leader comes last.
    let Some(target) = SwarmReading::in_order(targets).into_iter().next() else {
        return Err(MaintenanceError::NoManager(match from {
            Some(host) => format!("{host} is no manager that answers"),
            None => "no host of the inventory is a manager".into(),
        }));
    };
    Ok(BackupPlan {
        note: reading.check_restart(&target, false)?,
        target,
    })
}

/// Makes the backup.
///
/// # Errors
/// [`MaintenanceError`]; the error says whether the node is back.
pub async fn create_backup(
    visit: NodeVisit<'_>,
    plan: &BackupPlan,
) -> Result<SwarmBackup, MaintenanceError> {
    let visit = visit.with_purpose(DrainPurpose::Backup);
    let act =
        async |fleet: &Arc<Fleet>, target: &NodeTarget, (): &()| copy(&visit, fleet, target).await;
    let mut backups = visit.each([(&plan.target, ())], "copied", act).await?;
    backups
        .pop()
        .ok_or_else(|| MaintenanceError::Interrupted("nothing was copied".into()))
}

async fn copy(
    visit: &NodeVisit<'_>,
    fleet: &Arc<Fleet>,
    target: &NodeTarget,
) -> Result<SwarmBackup, MaintenanceError> {
    let (host, options) = (&target.host, &visit.options);
    let failed = |why: String| MaintenanceError::Update {
        host: host.clone(),
        why,
    };
    let reading = read_swarm(fleet, visit.inventory, options.forks).await?;
    let manifest = describe(fleet, visit.inventory, &reading, target)
        .await
        .map_err(failed)?;
    let (drained, reading) = visit.drain_for_restart(fleet, target).await?;
    if visit.stop.is_cancelled() {
        return Err(visit.interrupted(host, "is drained, and was not copied"));
    }
    (visit.note)(&format!("{host}: copying the state of the swarm"));
    let root = reading.data_folder(host);
    let (owner, wait) = (&options.owner.owner, options.lease_wait);
    let raft = read_raft_archive(fleet, host, root, owner, wait).await;
    // The Engine runs again in either case.
    let back = visit.bring_back(fleet, target, &drained.services).await;
    let backup = SwarmBackup::new(manifest, raft.map_err(failed)?);
    back.map(|_| backup)
}

/// Reads what the manifest says.
async fn describe(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    reading: &SwarmReading,
    target: &NodeTarget,
) -> Result<BackupManifest, String> {
    let host = &target.host;
    let get = async |path: &str| -> Result<Value, String> {
        let answer = fleet.get(host, path).await;
        answer.json().cloned().map_err(|error| error.to_string())
    };
    let (swarm, info) = (get("/swarm").await?, get("/info").await?);
    let text = |value: &Value, pointer: &str| {
        let found = value.pointer(pointer).and_then(Value::as_str);
        found.unwrap_or_default().to_owned()
    };
    let mut volumes = BTreeMap::new();
    for (name, _) in inventory.hosts() {
        let names = local_volumes(fleet, name).await;
        if !names.is_empty() {
            volumes.insert(name.to_string(), names);
        }
    }
    let node = |node: &crate::swarm::SwarmNode| ManifestNode {
        id: node.id.clone(),
        hostname: node.hostname.clone(),
        role: node.role.word().into(),
        availability: node.availability.clone(),
        labels: node.labels.clone(),
    };
    Ok(BackupManifest {
        version: 0,
        created: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
        host: host.to_string(),
        address: text(&info, "/Swarm/NodeAddr"),
        node_id: target.node.id.clone(),
        cluster_id: text(&swarm, "/ID"),
        engine_version: text(&info, "/ServerVersion"),
        ca_digest: sha256(text(&swarm, "/TLSInfo/TrustRoot").as_bytes()),
        raft_digest: String::new(),
        nodes: reading.nodes.iter().map(node).collect(),
        services: reading
            .workload
            .services
            .iter()
            .map(|service| service.name.clone())
            .collect(),
        volumes,
    })
}
