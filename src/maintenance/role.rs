//! Changes of a node's role: promote and demote, behind the arithmetic of the voters.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::drain::under_lease;
use super::reading::{SwarmReading, read_first, read_swarm};
use super::{DrainOptions, MaintenanceError, NodeTarget};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::{Fleet, update_node};
use crate::swarm::{NodeRole, SwarmNode, VoterLoss, may_lose};

/// Time for the swarm to change the role of a node.
const ROLE_LIMIT: Duration = Duration::from_secs(60);
/// Time between two readings of the nodes.
const PAUSE: Duration = Duration::from_millis(250);

/// Plan of a change of roles: the nodes in their order, with a note about the voters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RolePlan {
    /// The wanted role.
    pub role: NodeRole,
    /// The nodes that do not have the role, with a note about the voters.
    pub targets: Vec<(NodeTarget, Option<String>)>,
}

/// Reads the swarm, and plans the change of the role of each host that does not have it.
///
/// # Errors
/// [`MaintenanceError`] if a host is no node of the swarm, or its demotion costs the majority.
pub async fn plan_role(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    hosts: &[HostName],
    role: NodeRole,
    forks: usize,
) -> Result<RolePlan, MaintenanceError> {
    let reading = read_swarm(fleet, inventory, forks).await?;
    let mut targets = Vec::new();
    for host in hosts {
        let node = reading.locate(host)?;
        if !has_role(&node, role) {
            targets.push(NodeTarget {
                host: host.clone(),
                node,
                impacts: Vec::new(),
            });
        }
    }
    // Each demotion changes the number of voters for the next one.
    let mut nodes = reading.nodes.clone();
    let mut planned = Vec::new();
    for target in SwarmReading::in_order(targets) {
        let note = check_voters(&nodes, &target, role)?;
        for node in nodes.iter_mut().filter(|node| node.id == target.node.id) {
            node.manager = None;
        }
        planned.push((target, note));
    }
    Ok(RolePlan {
        role,
        targets: planned,
    })
}

/// Returns true if the node has the role, among the voters as well.
pub(super) fn has_role(node: &SwarmNode, role: NodeRole) -> bool {
    let has = match role {
        NodeRole::Manager => node.is_reachable_manager(),
        NodeRole::Worker => node.manager.is_none(),
    };
    node.role == role && has
}

pub(super) fn check_voters(
    nodes: &[SwarmNode],
    target: &NodeTarget,
    role: NodeRole,
) -> Result<Option<String>, MaintenanceError> {
    if role == NodeRole::Manager {
        return Ok(None);
    }
    let name = target.host.as_str();
    let allowed = may_lose(nodes, &target.node.id, name, VoterLoss::Demotion)?;
    Ok(allowed.note)
}

/// Changes the roles of a plan, one node after the other. The voters are counted again before each
/// change.
///
/// # Errors
/// [`MaintenanceError`]; the nodes before keep their new role.
pub async fn change_role(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    plan: &RolePlan,
    options: &DrainOptions,
    stop: &CancellationToken,
) -> Result<(), MaintenanceError> {
    let Some((first, _)) = plan.targets.first() else {
        return Ok(());
    };
    let work = async {
        for (target, _) in &plan.targets {
            let host = &target.host;
            if stop.is_cancelled() {
                let why = format!("the role of {host} was not changed");
                return Err(MaintenanceError::Interrupted(why));
            }
            let reading = read_swarm(fleet, inventory, options.forks).await?;
            if reading.locate(host)?.id != target.node.id {
                return Err(MaintenanceError::Replaced(host.clone()));
            }
            check_voters(&reading.nodes, target, plan.role)?;
            let managers = reading.managers_for(host);
            make_role(fleet, &managers, target, plan.role, stop).await?;
        }
        Ok(())
    };
    under_lease(fleet, &first.host, options, stop, work).await
}

/// Changes the role of one node, and waits until the swarm has done it.
pub(super) async fn make_role(
    fleet: &Arc<Fleet>,
    managers: &[HostName],
    target: &NodeTarget,
    role: NodeRole,
    stop: &CancellationToken,
) -> Result<(), MaintenanceError> {
    let edit = |spec: &mut Value| spec["Role"] = role.word().into();
    let updated = update_node(fleet, managers, &target.node.id, edit).await;
    updated.map_err(|why| MaintenanceError::Update {
        host: target.host.clone(),
        why,
    })?;
    wait_for_role(fleet, managers, target, role, stop).await
}

async fn wait_for_role(
    fleet: &Arc<Fleet>,
    managers: &[HostName],
    target: &NodeTarget,
    role: NodeRole,
    stop: &CancellationToken,
) -> Result<(), MaintenanceError> {
    let (host, begun) = (&target.host, Instant::now());
    // A demoted node no longer lists the nodes.
    let asked: Vec<HostName> = managers
        .iter()
        .filter(|name| role == NodeRole::Manager || *name != host)
        .cloned()
        .collect();
    while begun.elapsed() < ROLE_LIMIT {
        let lists = read_first(fleet, &asked).await.unwrap_or_default();
        let node = lists.0.iter().find(|node| node.id == target.node.id);
        // A dead node never becomes ready.
        let is_back = |node: &SwarmNode| {
            has_role(node, role) && (node.state == "ready" || target.node.state == "down")
        };
        if node.is_some_and(is_back) {
            return Ok(());
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(MaintenanceError::Interrupted(format!(
                    "the swarm still changes the role of {host}"
                )));
            }
            () = sleep(PAUSE) => {}
        }
    }
    Err(MaintenanceError::RoleTimeout {
        host: host.clone(),
        word: match role {
            NodeRole::Manager => "a reachable manager",
            NodeRole::Worker => "a worker",
        },
        limit: ROLE_LIMIT,
    })
}
