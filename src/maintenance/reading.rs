//! Reads the swarm for the maintenance of its nodes: the Engine of each host of the inventory, and
//! nodes, services and tasks from one manager.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::MaintenanceError;
use super::assess::{ServiceImpact, assess};
use super::workload::SwarmWorkload;
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet};
use crate::safety::read_infos;
use crate::swarm::{
    DockerInfo, DockerStatus, HostAddresses, NodeClaim, SwarmNode, VoterLoss, may_lose,
};

/// Time for tasks to start before their service is judged.
const SETTLE_LIMIT: Duration = Duration::from_secs(20);
/// Time between two readings meanwhile.
const SETTLE_PAUSE: Duration = Duration::from_millis(500);

/// A node that is to be maintained.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeTarget {
    /// The host of the inventory.
    pub host: HostName,
    /// Its node, as a manager lists it.
    pub node: SwarmNode,
    /// Effect of its drain on the services.
    pub impacts: Vec<ServiceImpact>,
}

/// One reading of the swarm.
pub(super) struct SwarmReading {
    engines: Vec<(HostName, DockerStatus)>,
    addresses: HostAddresses,
    /// Managers in the inventory that answer, those of the group `managers` first.
    pub managers: Vec<HostName>,
    pub nodes: Vec<SwarmNode>,
    pub workload: SwarmWorkload,
}

/// Reads the Engines of all hosts of the inventory, and the lists of the first manager that returns
/// them.
///
/// # Errors
/// [`MaintenanceError::NoManager`].
pub(super) async fn read_swarm(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    forks: usize,
) -> Result<SwarmReading, MaintenanceError> {
    let hosts: Vec<HostName> = inventory.hosts().map(|(name, _)| name.clone()).collect();
    let engines = read_infos(fleet, &hosts, forks).await;
    let roster = inventory.roster();
    let is_manager =
        |host: &&(HostName, DockerStatus)| matches!(&host.1, status if status.is_manager());
    let in_group = |name: &HostName| roster.group("managers").any(|one| one == name);
    // A compromised worker may say that it is a manager. Its lists count only if no host of the
    // group answers.
    let mut managers: Vec<HostName> = engines
        .iter()
        .filter(is_manager)
        .map(|(name, _)| name.clone())
        .collect();
    if managers.iter().any(in_group) {
        managers.retain(in_group);
    }
    let mut reasons = match read_first(fleet, &managers).await {
        Ok((nodes, workload)) => {
            let mut reading = SwarmReading {
                engines,
                addresses: HostAddresses::of(&roster),
                managers,
                nodes,
                workload,
            };
            reading.add_listed_managers();
            return Ok(reading);
        }
        Err(reasons) => reasons,
    };
    for (host, status) in &engines {
        if let Some(why) = status.unknown() {
            reasons.push(format!("{host}: {why}"));
        }
    }
    if reasons.is_empty() {
        reasons.push("no host of the inventory is a manager of a swarm".into());
    }
    Err(MaintenanceError::NoManager(reasons.join("; ")))
}

/// Reads the swarm as [`read_swarm`] does, and again for a short time while tasks are about to
/// start: a service that has just moved a task would count as one without it.
///
/// # Errors
/// [`MaintenanceError::NoManager`].
pub(super) async fn read_settled_swarm(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    forks: usize,
) -> Result<SwarmReading, MaintenanceError> {
    let begun = Instant::now();
    loop {
        let reading = read_swarm(fleet, inventory, forks).await?;
        if !reading.workload.is_settling() || begun.elapsed() >= SETTLE_LIMIT {
            return Ok(reading);
        }
        sleep(SETTLE_PAUSE).await;
    }
}

/// Reads nodes, services and tasks from the first of these managers that answers.
///
/// # Errors
/// The reason of each manager.
pub(super) async fn read_first(
    fleet: &Arc<Fleet>,
    managers: &[HostName],
) -> Result<(Vec<SwarmNode>, SwarmWorkload), Vec<String>> {
    let mut reasons = Vec::new();
    for manager in managers {
        match read_lists(fleet, manager).await {
            Ok(lists) => return Ok(lists),
            Err(why) => reasons.push(format!("{manager}: {why}")),
        }
    }
    Err(reasons)
}

/// Reads nodes, services and tasks from one manager.
async fn read_lists(
    fleet: &Arc<Fleet>,
    manager: &HostName,
) -> Result<(Vec<SwarmNode>, SwarmWorkload), String> {
    let get = async |path: &str| -> Result<Value, String> {
        let answer = fleet.get(manager, path).await;
        answer.json().cloned().map_err(|error| error.to_string())
    };
    let (nodes, services, tasks) = tokio::join!(get("/nodes"), get("/services"), get("/tasks"));
    let (nodes, services, tasks) = (nodes?, services?, tasks?);
    let workload = SwarmWorkload::read(&nodes, &services, &tasks);
    Ok((SwarmNode::list(&nodes)?, workload))
}

impl SwarmReading {
    /// Adds the managers outside of the group `managers` that the lists confirm: somebody may have
    /// promoted a worker.
    fn add_listed_managers(&mut self) {
        let listed = self.engines.iter().filter(|(name, status)| {
            let id = status.info().map(|info| info.node_id.as_str());
            let node = self.nodes.iter().find(|node| id == Some(&node.id));
            status.is_manager()
                && !self.managers.contains(name)
                && node.is_some_and(SwarmNode::is_reachable_manager)
                && self.locate(name).is_ok()
        });
        let listed: Vec<HostName> = listed.map(|(name, _)| name.clone()).collect();
        self.managers.extend(listed);
    }

    /// Returns the state of a host's Engine; `None` if the inventory has no such host.
    pub(super) fn engine(&self, host: &HostName) -> Option<&DockerStatus> {
        let mut engines = self.engines.iter();
        let (_, status) = engines.find(|(name, _)| name == host)?;
        Some(status)
    }

    /// Returns true if the managers of the swarm stay locked after a restart.
    pub(super) fn is_autolocked(&self) -> bool {
        let mut infos = self.engines.iter().filter_map(|(_, status)| status.info());
        infos.any(|info| info.autolock)
    }

    /// Checks that the swarm survives the restart of a node; returns a note about the voters.
    /// `unlocks` tells that a manager is unlocked after its restart.
    ///
    /// # Errors
    /// [`MaintenanceError::Refused`].
    pub(super) fn check_restart(
        &self,
        target: &NodeTarget,
        unlocks: bool,
    ) -> Result<Option<String>, MaintenanceError> {
        let loss = if self.is_autolocked() && !unlocks {
            VoterLoss::Lock
        } else {
            VoterLoss::Restart
        };
        let name = target.host.as_str();
        let allowed = may_lose(&self.nodes, &target.node.id, name, loss)?;
        Ok(allowed.note)
    }

    /// Finds the node of a host. The managers must agree with what its Engine says.
    ///
    /// # Errors
    /// [`MaintenanceError`] if the host is unknown, cannot be read, or is no node of this swarm.
    pub(super) fn locate(&self, host: &HostName) -> Result<SwarmNode, MaintenanceError> {
        let Some((_, status)) = self.engines.iter().find(|(name, _)| name == host) else {
            return Err(MaintenanceError::UnknownHost(host.clone()));
        };
        let info = match status {
            DockerStatus::Answered(info) => info,
            DockerStatus::Absent => return Err(MaintenanceError::NotInSwarm(host.clone())),
            DockerStatus::Down(why)
            | DockerStatus::Unreachable(why)
            | DockerStatus::Failed(why) => {
                return Err(MaintenanceError::Unreadable {
                    host: host.clone(),
                    why: why.clone(),
                });
            }
        };
        if info.node_id.is_empty() {
            return Err(MaintenanceError::NotInSwarm(host.clone()));
        }
        let node = self.nodes.iter().find(|node| node.id == info.node_id);
        let node = node.ok_or_else(|| MaintenanceError::Unlisted(host.clone()))?;
        let claim = NodeClaim {
            host,
            info,
            addresses: &[],
        };
        // Managers are trusted, so another host that claims a manager's node changes nothing.
        let trusted = self.managers.contains(host);
        let others = self.engines.iter().filter(|_| !trusted);
        let claims = others.filter_map(|(name, status)| {
            let info: Option<&DockerInfo> = status.info();
            info.map(|info| (name, info))
        });
        claim.check(node, &self.addresses, claims)?;
        Ok(node.clone())
    }

    /// Returns the node of a host, with the effect of its drain. `others` are the IDs of nodes that
    /// are drained with it.
    ///
    /// # Errors
    /// Those of [`Self::locate`].
    pub(super) fn target(
        &self,
        host: &HostName,
        others: &[String],
    ) -> Result<NodeTarget, MaintenanceError> {
        let node = self.locate(host)?;
        Ok(NodeTarget {
            host: host.clone(),
            impacts: assess(&self.workload, &node.id, others),
            node,
        })
    }

    /// Returns the node of an earlier reading as it is now. A node that no host of the inventory is
    /// is found by its ID.
    ///
    /// # Errors
    /// Those of [`Self::locate`].
    pub(super) fn refresh(&self, planned: &NodeTarget) -> Result<NodeTarget, MaintenanceError> {
        if self.engine(&planned.host).is_some() {
            return self.target(&planned.host, &[]);
        }
        let node = self.nodes.iter().find(|node| node.id == planned.node.id);
        let node = node.ok_or_else(|| MaintenanceError::Replaced(planned.host.clone()))?;
        Ok(NodeTarget {
            host: planned.host.clone(),
            impacts: assess(&self.workload, &node.id, &[]),
            node: node.clone(),
        })
    }

    /// Checks that each host of the inventory was read.
    ///
    /// # Errors
    /// [`MaintenanceError::Unreadable`] for the first host that was not.
    pub(super) fn check_all_read(&self) -> Result<(), MaintenanceError> {
        let mut engines = self.engines.iter();
        let unread = engines.find_map(|(host, status)| Some((host, status.unknown()?)));
        unread.map_or(Ok(()), |(host, why)| {
            Err(MaintenanceError::Unreadable {
                host: host.clone(),
                why: why.to_owned(),
            })
        })
    }

    /// Returns true if the Engine of a host says that it is this node.
    pub(super) fn is_claimed(&self, node: &SwarmNode) -> bool {
        let mut infos = self.engines.iter().filter_map(|(_, status)| status.info());
        infos.any(|info| info.node_id == node.id)
    }

    /// Returns the host to which the inventory gives the address of a node.
    pub(super) fn owner_of(&self, node: &SwarmNode) -> Option<HostName> {
        let seen = node.seen_at();
        self.addresses.owners(&seen).next().cloned()
    }

    /// Returns the one node that is down at an address which the inventory gives to the host, and
    /// that no Engine claims to be.
    pub(super) fn dead_node(&self, host: &HostName) -> Option<SwarmNode> {
        let mut dead = self.nodes.iter().filter(|node| {
            node.state == "down"
                && self.addresses.has(host, &node.seen_at())
                && !self.is_claimed(node)
        });
        let found = dead.next()?;
        dead.next().is_none().then(|| found.clone())
    }

    /// Returns the managers to ask for a change of a node, the node itself last.
    pub(super) fn managers_for(&self, host: &HostName) -> Vec<HostName> {
        let mut managers = self.managers.clone();
        managers.sort_by_key(|name| name == host);
        managers
    }

    /// Sorts nodes into the order of their maintenance: workers, then managers, the leader last.
    pub(super) fn in_order(mut targets: Vec<NodeTarget>) -> Vec<NodeTarget> {
        targets.sort_by_key(|target| rank(&target.node));
        targets
    }

    /// Returns the index of the node whose turn is next: the leader may have changed since the
    /// plan.
    pub(super) fn first_in_order<'a>(
        &self,
        targets: impl Iterator<Item = &'a NodeTarget>,
    ) -> usize {
        let now = |target: &NodeTarget| {
            let listed = self.nodes.iter().find(|node| node.id == target.node.id);
            rank(listed.unwrap_or(&target.node))
        };
        let ranks = targets.map(now).enumerate();
        ranks
            .min_by_key(|(_, rank)| *rank)
            .map_or(0, |(index, _)| index)
    }

    /// Returns the folder of a host's Docker data; the usual one if its Engine does not answer.
    pub(super) fn data_folder(&self, host: &HostName) -> &str {
        let info = self.engine(host).and_then(DockerStatus::info);
        info.map_or(DockerInfo::USUAL_FOLDER, DockerInfo::data_folder)
    }

    /// Returns a label of a node.
    pub(super) fn label(&self, node_id: &str, name: &str) -> Option<&str> {
        let node = self.nodes.iter().find(|node| node.id == node_id)?;
        node.labels.get(name).map(String::as_str)
    }
}

/// Returns the place of a node in the order of maintenance.
fn rank(node: &SwarmNode) -> u8 {
    let manager = node.manager.as_ref();
    manager.map_or(0, |status| 1 + u8::from(status.leader))
}
