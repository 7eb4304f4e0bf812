//! The quorum check: a change that takes a manager away is refused when the majority would be lost.
//! After a restart no other host is disrupted until the node is Ready and Reachable and the swarm
//! has a leader.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::model::{Change, Disruption, Refusal};
use crate::names::HostName;
use crate::runner::{DisruptionGuard, DockerReader};
use crate::swarm::{DockerInfo, DockerStatus, SwarmNode, VoterLoss, Voters, may_lose};

/// Time within which a restarted node must be Ready and Reachable again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two readings.
const PAUSE: Duration = Duration::from_secs(1);

/// Guards the majority of a swarm's managers.
#[derive(Debug, Clone)]
pub struct SwarmGuard {
    /// True if a refusal becomes a note about the risk (`--force`).
    pub force: bool,
    /// Time limit of [`DisruptionGuard::after`]; default 120 s.
    pub patience: Duration,
    /// Time between two readings; default 1 s.
    pub pause: Duration,
}

impl SwarmGuard {
    /// Creates a guard with the default time limit and pause.
    #[must_use]
    pub fn new(force: bool) -> Self {
        Self {
            force,
            patience: PATIENCE,
            pause: PAUSE,
        }
    }

    async fn judge(
        &self,
        host: &HostName,
        disturbs: Disruption,
        engines: &dyn DockerReader,
    ) -> Result<Option<String>, Refusal> {
        let info = match DockerStatus::read(&engines.get(host, "/info").await) {
            // A stopped Engine has no vote that a restart could take away.
            DockerStatus::Absent | DockerStatus::Down(_) => return Ok(None),
            DockerStatus::Unreachable(why) | DockerStatus::Failed(why) => {
                return Err(Refusal {
                    why: format!("cannot determine whether {host} is a manager: {why}"),
                    hint: "make the host reachable, then apply again".into(),
                });
            }
            DockerStatus::Answered(info) => info,
        };
        if info.state != "active" || !info.control_available {
            return Ok(None);
        }
        let mut nodes = list_nodes(host, &info, engines)
            .await
            .map_err(|why| Refusal {
                why: format!(
                    "{host} is a manager, and the number of other managers is unknown: {why}"
                ),
                hint: "bring back a majority of the managers first, or use --force".into(),
            })?;
        let silent = doubt_silent(&mut nodes, host, engines).await;
        let loss = if disturbs == Disruption::ManagerLoss {
            VoterLoss::Demotion
        } else {
            VoterLoss::Restart
        };
        let verdict =
            may_lose(&nodes, &info.node_id, host.as_str(), loss).map(|allowed| allowed.note);
        verdict.map_err(|refusal| Refusal {
            why: format!("{}{silent}", refusal.why),
            ..refusal
        })
    }

    /// Reads the state once after a restart. Returns the reason why the node is not back yet, or
    /// `None` if it is back.
    async fn still_away(&self, host: &HostName, engines: &dyn DockerReader) -> Option<String> {
        let info = match DockerStatus::read(&engines.get(host, "/info").await) {
            DockerStatus::Answered(info) => info,
            DockerStatus::Absent => return Some("there is no Engine".into()),
            DockerStatus::Down(why)
            | DockerStatus::Unreachable(why)
            | DockerStatus::Failed(why) => {
                return Some(why);
            }
        };
        match info.state.as_str() {
            "inactive" | "" => return None,
            "active" => {}
            state => return Some(format!("its Engine reports `{state}` {}", info.error)),
        }
        let nodes = if info.control_available {
            match list_nodes(host, &info, engines).await {
                Ok(nodes) => nodes,
                Err(why) => return Some(why),
            }
        } else {
            // A manager of the inventory must report the worker as Ready. If none lists it, the
            // worker's own report suffices.
            nodes_with(host, &info, engines).await?
        };
        let Some(node) = nodes.iter().find(|node| node.id == info.node_id) else {
            return Some(format!("node {} is not listed", info.node_id));
        };
        let voters = Voters::count(&nodes);
        if node.state != "ready" {
            Some(format!("the managers report the node as `{}`", node.state))
        } else if node.manager.is_some() && !node.is_reachable_manager() {
            Some("the other managers cannot reach it".into())
        } else if voters.leader.is_none() {
            Some("the swarm has no leader".into())
        } else {
            // A manager that was away contacts the other nodes within seconds; until then it lists
            // them as `unknown`, neither up nor down.
            let silent = nodes
                .iter()
                .find(|node| info.control_available && node.state == "unknown");
            silent.map(|node| format!("it has not contacted node {} since", node.hostname))
        }
    }

    /// Reads the state once after a manager was demoted or left. Returns the reason why the other
    /// managers cannot decide yet.
    async fn undecided(&self, host: &HostName, engines: &dyn DockerReader) -> Option<String> {
        let mut last = "no manager answers".to_owned();
        for name in engines.hosts().iter().filter(|name| *name != host) {
            let view = DockerStatus::read(&engines.get(name, "/info").await);
            let Some(info) = view.info().filter(|_| view.is_manager()) else {
                continue;
            };
            match list_nodes(name, info, engines).await {
                Ok(nodes)
                    if Voters::count(&nodes).leader.is_some()
                        && Voters::count(&nodes).has_majority() =>
                {
                    return None;
                }
                Ok(_) => last = "the swarm has no leader or no majority".into(),
                Err(why) => last = why,
            }
        }
        Some(last)
    }
}

#[async_trait]
impl DisruptionGuard for SwarmGuard {
    async fn before(
        &self,
        host: &HostName,
        change: &Change,
        engines: &dyn DockerReader,
    ) -> Result<Vec<String>, Refusal> {
        if change.disturbs < Disruption::EngineRestart {
            return Ok(Vec::new());
        }
        match self.judge(host, change.disturbs, engines).await {
            Ok(note) => Ok(note.into_iter().collect()),
            Err(refusal) if self.force => Ok(vec![format!(
                "forced although {}; without a majority the swarm cannot be changed until the managers are back, \
                 or until it is created anew with `docker swarm init --force-new-cluster`",
                refusal.why
            )]),
            Err(refusal) => Err(refusal),
        }
    }

    fn is_forced(&self) -> bool {
        self.force
    }

    async fn after(
        &self,
        host: &HostName,
        change: &Change,
        engines: &dyn DockerReader,
    ) -> Result<(), Refusal> {
        if change.disturbs < Disruption::EngineRestart {
            return Ok(());
        }
        let end = Instant::now() + self.patience;
        loop {
            let away = match change.disturbs {
                Disruption::ManagerLoss => self.undecided(host, engines).await,
                _ => self.still_away(host, engines).await,
            };
            let Some(why) = away else { return Ok(()) };
            if Instant::now() >= end {
                return Err(Refusal {
                    why: format!(
                        "{host} is not back {} s after the disruption: {}",
                        self.patience.as_secs(),
                        why.trim()
                    ),
                    hint: "read `journalctl -u docker` on that host; no other host is disrupted until it is Ready".into(),
                });
            }
            sleep(self.pause).await;
        }
    }
}

/// Marks reachable managers that do not answer skep as unreachable, and returns text about them for
/// the refusal. The swarm notices a lost manager some seconds late; therefore skep queries the
/// managers that are hosts of the inventory itself.
async fn doubt_silent(
    nodes: &mut [SwarmNode],
    host: &HostName,
    engines: &dyn DockerReader,
) -> String {
    let mut silent = String::new();
    let hosts = engines.hosts();
    for node in nodes
        .iter_mut()
        .filter(|node| node.is_reachable_manager() && node.hostname != host.as_str())
    {
        let Some(name) = hosts.iter().find(|name| name.as_str() == node.hostname) else {
            continue;
        };
        let view = DockerStatus::read(&engines.get(name, "/info").await);
        if let (Some(why), Some(status)) = (view.unknown(), &mut node.manager) {
            silent.push_str(&format!("; {name} does not answer: {why}"));
            status.reachability = "unreachable".into();
        }
    }
    silent
}

/// Returns the nodes as the manager `host` lists them; if it cannot, as another manager of the same
/// cluster does.
async fn list_nodes(
    host: &HostName,
    info: &DockerInfo,
    engines: &dyn DockerReader,
) -> Result<Vec<SwarmNode>, String> {
    let why = match nodes_of(host, engines).await {
        Ok(nodes) => return Ok(nodes),
        Err(why) => why,
    };
    for name in engines.hosts().iter().filter(|name| *name != host) {
        let view = DockerStatus::read(&engines.get(name, "/info").await);
        let Some(other) = view.info().filter(|_| view.is_manager()) else {
            continue;
        };
        if info.cluster_id.is_some()
            && other.cluster_id == info.cluster_id
            && let Ok(nodes) = nodes_of(name, engines).await
        {
            return Ok(nodes);
        }
    }
    Err(why)
}

/// Returns the node list that contains this worker, from the first manager of the inventory that
/// lists it.
async fn nodes_with(
    host: &HostName,
    info: &DockerInfo,
    engines: &dyn DockerReader,
) -> Option<Vec<SwarmNode>> {
    for name in engines.hosts().iter().filter(|name| *name != host) {
        if let Ok(nodes) = nodes_of(name, engines).await
            && nodes.iter().any(|node| node.id == info.node_id)
        {
            return Some(nodes);
        }
    }
    None
}

async fn nodes_of(host: &HostName, engines: &dyn DockerReader) -> Result<Vec<SwarmNode>, String> {
    let answer = engines.get(host, "/nodes").await;
    SwarmNode::list(answer.json().map_err(|error| error.to_string())?)
}

#[cfg(test)]
mod tests;
