//! Readings for the guard: reports of Engines, and the list of nodes from a manager that the
//! operator has named. The host that is about to change is asked last, because it may be wrong
//! about itself.

use std::collections::BTreeMap;

use futures_util::future::join_all;

use super::SwarmGuard;
use crate::names::HostName;
use crate::runner::DockerReader;
use crate::swarm::{DockerInfo, DockerStatus, NodeClaim, SwarmNode};

/// Reports of Engines, by host.
pub(super) type Reports = BTreeMap<HostName, DockerStatus>;

/// Nodes of a host's swarm, as a manager lists them.
pub(super) struct NodeListing {
    /// The nodes.
    pub nodes: Vec<SwarmNode>,
    /// True if managers of this swarm stay locked after a restart.
    pub autolock: bool,
}

/// Reads one Engine.
pub(super) async fn report(host: &HostName, engines: &dyn DockerReader) -> DockerStatus {
    DockerStatus::read(&engines.get(host, "/info").await)
}

/// Reads the Engines of hosts that are not in the reports yet, all at the same time: an Engine that
/// hangs costs its time limit once.
pub(super) async fn read_reports<'a>(
    reports: &mut Reports,
    hosts: impl IntoIterator<Item = &'a HostName>,
    engines: &dyn DockerReader,
) {
    let new: Vec<HostName> = hosts
        .into_iter()
        .filter(|host| !reports.contains_key(*host))
        .cloned()
        .collect();
    let read = join_all(new.iter().map(|host| report(host, engines))).await;
    reports.extend(new.into_iter().zip(read));
}

/// Reads the nodes that one manager lists.
pub(super) async fn nodes_of(
    host: &HostName,
    engines: &dyn DockerReader,
) -> Result<Vec<SwarmNode>, String> {
    let answer = engines.get(host, "/nodes").await;
    SwarmNode::list(answer.json().map_err(|error| error.to_string())?)
}

/// Managers that the swarm lists as reachable and that do not manage it.
#[derive(Default)]
pub(super) struct SilentManagers {
    /// Text about them for a refusal.
    pub text: String,
    /// True if one of them is active in the swarm: it is becoming a manager, or ceases to be one.
    pub any_changes_role: bool,
}

impl SwarmGuard {
    /// Returns the hosts whose word about the swarm counts: the group of managers, or every host if
    /// the operator named none.
    fn trusted(&self, engines: &dyn DockerReader) -> Vec<HostName> {
        if self.managers.is_empty() {
            engines.hosts()
        } else {
            self.managers.clone()
        }
    }

    /// Reads the host's own Engine and those of the managers.
    pub(super) async fn reports(&self, host: &HostName, engines: &dyn DockerReader) -> Reports {
        let mut reports = Reports::new();
        let trusted = self.trusted(engines);
        read_reports(&mut reports, trusted.iter().chain([host]), engines).await;
        reports
    }

    /// Returns the reports of answering managers that the operator has named.
    pub(super) fn manager_reports<'a>(
        &'a self,
        reports: &'a Reports,
    ) -> impl Iterator<Item = (&'a HostName, &'a DockerInfo)> {
        reports
            .iter()
            .filter(|(name, status)| {
                (self.managers.is_empty() || self.managers.contains(name)) && status.is_manager()
            })
            .filter_map(|(name, status)| Some((name, status.info()?)))
    }

    /// Returns the nodes of the host's swarm from the first manager that lists them; `None` if no
    /// manager lists the host, so that it is in no swarm of this inventory. Managers of the group
    /// come first, then the host itself, then other hosts.
    ///
    /// # Errors
    /// Returns the reason if the host says that it is a manager and no manager lists the nodes.
    pub(super) async fn listing(
        &self,
        host: &HostName,
        reports: &mut Reports,
        engines: &dyn DockerReader,
    ) -> Result<Option<NodeListing>, String> {
        let trusted = self.trusted(engines);
        let mut why = "no manager answers".to_owned();
        for in_group in [true, false] {
            let mut lists: Vec<HostName> = if in_group {
                trusted.clone()
            } else {
                let others = engines.hosts();
                read_reports(reports, &others, engines).await;
                others
            };
            lists.retain(|name| name != host && trusted.contains(name) == in_group);
            if in_group {
                lists.push(host.clone());
            }
            for name in lists {
                match self.list_of(&name, host, reports, engines).await {
                    Some(Ok(listing)) => return Ok(Some(listing)),
                    Some(Err(error)) => why = error,
                    None => {}
                }
            }
            // A host that is in no swarm, and whose address no manager lists, is in none.
            let in_swarm = reports
                .get(host)
                .and_then(DockerStatus::info)
                .is_some_and(|info| !info.node_id.is_empty());
            if !in_swarm {
                return Ok(None);
            }
        }
        match reports.get(host) {
            Some(own) if own.is_manager() => Err(why),
            _ => Ok(None),
        }
    }

    /// Returns the list of one manager if it concerns the host; `None` if the manager does not
    /// manage a swarm, or another one.
    async fn list_of(
        &self,
        name: &HostName,
        host: &HostName,
        reports: &Reports,
        engines: &dyn DockerReader,
    ) -> Option<Result<NodeListing, String>> {
        let status = reports.get(name)?;
        let info = status.info().filter(|_| status.is_manager())?;
        let own = reports.get(host).and_then(DockerStatus::info);
        let own_cluster = own.and_then(|own| own.cluster_id.as_ref());
        if own_cluster.is_some()
            && info.cluster_id.is_some()
            && own_cluster != info.cluster_id.as_ref()
        {
            return None;
        }
        let nodes = match nodes_of(name, engines).await {
            Ok(nodes) => nodes,
            Err(why) => return Some(Err(why)),
        };
        let concerns = name == host
            || own_cluster.is_some()
            || nodes.iter().any(|node| {
                own.is_some_and(|own| !own.node_id.is_empty() && own.node_id == node.id)
                    || self.addresses.has(host, &node.seen_at())
            });
        concerns.then_some(Ok(NodeListing {
            nodes,
            autolock: info.autolock,
        }))
    }

    /// Marks reachable managers that do not answer skep as unreachable, and returns text about them
    /// for the refusal. The swarm notices a lost manager some seconds late; therefore skep queries
    /// the managers that are hosts of the inventory itself. They are known by the node IDs that
    /// they tell, then by their addresses, and never by a name.
    pub(super) async fn doubt_silent(
        &self,
        nodes: &mut [SwarmNode],
        lost: &str,
        reports: &mut Reports,
        engines: &dyn DockerReader,
    ) -> SilentManagers {
        let hosts = engines.hosts();
        let owned = |node: &SwarmNode| -> Vec<HostName> {
            self.addresses.owners(&node.seen_at()).cloned().collect()
        };
        let mut silent = SilentManagers::default();
        let mut suspects: Vec<HostName> = Vec::new();
        for node in nodes
            .iter_mut()
            .filter(|node| node.is_reachable_manager() && node.id != lost)
        {
            let mut owners = owned(node);
            owners.retain(|name| hosts.contains(name));
            read_reports(reports, &owners, engines).await;
            if owners.is_empty() && self.claimant(node, reports).is_none() {
                read_reports(reports, &hosts, engines).await;
            }
            let doubt = match (self.claimant(node, reports), owners.first()) {
                (Some((_, info)), _) if info.state == "active" && info.control_available => {
                    continue;
                }
                (Some((name, info)), _) => {
                    silent.any_changes_role |= info.state == "active";
                    format!(
                        "{name} does not manage the swarm now (state `{}`)",
                        info.state
                    )
                }
                (None, Some(name)) => match reports.get(name).and_then(DockerStatus::unknown) {
                    Some(why) => format!("{name} does not answer: {why}"),
                    None => format!("{name} does not say that it is node {}", node.short_id()),
                },
                // A silent host of the group may be any manager that no other host claims.
                (None, None) => {
                    let suspect = self.managers.iter().find_map(|name| {
                        let why = reports.get(name)?.unknown()?;
                        (!suspects.contains(name)).then_some((name, why))
                    });
                    let Some((name, why)) = suspect else { continue };
                    suspects.push(name.clone());
                    format!(
                        "{name} does not answer: {why}; it may be node {}",
                        node.short_id()
                    )
                }
            };
            silent.text.push_str(&format!("; {doubt}"));
            if let Some(status) = &mut node.manager {
                status.reachability = "unreachable".into();
            }
        }
        silent
    }

    /// Returns the host that says that it is this node, if the inventory does not contradict it.
    fn claimant<'a>(
        &self,
        node: &SwarmNode,
        reports: &'a Reports,
    ) -> Option<(&'a HostName, &'a DockerInfo)> {
        reports.iter().find_map(|(host, status)| {
            let info = status.info().filter(|info| info.node_id == node.id)?;
            let claim = NodeClaim {
                host,
                info,
                addresses: &[],
            };
            claim
                .check(node, &self.addresses, std::iter::empty())
                .is_ok()
                .then_some((host, info))
        })
    }
}
