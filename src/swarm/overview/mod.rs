//! The whole cluster on one page, for `skep status`: pure rows and problems from the answers of
//! each host's Engine and one manager. No decision is made here.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use super::{CertificateValidity, DockerStatus, SwarmNode, Voters};
use crate::names::HostName;

/// Line of the table: a host of the inventory, or a node that matches no host of the inventory.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct OverviewRow {
    /// Name in the inventory; `None` for a node that is not in the inventory.
    pub host: Option<HostName>,
    /// Host name of the machine, as its Engine reports it.
    pub hostname: String,
    /// Node ID; empty outside the swarm.
    pub node_id: String,
    /// `manager`, `worker`, or empty.
    pub role: String,
    /// `active`, `pause`, `drain`, or empty.
    pub availability: String,
    /// State that the managers report (`ready`, `down`, ...), or the state of the Engine if they
    /// report none.
    pub state: String,
    /// True if the node is the leader.
    pub leader: bool,
    /// Labels of the node.
    pub labels: BTreeMap<String, String>,
    /// Version of the Engine.
    pub engine_version: String,
    /// Address in the swarm.
    pub address: String,
    /// Validity of the node's certificate, if it was read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateValidity>,
}

/// A service of the swarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ServiceOverview {
    /// Name of the service.
    pub name: String,
    /// Image without the digest.
    pub image: String,
    /// `replicated`, `global`, or a job.
    pub mode: String,
    /// Running and desired tasks, if the manager reported them (`GET /services?status=true`).
    pub tasks: Option<(u64, u64)>,
}

/// The cluster on one page.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct ClusterOverview {
    /// Hosts in the inventory's order, then nodes that match no host.
    pub rows: Vec<OverviewRow>,
    /// Number of managers, and of reachable managers.
    pub managers: (usize, usize),
    /// Services, sorted by name.
    pub services: Vec<ServiceOverview>,
    /// Problems, one sentence each.
    pub problems: Vec<String>,
}

/// Builds the overview. `nodes` and `services` are a manager's answers to `/nodes` and
/// `/services?status=true`.
#[must_use]
pub fn overview(
    engines: &[(HostName, DockerStatus)],
    nodes: Option<&[SwarmNode]>,
    services: Option<&Value>,
) -> ClusterOverview {
    let mut page = ClusterOverview {
        services: services.map(read_services).unwrap_or_default(),
        ..ClusterOverview::default()
    };
    let all = nodes.unwrap_or_default();
    let mut known = BTreeSet::new();
    let clusters: BTreeSet<&str> = engines
        .iter()
        .filter_map(|(_, view)| view.info()?.cluster_id.as_deref())
        .collect();
    for (host, view) in engines {
        let info = view.info();
        let node = info.and_then(|info| all.iter().find(|node| node.id == info.node_id));
        let mut row = node.map(row).unwrap_or_default();
        row.host = Some(host.clone());
        match (view, info, node) {
            (_, Some(info), Some(node)) => {
                known.insert(node.id.as_str());
                row.engine_version.clone_from(&info.server_version);
                if info.state != "active" {
                    page.problems.push(
                        format!("{host}: its Engine reports `{}` {}", info.state, info.error)
                            .trim_end()
                            .into(),
                    );
                }
            }
            (_, Some(info), None) => {
                row.hostname.clone_from(&info.name);
                row.engine_version.clone_from(&info.server_version);
                row.node_id.clone_from(&info.node_id);
                row.state = if info.state.is_empty() {
                    "inactive".into()
                } else {
                    info.state.clone()
                };
                page.problems.push(match (info.state.as_str(), nodes) {
                    ("inactive" | "", _) => format!("{host} is not in a swarm"),
                    (_, Some(_)) if info.node_id.is_empty() => format!(
                        "{host} is in a swarm (`{}`), and its Engine does not tell its node yet",
                        info.state
                    ),
                    (_, Some(_)) => {
                        format!("{host} is in another swarm, or was removed from this one")
                    }
                    (state, None) => format!(
                        "{host} is in a swarm (`{state}`) whose nodes no manager lists {}",
                        info.error
                    )
                    .trim_end()
                    .into(),
                });
            }
            (DockerStatus::Absent, ..) => {
                row.state = "no Engine".into();
                page.problems.push(format!("{host} has no Engine"));
            }
            (DockerStatus::Down(why), ..) => {
                row.state = "Engine down".into();
                page.problems
                    .push(format!("{host}: the Engine does not answer: {why}"));
            }
            (DockerStatus::Unreachable(why), ..) => {
                row.state = "unreachable".into();
                page.problems.push(format!("{host} is unreachable: {why}"));
            }
            (DockerStatus::Failed(why), ..) => {
                row.state = "failed".into();
                page.problems.push(why.clone());
            }
            (DockerStatus::Answered(_), None, _) => {}
        }
        page.rows.push(row);
    }
    let mut claims: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, view) in engines {
        if let Some(info) = view.info().filter(|info| !info.node_id.is_empty()) {
            claims.entry(&info.node_id).or_default().push(host.as_str());
        }
    }
    for (node_id, hosts) in claims.into_iter().filter(|(_, hosts)| hosts.len() > 1) {
        page.problems.push(format!(
            "{} say that they are the same node {}",
            hosts.join(" and "),
            node_id.get(..12).unwrap_or(node_id)
        ));
    }
    if clusters.len() > 1 {
        let ids: Vec<&str> = clusters.into_iter().collect();
        page.problems.push(format!(
            "the managers are in different swarms: {}",
            ids.join(", ")
        ));
    }
    // While a host is unread, an unmatched node may be that host, and is not known to be a ghost.
    let unread = engines.iter().any(|(_, view)| view.unknown().is_some());
    for node in all.iter().filter(|node| !known.contains(node.id.as_str())) {
        page.rows.push(row(node));
        if !unread {
            let what = if node.state == "down" {
                "a ghost: down, and"
            } else {
                "foreign to the inventory:"
            };
            page.problems.push(format!(
                "node {} ({}) is {what} no host of the inventory matches it",
                node.short_id(),
                node.hostname
            ));
        }
    }
    page.problems.extend(
        all.iter()
            .filter(|node| known.contains(node.id.as_str()) && node.state != "ready")
            .map(|node| {
                format!(
                    "node {} ({}) is {}",
                    node.short_id(),
                    node.hostname,
                    node.state
                )
            }),
    );
    if nodes.is_some() {
        voters(&mut page, all);
    }
    let versions: BTreeSet<&str> = page
        .rows
        .iter()
        .map(|row| row.engine_version.as_str())
        .filter(|version| !version.is_empty())
        .collect();
    if versions.len() > 1 {
        let versions: Vec<&str> = versions.into_iter().collect();
        page.problems.push(format!(
            "the Engines differ in version: {}",
            versions.join(", ")
        ));
    }
    let short = page
        .services
        .iter()
        .filter_map(|service| Some((service, service.tasks?)))
        .filter(|(_, (runs, wanted))| runs < wanted);
    let short: Vec<String> = short
        .map(|(service, (runs, wanted))| {
            format!("service {}: {runs} of {wanted} tasks run", service.name)
        })
        .collect();
    page.problems.extend(short);
    page
}

fn voters(page: &mut ClusterOverview, nodes: &[SwarmNode]) {
    let voters = Voters::count(nodes);
    page.managers = (voters.total, voters.reachable);
    if voters.total > 1 && voters.total.is_multiple_of(2) {
        page.problems.push(format!(
            "an even number of managers ({}) tolerates no more losses than one manager fewer",
            voters.total
        ));
    }
    if voters.reachable < voters.total {
        page.problems.push(format!(
            "{} of {} managers are reachable, the majority is {}",
            voters.reachable,
            voters.total,
            voters.majority()
        ));
    }
    if voters.leader.is_none() {
        page.problems.push("the swarm has no leader".into());
    }
}

fn row(node: &SwarmNode) -> OverviewRow {
    OverviewRow {
        host: None,
        hostname: node.hostname.clone(),
        node_id: node.id.clone(),
        role: node.role.word().into(),
        availability: node.availability.clone(),
        state: node.state.clone(),
        leader: node.manager.as_ref().is_some_and(|status| status.leader),
        labels: node.labels.clone(),
        engine_version: node.engine_version.clone(),
        address: node.address.clone(),
        certificate: None,
    }
}

fn read_services(body: &Value) -> Vec<ServiceOverview> {
    let text = |value: &Value, pointer: &str| {
        value
            .pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let mut services: Vec<ServiceOverview> = body
        .as_array()
        .into_iter()
        .flatten()
        .map(|service| ServiceOverview {
            name: text(service, "/Spec/Name"),
            image: text(service, "/Spec/TaskTemplate/ContainerSpec/Image")
                .split('@')
                .next()
                .unwrap_or_default()
                .into(),
            mode: service
                .pointer("/Spec/Mode")
                .and_then(Value::as_object)
                .and_then(|mode| mode.keys().next())
                .map(|mode| mode.to_lowercase())
                .unwrap_or_default(),
            tasks: service
                .pointer("/ServiceStatus/RunningTasks")
                .and_then(Value::as_u64)
                .zip(
                    service
                        .pointer("/ServiceStatus/DesiredTasks")
                        .and_then(Value::as_u64),
                ),
        })
        .collect();
    services.sort_by(|one, other| one.name.cmp(&other.name));
    services
}

#[cfg(test)]
mod tests;
