//! Checks requests to nodes of the swarm: a host changes its own node, or removes a node that it
//! left behind. A compromised worker may say that it is any node, so the managers and the inventory
//! must agree. `--force` does not skip this check.

use super::SwarmGuard;
use super::readings::{Reports, nodes_of, read_reports};
use crate::model::{NodeEffect, NodeRequest, Refusal};
use crate::names::HostName;
use crate::runner::DockerReader;
use crate::swarm::{DockerInfo, DockerStatus, NodeClaim, NodeRole, SwarmNode};

impl SwarmGuard {
    /// Checks that the nodes of the requests belong to the host. Returns true if a request promotes
    /// the host's node.
    ///
    /// # Errors
    /// A [`Refusal`] that names the contradiction.
    pub(super) async fn check_requests(
        &self,
        host: &HostName,
        requests: &[NodeRequest],
        engines: &dyn DockerReader,
    ) -> Result<bool, Refusal> {
        let Some(first) = requests.first() else {
            return Ok(false);
        };
        let mut reports = self.reports(host, engines).await;
        let own = reports
            .get(host)
            .and_then(DockerStatus::info)
            .cloned()
            .unwrap_or_default();
        let nodes = list_through(host, &first.managers, engines).await?;
        let mut promotes = false;
        for request in requests {
            let Some(node) = nodes.iter().find(|node| node.id == request.node_id) else {
                continue;
            };
            if own.node_id == node.id {
                self.check_own(host, &own, node, &mut reports, engines)
                    .await?;
                promotes |= request.effect == NodeEffect::Manager && node.role == NodeRole::Worker;
            } else {
                self.check_ghost(host, node, &mut reports, engines).await?;
            }
        }
        Ok(promotes)
    }

    /// Checks the host's claim to its node. If the inventory does not tell the host's address,
    /// every host is asked: only one may claim the node.
    async fn check_own(
        &self,
        host: &HostName,
        info: &DockerInfo,
        node: &SwarmNode,
        reports: &mut Reports,
        engines: &dyn DockerReader,
    ) -> Result<(), Refusal> {
        let claim = NodeClaim {
            host,
            info,
            addresses: &[],
        };
        claim.check(node, &self.addresses, self.manager_reports(reports))?;
        if self.addresses.has(host, &node.seen_at()) {
            return Ok(());
        }
        read_reports(reports, &engines.hosts(), engines).await;
        let all = reports
            .iter()
            .filter_map(|(name, status)| Some((name, status.info()?)));
        claim.check(node, &self.addresses, all)
    }

    /// Checks that a node which is not the host's present one was left behind by it: no other host
    /// is at its address, and no host says that it is this node.
    async fn check_ghost(
        &self,
        host: &HostName,
        node: &SwarmNode,
        reports: &mut Reports,
        engines: &dyn DockerReader,
    ) -> Result<(), Refusal> {
        read_reports(reports, &engines.hosts(), engines).await;
        let seen = node.seen_at();
        let claimant = reports.iter().find(|(name, status)| {
            *name != host && status.info().is_some_and(|info| info.node_id == node.id)
        });
        let owner = self.addresses.owners(&seen).find(|name| *name != host);
        let Some(other) = claimant.map(|(name, _)| name).or(owner) else {
            return Ok(());
        };
        Err(Refusal {
            why: format!(
                "{host} may change only its own node, and node {} ({}) belongs to {other}",
                node.short_id(),
                node.hostname
            ),
            hint: format!(
                "nothing is changed for {host}: compare its address and its node ID with those of {other} (`skep status`)"
            ),
        })
    }
}

/// Returns the nodes as the managers list them through which the requests go.
async fn list_through(
    host: &HostName,
    managers: &[HostName],
    engines: &dyn DockerReader,
) -> Result<Vec<SwarmNode>, Refusal> {
    let own = [host.clone()];
    let managers = if managers.is_empty() {
        &own[..]
    } else {
        managers
    };
    let mut why = "no manager answers".to_owned();
    for name in managers {
        match nodes_of(name, engines).await {
            Ok(nodes) => return Ok(nodes),
            Err(error) => why = format!("{name}: {error}"),
        }
    }
    Err(Refusal {
        why: format!("cannot determine whether the node belongs to {host}: {why}"),
        hint: "bring a manager of the swarm back, then apply again".into(),
    })
}
