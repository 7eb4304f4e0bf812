//! Reads the swarm's page from the hosts' Engines and one manager: what `status` shows and reports of `check` hold.

use std::sync::Arc;

use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::{Engines, Fleet};
use crate::safety::{SwarmLookout, SwarmSeen};
use crate::swarm::overview::{Overview, overview};
use crate::swarm::{EngineView, Node};

/// What was seen.
pub struct Seen {
    /// The page.
    pub page: Overview,
    /// Whether any host could not be reached.
    pub unreachable: bool,
    /// Whether a manager listed the nodes.
    pub listed: bool,
}

/// Looks at these hosts, `forks` at once, and at the nodes and perhaps the services that the first working manager lists.
pub async fn look(fleet: &Arc<Fleet>, hosts: &[HostName], forks: usize, services: bool) -> Seen {
    let engines = infos(fleet, hosts, forks).await;
    let unreachable = engines
        .iter()
        .any(|(_, view)| matches!(view, EngineView::Unreachable(_)));
    let manager = engines
        .iter()
        .find(|(_, view)| matches!(view, EngineView::Answered(info) if info.control_available));
    let (mut nodes, mut listed_services) = (None, None);
    if let Some((manager, _)) = manager {
        nodes = fleet
            .get(manager, "/nodes")
            .await
            .ok()
            .and_then(|body| Node::list(body).ok());
        if services {
            listed_services = fleet
                .get(manager, "/services?status=true")
                .await
                .ok()
                .cloned();
        }
    }
    Seen {
        page: overview(&engines, nodes.as_deref(), listed_services.as_ref()),
        unreachable,
        listed: nodes.is_some(),
    }
}

/// The members for a report; `None` where no manager of these hosts lists them. What the lookout has heard is not asked again, and
/// hosts that it did not ask are asked when `all` are to be shown. What is wrong is only known when all hosts of the inventory were
/// looked at: else every other host would look like a node that nobody knows.
pub async fn members(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    hosts: &[HostName],
    forks: usize,
    lookout: Option<&SwarmLookout>,
    all: bool,
) -> Option<Overview> {
    let Some(SwarmSeen {
        engines: mut known,
        nodes,
        certificates,
    }) = lookout.map(SwarmLookout::seen)
    else {
        let seen = look(fleet, hosts, forks, false).await;
        return seen
            .listed
            .then(|| without_foreign(seen.page, hosts, inventory));
    };
    let nodes = nodes?;
    let others: Vec<HostName> = hosts
        .iter()
        .filter(|host| all && !known.contains_key(*host))
        .cloned()
        .collect();
    known.extend(infos(fleet, &others, forks).await);
    let engines: Vec<(HostName, EngineView)> = hosts
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
    Some(without_foreign(page, &shown, inventory))
}

fn without_foreign(mut page: Overview, looked_at: &[HostName], inventory: &Inventory) -> Overview {
    if looked_at.len() < inventory.hosts().len() {
        page.problems.clear();
    }
    page
}

/// `/info` of every host, `forks` at once, in the inventory's order.
async fn infos(
    fleet: &Arc<Fleet>,
    hosts: &[HostName],
    forks: usize,
) -> Vec<(HostName, EngineView)> {
    let permits = Arc::new(tokio::sync::Semaphore::new(forks.max(1)));
    let mut asking = tokio::task::JoinSet::new();
    for (index, host) in hosts.iter().cloned().enumerate() {
        let (fleet, permits) = (fleet.clone(), permits.clone());
        asking.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let view = EngineView::read(&fleet.get(&host, "/info").await);
            (index, host, view)
        });
    }
    let mut answers: Vec<(usize, HostName, EngineView)> = Vec::new();
    while let Some(Ok(answer)) = asking.join_next().await {
        answers.push(answer);
    }
    answers.sort_by_key(|(index, _, _)| *index);
    answers
        .into_iter()
        .map(|(_, host, answer)| (host, answer))
        .collect()
}
