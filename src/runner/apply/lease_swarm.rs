//! Finds the managers through which a run takes the lease of a host's swarm.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use serde_json::Value;

use crate::model::{DockerAnswer, DockerError};
use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet};

/// Swarm of a host, as far as a lease needs it.
pub(super) enum LeaseSwarm {
    /// The host is in no swarm, or its Engine does not answer.
    Outside,
    /// No manager of the swarm is a host of the inventory.
    Unmanaged,
    /// The swarm has managers in the inventory.
    Managed(ManagedSwarm),
}

/// Managers of the swarm of a host.
pub(super) struct ManagedSwarm {
    /// ID of the host's own node.
    pub node_id: String,
    /// Managers, the host itself last: its Engine is about to be away.
    pub managers: Vec<HostName>,
    /// Managers by the ID of their node.
    pub hosts: HashMap<String, HostName>,
}

fn text<'a>(info: &'a DockerAnswer, pointer: &str) -> &'a str {
    let value = info.ok().and_then(|body| body.pointer(pointer));
    value.and_then(Value::as_str).unwrap_or_default()
}

/// Returns true if the Engine reports that it is a manager.
fn is_manager(info: &DockerAnswer) -> bool {
    let control = info
        .ok()
        .and_then(|body| body.pointer("/Swarm/ControlAvailable"));
    control.and_then(Value::as_bool) == Some(true)
}

/// Asks the host itself, then the hosts that are connected already, then the others until one of
/// them is a manager of the same swarm.
pub(super) async fn find_swarm(fleet: &Fleet, host: &HostName) -> LeaseSwarm {
    let info = fleet.get(host, "/info").await;
    let node_id = text(&info, "/Swarm/NodeID");
    if node_id.is_empty() {
        return LeaseSwarm::Outside;
    }
    let own = SwarmIdentity {
        node_id,
        is_manager: is_manager(&info),
        cluster_id: text(&info, "/Swarm/Cluster/ID"),
    };
    let mut swarm = ManagedSwarm {
        node_id: node_id.to_owned(),
        managers: Vec::new(),
        hosts: HashMap::new(),
    };
    let connected = fleet.connected();
    let asked = connected.iter().filter(|name| *name != host);
    let answers = join_all(asked.map(async |name| own.manager_of(fleet, name).await)).await;
    swarm.add(answers);
    if swarm.managers.is_empty() {
        let connected: HashSet<&HostName> = connected.iter().collect();
        for name in fleet
            .hosts()
            .iter()
            .filter(|name| *name != host && !connected.contains(name))
        {
            swarm.add([own.manager_of(fleet, name).await]);
            if !swarm.managers.is_empty() {
                break;
            }
        }
    }
    if own.is_manager {
        swarm.add([Some((host.clone(), node_id.to_owned()))]);
    }
    if swarm.managers.is_empty() {
        return LeaseSwarm::Unmanaged;
    }
    LeaseSwarm::Managed(swarm)
}

impl ManagedSwarm {
    fn add(&mut self, found: impl IntoIterator<Item = Option<(HostName, String)>>) {
        for (name, node_id) in found.into_iter().flatten() {
            self.managers.push(name.clone());
            self.hosts.insert(node_id, name);
        }
    }
}

/// A node of the swarm, as its own Engine reports it.
struct SwarmIdentity<'a> {
    node_id: &'a str,
    is_manager: bool,
    cluster_id: &'a str,
}

impl SwarmIdentity<'_> {
    /// Returns the host with the ID of its node if it is a manager of this node's swarm.
    async fn manager_of(&self, fleet: &Fleet, name: &HostName) -> Option<(HostName, String)> {
        let info = fleet.get(name, "/info").await;
        if !is_manager(&info) {
            return None;
        }
        let is_ours = if self.is_manager {
            // Without a leader no manager knows the cluster.
            let cluster_id = text(&info, "/Swarm/Cluster/ID");
            cluster_id == self.cluster_id || cluster_id.is_empty()
        } else {
            let path = format!("/nodes/{}", self.node_id);
            let listed = fleet.get(name, &path).await;
            !listed
                .json()
                .is_err_and(|error: DockerError| error.is_not_found())
        };
        is_ours.then(|| (name.clone(), text(&info, "/Swarm/NodeID").to_owned()))
    }
}
