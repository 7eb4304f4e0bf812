//! Reads the overview of the swarm from the Engines of the hosts and from one manager: for
//! `status`, for the reports of `check`, and for drills and rebuilds.

use std::sync::Arc;

use super::{SwarmCheck, SwarmSnapshot};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet, TaskPanic, fan_out};
use crate::swarm::overview::{ClusterOverview, overview};
use crate::swarm::{DockerStatus, SwarmNode};

/// Overview of the cluster, and the completeness of the readings that it was made of.
pub struct ClusterStatus {
    /// The overview.
    pub page: ClusterOverview,
    /// True if a host is unreachable.
    pub unreachable: bool,
    /// True if skep itself failed on a host.
    pub failed: bool,
    /// True if a manager listed the nodes.
    pub listed: bool,
}

/// Reads these hosts, `forks` at once, and the nodes that the first working manager lists. If
/// `services` is true, the services are read from this manager as well.
pub async fn read_cluster(
    fleet: &Arc<Fleet>,
    hosts: &[HostName],
    forks: usize,
    services: bool,
) -> ClusterStatus {
    let engines = read_infos(fleet, hosts, forks).await;
    let unreachable = engines
        .iter()
        .any(|(_, view)| matches!(view, DockerStatus::Unreachable(_)));
    let failed = engines
        .iter()
        .any(|(_, view)| matches!(view, DockerStatus::Failed(_)));
    let manager = engines
        .iter()
        .find(|(_, view)| matches!(view, DockerStatus::Answered(info) if info.control_available));
    let (mut nodes, mut listed_services) = (None, None);
    if let Some((manager, _)) = manager {
        nodes = fleet
            .get(manager, "/nodes")
            .await
            .ok()
            .and_then(|body| SwarmNode::list(body).ok());
        if services {
            listed_services = fleet
                .get(manager, "/services?status=true")
                .await
                .ok()
                .cloned();
        }
    }
    ClusterStatus {
        page: overview(&engines, nodes.as_deref(), listed_services.as_ref()),
        unreachable,
        failed,
        listed: nodes.is_some(),
    }
}

/// Returns the members for a report; `None` if no manager among these hosts lists them.
/// Observations of the cluster check are not read again. Hosts that it did not read are read if
/// `all` is true.
/// Problems are left out unless all hosts of the inventory were read: otherwise every other host
/// would appear as an unknown node.
pub async fn members(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    hosts: &[HostName],
    forks: usize,
    cluster_check: Option<&SwarmCheck>,
    all: bool,
) -> Option<ClusterOverview> {
    let Some(SwarmSnapshot {
        engines: mut known,
        nodes,
        certificates,
    }) = cluster_check.map(SwarmCheck::seen)
    else {
        let seen = read_cluster(fleet, hosts, forks, false).await;
        return seen
            .listed
            .then(|| hide_partial_problems(seen.page, hosts, inventory));
    };
    let nodes = nodes?;
    let others: Vec<HostName> = hosts
        .iter()
        .filter(|host| all && !known.contains_key(*host))
        .cloned()
        .collect();
    known.extend(read_infos(fleet, &others, forks).await);
    let engines: Vec<(HostName, DockerStatus)> = hosts
        .iter()
        .filter_map(|host| Some((host.clone(), known.remove(host)?)))
        .collect();
    let mut page = overview(&engines, Some(&nodes), None);
    for row in &mut page.rows {
        row.certificate = row
            .host
            .as_ref()
            .and_then(|host| certificates.get(host).copied());
    }
    let shown: Vec<HostName> = engines.into_iter().map(|(host, _)| host).collect();
    Some(hide_partial_problems(page, &shown, inventory))
}

fn hide_partial_problems(
    mut page: ClusterOverview,
    looked_at: &[HostName],
    inventory: &Inventory,
) -> ClusterOverview {
    if looked_at.len() < inventory.hosts().len() {
        page.problems.clear();
    }
    page
}

/// Reads `/info` of every host, `forks` at once; the result has the order of `hosts`.
pub async fn read_infos(
    fleet: &Arc<Fleet>,
    hosts: &[HostName],
    forks: usize,
) -> Vec<(HostName, DockerStatus)> {
    let views = fan_out(hosts.to_vec(), forks, |host| {
        let fleet = fleet.clone();
        async move { DockerStatus::read(&fleet.get(&host, "/info").await) }
    })
    .await;
    let view = |(host, view): (&HostName, Result<DockerStatus, TaskPanic>)| {
        let view = view.unwrap_or_else(|panic| {
            let (why, hint) = (panic.why(host), panic.hint());
            DockerStatus::Failed(format!("{why}; {hint}"))
        });
        (host.clone(), view)
    };
    hosts.iter().zip(views).map(view).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety::samples::site;

    #[tokio::test]
    async fn panic_fails_one_host_and_later_hosts_are_read() {
        let (fleet, hosts) = site("docker01");
        let seen = read_cluster(&fleet, &hosts, 1, true).await;
        let states: Vec<(Option<&HostName>, &str)> = seen
            .page
            .rows
            .iter()
            .map(|row| (row.host.as_ref(), row.state.as_str()))
            .collect();
        let expected: Vec<(Option<&HostName>, &str)> = hosts
            .iter()
            .map(Some)
            .zip(["failed", "inactive", "inactive"])
            .collect();
        assert_eq!(states, expected);
        assert!(seen.failed && !seen.unreachable);
        assert_eq!(
            seen.page.problems[0],
            "internal error of skep on docker01: a wire is loose; report this message as a defect of skep, then run again"
        );
    }
}
