//! Nodes of the swarm that no host of the inventory is: somebody took a machine out of the
//! inventory and left its node in the swarm.

use std::sync::Arc;

use super::assess::assess;
use super::reading::{SwarmReading, read_settled_swarm};
use super::remove::{RemovalPlan, RemovalTarget};
use super::role::check_voters;
use super::{MaintenanceError, NodeTarget};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::Fleet;
use crate::swarm::{NodeRole, SwarmNode};

/// Reads the swarm, and plans the removal of the nodes that no host of the inventory is: no Engine
/// says that it is the node, and the inventory gives its address to no host. At most one of them is
/// a manager; another run removes the next one.
///
/// # Errors
/// [`MaintenanceError::Unreadable`] if a host of the inventory cannot be read, because it may be
/// one of the nodes.
pub async fn plan_unlisted_removal(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    forks: usize,
) -> Result<RemovalPlan, MaintenanceError> {
    let reading = read_settled_swarm(fleet, inventory, forks).await?;
    reading.check_all_read()?;
    let mut nodes: Vec<&SwarmNode> = reading.unlisted().collect();
    let later = keep_one_manager(&mut nodes);
    let all: Vec<String> = nodes.iter().map(|node| node.id.clone()).collect();
    let mut targets = Vec::new();
    for node in nodes {
        let is_dead = node.state == "down";
        let mut target = NodeTarget {
            host: name_of(node),
            node: node.clone(),
            impacts: Vec::new(),
        };
        let note = match &node.manager {
            Some(_) => check_voters(&reading.nodes, &target, NodeRole::Worker)?,
            None => None,
        };
        if !is_dead {
            target.impacts = assess(&reading.workload, &node.id, &all);
        }
        targets.push(RemovalTarget {
            target,
            is_dead,
            is_unlisted: true,
            note,
            volumes: Vec::new(),
        });
    }
    Ok(RemovalPlan { targets, later })
}

/// Keeps at most one manager, the last of the nodes, and returns the number of the other ones.
fn keep_one_manager(nodes: &mut Vec<&SwarmNode>) -> usize {
    // The managers that are not reachable go first: they only raise the majority.
    nodes.sort_by_key(|node| (node.manager.is_some(), node.is_reachable_manager()));
    let workers = nodes.iter().take_while(|node| node.manager.is_none());
    let kept = workers.count() + 1;
    let later = nodes.len().saturating_sub(kept);
    nodes.truncate(kept);
    later
}

/// Returns a name for a node that has none in the inventory. The host name is the word of the node
/// and may be that of a listed host; the ID tells them apart.
fn name_of(node: &SwarmNode) -> HostName {
    HostName::new(format!("{}/{}", node.hostname, node.short_id()))
}

impl SwarmReading {
    /// Returns the nodes that no host of the inventory is.
    fn unlisted(&self) -> impl Iterator<Item = &SwarmNode> {
        self.nodes.iter().filter(|node| self.is_unlisted(node))
    }

    /// Returns true if no host of the inventory is this node.
    pub(super) fn is_unlisted(&self, node: &SwarmNode) -> bool {
        !self.is_claimed(node) && self.owner_of(node).is_none()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::swarm::samples::{node, voter};

    #[test]
    fn one_manager_is_removed_at_a_time() {
        let nodes = [
            voter(node("n1", "a", "10.0.0.1"), true, "reachable"),
            node("n2", "b", "10.0.0.2"),
            voter(node("n3", "c", "10.0.0.3"), false, "unreachable"),
        ];
        let nodes = nodes.map(|node| SwarmNode::read(&node).unwrap());
        let ids = |nodes: &[&SwarmNode]| -> Vec<String> {
            nodes.iter().map(|node| node.id.clone()).collect()
        };
        let mut all: Vec<&SwarmNode> = nodes.iter().collect();
        assert_eq!(keep_one_manager(&mut all), 1);
        assert_eq!(ids(&all), ["n2", "n3"]);
        let mut workers = vec![&nodes[1]];
        assert_eq!(keep_one_manager(&mut workers), 0);
        assert_eq!(ids(&workers), ["n2"]);
        let mut none: Vec<&SwarmNode> = Vec::new();
        assert_eq!(keep_one_manager(&mut none), 0);
        assert_eq!(name_of(&nodes[1]).as_str(), "b/n2");
    }
}
