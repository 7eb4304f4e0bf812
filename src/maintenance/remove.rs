//! Removal of nodes: a node that lives is drained and demoted, leaves its swarm, and is removed
//! from the list of the managers. Of a dead node, only its place in the swarm is removed.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::assess::assess;
use super::drain::{check_interruption, drain_node, under_lease};
use super::reading::{SwarmReading, read_first, read_settled_swarm, read_swarm};
use super::role::{check_voters, has_role, make_role};
use super::{DrainOptions, MaintenanceError, NodeTarget};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet, leave_swarm, remove_node};
use crate::swarm::NodeRole;

/// Time for the managers to notice that a node has left.
const LEAVE_LIMIT: Duration = Duration::from_secs(30);
/// Time between two readings of the nodes.
const PAUSE: Duration = Duration::from_millis(250);

/// A node that is to be removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalTarget {
    /// The node, with the effect of its drain.
    pub target: NodeTarget,
    /// True if the node is down, and its host is not this node any more or cannot be read.
    pub is_dead: bool,
    /// True if no host of the inventory is this node, so skep has no connection to its machine.
    pub is_unlisted: bool,
    /// Consequence for the voters.
    pub note: Option<String>,
    /// Local volumes of the host, which stay on its disk.
    pub volumes: Vec<String>,
}

/// Plan of a removal: the nodes in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemovalPlan {
    /// The nodes.
    pub targets: Vec<RemovalTarget>,
    /// Number of managers that the next run removes.
    pub later: usize,
}

/// Result of the removal of one node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemovalOutcome {
    /// The host.
    pub host: HostName,
    /// ID that the node had.
    pub node_id: String,
    /// True if the node was down.
    pub was_dead: bool,
    /// True if no host of the inventory was this node.
    pub was_unlisted: bool,
    /// Local volumes that stay on the disk of the host; empty if it could not be read.
    pub volumes: Vec<String>,
}

impl RemovalPlan {
    /// Checks that no service is interrupted.
    ///
    /// # Errors
    /// [`MaintenanceError::Interruption`] for the first node whose drain interrupts a service.
    pub fn check(&self) -> Result<(), MaintenanceError> {
        let mut targets = self.targets.iter();
        targets.try_for_each(|one| check_interruption(&one.target))
    }
}

/// Reads the swarm, and plans the removal of the node of each host.
///
/// # Errors
/// [`MaintenanceError`] if a host is no node of the swarm, cannot be read while its node lives, or
/// if its removal costs the majority.
pub async fn plan_removal(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    hosts: &[HostName],
    forks: usize,
) -> Result<RemovalPlan, MaintenanceError> {
    let reading = read_settled_swarm(fleet, inventory, forks).await?;
    let found = hosts.iter().map(|host| find_node(&reading, host));
    let found = found.collect::<Result<Vec<_>, _>>()?;
    let all: Vec<String> = found
        .iter()
        .map(|(target, _)| target.node.id.clone())
        .collect();
    let ordered = SwarmReading::in_order(found.iter().map(|(target, _)| target.clone()).collect());
    let mut nodes = reading.nodes.clone();
    let mut targets = Vec::new();
    for mut target in ordered {
        let is_dead = found
            .iter()
            .any(|(one, is_dead)| one.host == target.host && *is_dead);
        let note = if target.node.manager.is_some() {
            check_voters(&nodes, &target, NodeRole::Worker)?
        } else {
            None
        };
        for node in nodes.iter_mut().filter(|node| node.id == target.node.id) {
            node.manager = None;
        }
        let mut volumes = Vec::new();
        if !is_dead {
            target.impacts = assess(&reading.workload, &target.node.id, &all);
            volumes = local_volumes(fleet, &target.host).await;
        }
        targets.push(RemovalTarget {
            target,
            is_dead,
            is_unlisted: false,
            note,
            volumes,
        });
    }
    Ok(RemovalPlan { targets, later: 0 })
}

/// Finds the node of a host, and whether it is dead.
pub(super) fn find_node(
    reading: &SwarmReading,
    host: &HostName,
) -> Result<(NodeTarget, bool), MaintenanceError> {
    let target = |node| NodeTarget {
        host: host.clone(),
        node,
        impacts: Vec::new(),
    };
    match reading.locate(host) {
        Ok(node) => Ok((target(node), false)),
        Err(
            error @ (MaintenanceError::Unreadable { .. }
            | MaintenanceError::NotInSwarm(_)
            | MaintenanceError::Unlisted(_)),
        ) => match reading.dead_node(host) {
            Some(node) => Ok((target(node), true)),
            None => Err(error),
        },
        Err(error) => Err(error),
    }
}

/// Returns the names of the local volumes of a host; empty if they cannot be read.
pub(super) async fn local_volumes(fleet: &Arc<Fleet>, host: &HostName) -> Vec<String> {
    let answer = fleet.get(host, "/volumes").await;
    let volumes = answer.ok().and_then(|body| body.get("Volumes"));
    let listed = volumes.and_then(Value::as_array).into_iter().flatten();
    listed
        .filter(|volume| volume["Driver"] == "local")
        .filter_map(|volume| volume["Name"].as_str().map(str::to_owned))
        .collect()
}

/// Removes the nodes of a plan, one after the other. Each node is read again right before. `note`
/// gets one line of progress.
///
/// # Errors
/// [`MaintenanceError`]; the nodes before stay removed.
pub async fn remove_nodes(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    plan: &RemovalPlan,
    options: &DrainOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<Vec<RemovalOutcome>, MaintenanceError> {
    let Some(first) = plan.targets.first() else {
        return Ok(Vec::new());
    };
    // A manager that stays keeps the lease.
    let reading = read_swarm(fleet, inventory, options.forks).await?;
    let keeper = reading.managers_for(&first.target.host).into_iter().next();
    let keeper = keeper.unwrap_or_else(|| first.target.host.clone());
    let work = async {
        let mut outcomes = Vec::new();
        for removal in &plan.targets {
            if stop.is_cancelled() {
                let why = format!("{} was not removed", removal.target.host);
                return Err(MaintenanceError::Interrupted(why));
            }
            remove_one(fleet, inventory, removal, options, stop, note).await?;
            outcomes.push(RemovalOutcome {
                host: removal.target.host.clone(),
                node_id: removal.target.node.id.clone(),
                was_dead: removal.is_dead,
                was_unlisted: removal.is_unlisted,
                volumes: removal.volumes.clone(),
            });
        }
        Ok(outcomes)
    };
    under_lease(fleet, &keeper, options, stop, work).await
}

/// Removes one node, under the lease of the swarm.
pub(super) async fn remove_one(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    removal: &RemovalTarget,
    options: &DrainOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<(), MaintenanceError> {
    let target = &removal.target;
    let host = &target.host;
    if !removal.is_dead {
        drain_node(fleet, inventory, target, options, stop, note).await?;
    }
    let reading = read_swarm(fleet, inventory, options.forks).await?;
    let (found, is_dead) = if removal.is_unlisted {
        // A host that is back in the inventory, or was not read, may be this node.
        reading.check_all_read()?;
        let found = reading.refresh(target)?;
        if !reading.is_unlisted(&found.node) {
            return Err(MaintenanceError::Replaced(host.clone()));
        }
        let is_dead = found.node.state == "down";
        (found, is_dead)
    } else {
        find_node(&reading, host)?
    };
    if found.node.id != target.node.id || is_dead != removal.is_dead {
        return Err(MaintenanceError::Replaced(host.clone()));
    }
    let managers: Vec<HostName> = reading.managers_for(host);
    let others: Vec<HostName> = managers
        .iter()
        .filter(|name| *name != host)
        .cloned()
        .collect();
    // A dead manager that a recovery has left out does not vote any more, and cannot be demoted.
    let is_left_out = is_dead && found.node.manager.is_none();
    if !has_role(&found.node, NodeRole::Worker) && !is_left_out {
        check_voters(&reading.nodes, &found, NodeRole::Worker)?;
        make_role(fleet, &others, &found, NodeRole::Worker, stop).await?;
    }
    let leaves = !is_dead && !removal.is_unlisted;
    if leaves {
        let left = leave_swarm(fleet, host, &options.owner.owner, options.lease_wait).await;
        left.map_err(|why| MaintenanceError::Update {
            host: host.clone(),
            why,
        })?;
    }
    // The managers refuse to remove a node that they still list as ready.
    let begun = Instant::now();
    while leaves && begun.elapsed() < LEAVE_LIMIT {
        let lists = read_first(fleet, &others).await.unwrap_or_default();
        let listed = lists.0.into_iter().find(|node| node.id == target.node.id);
        if listed.is_some_and(|node| node.state == "down") {
            break;
        }
        sleep(PAUSE).await;
    }
    let removed = remove_node(fleet, &others, &target.node.id, true).await;
    removed.map_err(|why| MaintenanceError::Update {
        host: host.clone(),
        why,
    })
}
