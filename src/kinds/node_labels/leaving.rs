//! Removal of labels from a node that still has their data: services bound to the data would stop.

use std::collections::BTreeMap;

use super::super::DataVolume;
use crate::model::{HostAnswers, Observation, Operation, ProbeError, Step};
use crate::names::HostName;
use crate::swarm::{LiveSwarm, SwarmNode};

/// Returns labels in the form that volume records use: `key=value`.
pub(super) fn pairs(labels: &BTreeMap<String, String>) -> Vec<String> {
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

/// Returns the labels that the node has and should not have.
fn going(node: &SwarmNode, wanted: &BTreeMap<String, String>) -> Vec<String> {
    let going = node
        .labels
        .iter()
        .filter(|(key, value)| wanted.get(*key) != Some(*value));
    going.map(|(key, value)| format!("{key}={value}")).collect()
}

/// Returns the volumes of this node whose labels are to be removed. Sends no query if no label is
/// to be removed.
pub(super) fn observe(
    host: &HostName,
    (node, swarm): (&SwarmNode, &LiveSwarm),
    wanted: &BTreeMap<String, String>,
    answers: &HostAnswers,
) -> Result<Observation<Vec<DataVolume>>, ProbeError> {
    let going = going(node, wanted);
    if going.is_empty() {
        return Ok(Observation::Known(Vec::new()));
    }
    let mut noted = match DataVolume::noted(host, swarm, answers)? {
        Observation::Known(noted) => noted,
        Observation::Needs(queries) => return Ok(Observation::Needs(queries)),
    };
    noted.retain(|volume| {
        volume.node == node.id && volume.labels.iter().any(|label| going.contains(label))
    });
    Ok(Observation::Known(noted))
}

/// Returns the step that blocks the removal; an earlier resource of the playbook may move the
/// volume to another node.
pub(super) fn hold(host: &HostName, volume: &DataVolume) -> Step {
    let why = format!(
        "{host} has the volume {}, in {}: without the label {}, the services that use it would stop",
        volume.name,
        volume.path,
        volume.labels.join(", ")
    );
    let hint = format!(
        "copy the data with its marker to the node that should have the label, and apply; to give the volume up: `docker config rm {}` on a manager",
        DataVolume::config_name(&volume.name)
    );
    Step {
        summary: format!("remove labels from the node of {host}"),
        act: Operation::Blocked { why, hint },
    }
}
