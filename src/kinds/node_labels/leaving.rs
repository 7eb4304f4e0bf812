//! Labels that are to go from a node while the data that they promised is still there: what is bound to them would stop.

use std::collections::BTreeMap;

use super::super::DataVolume;
use crate::model::{HostAnswers, Observation, Operation, ProbeError, Step};
use crate::names::HostName;
use crate::swarm::{LiveSwarm, SwarmNode};

/// Labels as volumes remember them: `key=value`.
pub(super) fn pairs(labels: &BTreeMap<String, String>) -> Vec<String> {
    labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

/// Those that the node has and shall not have.
fn going(node: &SwarmNode, wanted: &BTreeMap<String, String>) -> Vec<String> {
    let going = node
        .labels
        .iter()
        .filter(|(key, value)| wanted.get(*key) != Some(*value));
    going.map(|(key, value)| format!("{key}={value}")).collect()
}

/// Volumes of this node that labels which are to go promise. Nothing is asked while no label goes.
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

/// Stands for the removal: an earlier resource of the playbook may bring the volume to another node.
pub(super) fn hold(host: &HostName, volume: &DataVolume) -> Step {
    let why = format!(
        "{host} has the volume {}, in {}: without the label {} what needs it would stop",
        volume.name,
        volume.path,
        volume.labels.join(", ")
    );
    let hint = format!(
        "bring the data with its marker to the node that shall have the label, and apply; to give the volume up: `docker config rm {}` on a manager",
        DataVolume::config_name(&volume.name)
    );
    Step {
        summary: format!("take labels from the node of {host}"),
        act: Operation::Blocked { why, hint },
    }
}
