//! Availability of a node: the labels by which a drain remembers it, its return, and `activate`.

use std::sync::Arc;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::drain::under_lease;
use super::reading::read_swarm;
use super::{DrainOptions, DrainPurpose, MaintenanceError, NodeTarget};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::{Fleet, update_node};

/// Label of a node that skep drained: the run that did it.
pub(super) const DRAINED_BY: &str = "skep.drained-by";
/// Label of a node that skep drained: its availability before.
const DRAINED_FROM: &str = "skep.drained-from";

/// Drains a node, and writes the run and the previous availability into its labels.
pub(super) fn mark_drained(spec: &mut Value, by: &str) {
    let before = spec["Availability"].clone();
    spec["Labels"][DRAINED_FROM] = before;
    spec["Labels"][DRAINED_BY] = by.into();
    spec["Availability"] = "drain".into();
}

/// Puts the previous availability back, and removes the labels of skep.
pub(super) fn restore(spec: &mut Value) {
    let Some(labels) = spec["Labels"].as_object_mut() else {
        return;
    };
    labels.remove(DRAINED_BY);
    if let Some(before) = labels.remove(DRAINED_FROM) {
        spec["Availability"] = before;
    }
}

/// Gives the node the availability back that it had before a reboot or an upgrade. A node that
/// somebody drained before stays drained.
pub(super) async fn restore_availability(
    fleet: &Fleet,
    managers: &[HostName],
    target: &NodeTarget,
) -> Result<(), MaintenanceError> {
    let edit = |spec: &mut Value| {
        let by = spec["Labels"][DRAINED_BY].as_str().unwrap_or_default();
        if is_passing(by) {
            restore(spec);
        }
    };
    set_specification(fleet, managers, target, edit).await
}

/// Returns true if the label of a drain names a run that gives the node its availability back.
pub(super) fn is_passing(drained_by: &str) -> bool {
    let passing = [
        DrainPurpose::Apply,
        DrainPurpose::Reboot,
        DrainPurpose::Upgrade,
        DrainPurpose::Backup,
    ];
    passing
        .iter()
        .any(|purpose| drained_by.ends_with(purpose.word()))
}

/// Changes the specification of a node.
pub(super) async fn set_specification(
    fleet: &Fleet,
    managers: &[HostName],
    target: &NodeTarget,
    edit: impl Fn(&mut Value) + Sync,
) -> Result<(), MaintenanceError> {
    let updated = update_node(fleet, managers, &target.node.id, edit).await;
    updated.map_err(|why| MaintenanceError::Update {
        host: target.host.clone(),
        why,
    })
}

/// Makes the nodes take tasks again, and removes the labels of a drain. Returns the hosts that were
/// not active before.
///
/// # Errors
/// [`MaintenanceError`]; the hosts before stay active.
pub async fn activate(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    hosts: &[HostName],
    options: &DrainOptions,
    stop: &CancellationToken,
) -> Result<Vec<HostName>, MaintenanceError> {
    let Some(first) = hosts.first() else {
        return Ok(Vec::new());
    };
    let work = async {
        let reading = read_swarm(fleet, inventory, options.forks).await?;
        let nodes = hosts.iter().map(|host| reading.locate(host));
        let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
        let mut changed = Vec::new();
        for (host, node) in hosts.iter().zip(nodes) {
            if stop.is_cancelled() {
                let why = format!("{host} was not activated");
                return Err(MaintenanceError::Interrupted(why));
            }
            if node.availability != "active" {
                changed.push(host.clone());
            }
            let target = NodeTarget {
                host: host.clone(),
                node,
                impacts: Vec::new(),
            };
            let edit = |spec: &mut Value| {
                restore(spec);
                spec["Availability"] = "active".into();
            };
            set_specification(fleet, &reading.managers_for(host), &target, edit).await?;
        }
        Ok(changed)
    };
    under_lease(fleet, first, options, stop, work).await
}
