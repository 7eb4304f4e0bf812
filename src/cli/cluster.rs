//! Reads the swarm's page from the hosts' Engines and one manager: what `status` shows and reports of `check` hold.

use std::sync::Arc;

use crate::engine::{Engines, Fleet};
use crate::inventory::{HostName, Inventory};
use crate::resource::EngineAnswer;
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
    let answers = infos(fleet, hosts, forks).await;
    let unreachable = answers.iter().any(|(_, answer)| matches!(answer, EngineAnswer::Unreachable(_)));
    let engines: Vec<(HostName, EngineView)> =
        answers.iter().map(|(host, answer)| (host.clone(), EngineView::read(answer))).collect();
    let manager = engines.iter().find(|(_, view)| matches!(view, EngineView::Answered(info) if info.control_available));
    let (mut nodes, mut listed_services) = (None, None);
    if let Some((manager, _)) = manager {
        nodes = fleet.get(manager, "/nodes").await.ok().and_then(|body| Node::list(body).ok());
        if services {
            listed_services = fleet.get(manager, "/services?status=true").await.ok().cloned();
        }
    }
    Seen { page: overview(&engines, nodes.as_deref(), listed_services.as_ref()), unreachable, listed: nodes.is_some() }
}

/// The members for a report; `None` where no manager of these hosts lists them. What is wrong is only known when all hosts of
/// the inventory were looked at: else every other host would look like a node that nobody knows.
pub async fn members(fleet: &Arc<Fleet>, inventory: &Inventory, hosts: &[HostName], forks: usize) -> Option<Overview> {
    let mut seen = look(fleet, hosts, forks, false).await;
    if hosts.len() < inventory.hosts().len() {
        seen.page.problems.clear();
    }
    seen.listed.then_some(seen.page)
}

/// `/info` of every host, `forks` at once, in the inventory's order.
async fn infos(fleet: &Arc<Fleet>, hosts: &[HostName], forks: usize) -> Vec<(HostName, EngineAnswer)> {
    let permits = Arc::new(tokio::sync::Semaphore::new(forks.max(1)));
    let mut asking = tokio::task::JoinSet::new();
    for (index, host) in hosts.iter().cloned().enumerate() {
        let (fleet, permits) = (fleet.clone(), permits.clone());
        asking.spawn(async move {
            let _permit = permits.acquire_owned().await;
            let answer = fleet.get(&host, "/info").await;
            (index, host, answer)
        });
    }
    let mut answers: Vec<(usize, HostName, EngineAnswer)> = Vec::new();
    while let Some(Ok(answer)) = asking.join_next().await {
        answers.push(answer);
    }
    answers.sort_by_key(|(index, _, _)| *index);
    answers.into_iter().map(|(_, host, answer)| (host, answer)).collect()
}
