//! Replacement of a node: another machine joins with its role, its labels and its availability, and
//! the old node is removed. The new node is there before the old one leaves, so tasks that are
//! bound to labels have a place to go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::assess::assess;
use super::drain::{check_interruption, under_lease};
use super::own_play::{OwnPlay, OwnResource};
use super::reading::{SwarmReading, read_settled_swarm};
use super::remove::{find_node, local_volumes, remove_one};
use super::role::check_voters;
use super::workload::SwarmWorkload;
use super::{DrainOptions, MaintenanceError, RemovalTarget};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::Fleet;
use crate::swarm::{DockerStatus, ManagerStatus, NodeRole, SwarmNode};

/// ID of the node that does not exist yet.
const NEW_NODE: &str = "new";

/// Plan of a replacement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplacementPlan {
    /// The node that leaves.
    pub old: RemovalTarget,
    /// The host that takes its place.
    pub new: HostName,
    /// True if the new host is a node already: a replacement before this one was interrupted.
    pub is_joined: bool,
    /// Labels that the new node gets.
    pub labels: BTreeMap<String, String>,
    /// Availability that the new node gets.
    pub availability: String,
    /// Volumes whose data tasks of the old node use, and that the new host does not have.
    pub missing_volumes: Vec<String>,
}

/// Result of a replacement.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplacementOutcome {
    /// The host that left.
    pub old: HostName,
    /// The host that took its place.
    pub new: HostName,
    /// Role of the node.
    pub role: &'static str,
    /// Labels that the new node has got.
    pub labels: BTreeMap<String, String>,
    /// Seconds from the join to the removal.
    pub seconds: f64,
}

impl ReplacementPlan {
    /// Checks that the data of the old node is on the new one, and that no service is interrupted.
    ///
    /// # Errors
    /// [`MaintenanceError::Replacement`], [`MaintenanceError::Interruption`].
    pub fn check(&self, options: &DrainOptions) -> Result<(), MaintenanceError> {
        if !options.ignores_volumes && !self.missing_volumes.is_empty() {
            return Err(MaintenanceError::Replacement(format!(
                "tasks of {} have their data in its volumes {}, which {} does not have: copy the volumes there first, or start \
                 without the data with --without-data",
                self.old.target.host,
                self.missing_volumes.join(", "),
                self.new
            )));
        }
        if options.allow_interruption {
            return Ok(());
        }
        check_interruption(&self.old.target)
    }

    fn role(&self) -> NodeRole {
        self.old.target.node.role
    }

    /// Returns the resources that make the new host a node like the old one.
    fn resources(&self) -> Vec<OwnResource> {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let mut resources = vec![OwnResource {
            kind: "swarm_member",
            fields: format!(
                "{{ role = {}, availability = {} }}",
                quoted(self.role().word()),
                quoted(&self.availability)
            ),
        }];
        if !self.labels.is_empty() {
            let labels = self.labels.iter();
            let labels: Vec<String> = labels
                .map(|(key, value)| format!("{} = {}", quoted(key), quoted(value)))
                .collect();
            resources.push(OwnResource {
                kind: "node_labels",
                fields: format!("{{ {} }}", labels.join(", ")),
            });
        }
        resources
    }
}

/// Reads the swarm and both hosts, and plans the replacement.
///
/// # Errors
/// [`MaintenanceError`] if the new host cannot take the place of the old one.
pub async fn plan_replacement(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    old: &HostName,
    new: &HostName,
    forks: usize,
) -> Result<ReplacementPlan, MaintenanceError> {
    let reading = read_settled_swarm(fleet, inventory, forks).await?;
    let (mut target, is_dead) = find_node(&reading, old)?;
    let is_joined = check_new_host(&reading, new, &target.node)?;
    let is_manager = target.node.role == NodeRole::Manager;
    if is_manager && !inventory.roster().group("managers").any(|host| host == new) {
        return Err(MaintenanceError::Replacement(format!(
            "{old} is a manager, and {new} is not in the group `managers` of the inventory: put it there first"
        )));
    }
    let mut after = reading.nodes.clone();
    if !is_joined {
        after.push(new_node(&target.node, new));
    }
    let note = if target.node.manager.is_some() {
        check_voters(&after, &target, NodeRole::Worker)?
    } else {
        None
    };
    let used = used_volumes(&reading.workload, &target.node.id);
    let has: BTreeSet<String> = local_volumes(fleet, new).await.into_iter().collect();
    let mut volumes = Vec::new();
    if !is_dead {
        let mut workload = reading.workload.clone();
        if !is_joined {
            workload.add_node_like(&target.node.id, NEW_NODE);
        }
        // Their data is on the new host, or the operator does without it.
        workload.forget_volumes();
        target.impacts = assess(&workload, &target.node.id, &[]);
        volumes = local_volumes(fleet, old).await;
    }
    let node = &target.node;
    let labels = node.labels.iter();
    let labels = labels.filter(|(key, _)| !key.starts_with("skep.drained-"));
    Ok(ReplacementPlan {
        new: new.clone(),
        is_joined,
        labels: labels
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
        availability: node
            .labels
            .get("skep.drained-from")
            .unwrap_or(&node.availability)
            .clone(),
        missing_volumes: used.difference(&has).cloned().collect(),
        old: RemovalTarget {
            target,
            is_dead,
            is_unlisted: false,
            note,
            volumes,
        },
    })
}

/// Checks that a host can join, or is a node already that a replacement before this one may have
/// joined: it has the role of the old node, and no other labels. Returns true for the latter.
fn check_new_host(
    reading: &SwarmReading,
    new: &HostName,
    old: &SwarmNode,
) -> Result<bool, MaintenanceError> {
    let refuse = |why: String| Err(MaintenanceError::Replacement(why));
    match reading.engine(new) {
        None => Err(MaintenanceError::UnknownHost(new.clone())),
        Some(DockerStatus::Answered(info))
            if info.node_id.is_empty() && info.state == "inactive" =>
        {
            Ok(false)
        }
        Some(DockerStatus::Answered(_)) => match reading.locate(new) {
            Ok(node) => {
                let is_alike = |(key, value)| old.labels.get(key) == Some(value);
                if node.id != old.id && node.role == old.role && node.labels.iter().all(is_alike) {
                    return Ok(true);
                }
                refuse(format!(
                    "{new} is a node of the swarm already, a {} with other duties; choose a host that is in no swarm",
                    node.role.word()
                ))
            }
            Err(error) => refuse(format!(
                "{new} cannot take the place of another node: {error}"
            )),
        },
        Some(DockerStatus::Absent) => refuse(format!(
            "{new} has no Docker Engine; `skep apply playbooks/docker.toml --limit {new}` installs it"
        )),
        Some(other) => Err(MaintenanceError::Unreadable {
            host: new.clone(),
            why: other.unknown().unwrap_or_default().to_owned(),
        }),
    }
}

/// Returns the node that the new host will be, as the managers will list it.
fn new_node(old: &SwarmNode, new: &HostName) -> SwarmNode {
    SwarmNode {
        id: NEW_NODE.into(),
        hostname: new.to_string(),
        state: "ready".into(),
        manager: old.manager.as_ref().map(|manager| ManagerStatus {
            leader: false,
            reachability: "reachable".into(),
            ..manager.clone()
        }),
        ..old.clone()
    }
}

/// Returns the local volumes of services with tasks on the node, those that have ended included.
fn used_volumes(workload: &SwarmWorkload, node_id: &str) -> BTreeSet<String> {
    let tasks = workload.tasks.iter().filter(|task| task.node_id == node_id);
    let services = tasks.filter_map(|task| workload.service(&task.service_id));
    services
        .flat_map(|service| service.local_volumes.iter().cloned())
        .collect()
}

/// Joins the new host, and removes the old node. `note` gets one line of progress.
///
/// # Errors
/// [`MaintenanceError`]; the same command continues.
pub async fn replace_node(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    plan: &ReplacementPlan,
    options: &DrainOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<ReplacementOutcome, MaintenanceError> {
    let (old, new, begun) = (&plan.old.target.host, &plan.new, Instant::now());
    let reading = read_settled_swarm(fleet, inventory, options.forks).await?;
    let managers = reading.managers_for(old);
    let Some(keeper) = managers.first() else {
        return Err(MaintenanceError::NoManager("the inventory has none".into()));
    };
    let options = DrainOptions {
        // The volumes were compared in the plan.
        ignores_volumes: true,
        ..options.clone()
    };
    let work = async {
        note(&format!("{new}: joining as {}", plan.role().word()));
        let resources = plan.resources();
        let play = OwnPlay {
            name: "replacement",
            host: new,
            resources: &resources,
        };
        let joined = play.run(fleet, inventory, &managers, &options, stop).await;
        joined.map_err(|why| MaintenanceError::Update {
            host: new.clone(),
            why,
        })?;
        if stop.is_cancelled() {
            return Err(MaintenanceError::Interrupted(format!(
                "{new} is a node, and {old} was not removed; the same command continues"
            )));
        }
        note(&format!("{old}: leaving"));
        remove_one(fleet, inventory, &plan.old, &options, stop, note).await
    };
    under_lease(fleet, keeper, &options, stop, work).await?;
    Ok(ReplacementOutcome {
        old: old.clone(),
        new: new.clone(),
        role: plan.role().word(),
        labels: plan.labels.clone(),
        seconds: begun.elapsed().as_secs_f64(),
    })
}

impl SwarmWorkload {
    /// Adds a node that is like another one, except that it is ready and has no tasks.
    fn add_node_like(&mut self, node_id: &str, id: &str) {
        let Some(mut node) = self
            .nodes
            .iter()
            .find(|node| node["ID"] == node_id)
            .cloned()
        else {
            return;
        };
        node["ID"] = Value::from(id);
        node["Status"]["State"] = "ready".into();
        node["Spec"]["Availability"] = "active".into();
        self.nodes.push(node);
    }

    /// Lets tasks move without the data of their local volumes.
    pub(super) fn forget_volumes(&mut self) {
        for service in &mut self.services {
            service.local_volumes.clear();
        }
    }
}
