//! The quorum check: a change that takes a manager away is refused when the majority would be lost.
//! After a restart no other host is disrupted until the node is Ready and Reachable and the swarm
//! has a leader. The guard judges nodes by their IDs and addresses (`readings`), refuses requests
//! to nodes of other hosts (`node_requests`), and waits for role changes to end (`transition`).

mod node_requests;
mod readings;
mod transition;

use std::collections::BTreeSet;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use self::readings::{NodeListing, Reports, nodes_of, read_reports};
use super::autolock::AutolockForecast;
use super::expected_members;
use crate::inventory::Roster;
use crate::model::{Change, Disruption, NodeEffect, Refusal};
use crate::names::HostName;
use crate::playbook::PreparedRun;
use crate::runner::{DisruptionForecast, DisruptionGuard, DockerReader};
use crate::swarm::{
    DockerInfo, DockerStatus, HostAddresses, NodeClaim, NodeRole, STAYS_LOCKED, SwarmNode,
    VoterLoss, Voters, may_lose,
};

/// Time within which a restarted node must be Ready and Reachable again.
const PATIENCE: Duration = Duration::from_secs(120);
/// Time between two readings.
const PAUSE: Duration = Duration::from_secs(1);

/// Time within which the managers notice that an Engine has stopped.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);

/// Guards the majority of a swarm's managers.
#[derive(Debug, Clone)]
pub struct SwarmGuard {
    /// True if a refusal becomes a note about the risk (`--force`).
    pub force: bool,
    /// True if a restarted manager of an autolocked swarm is unlocked with a key that is kept.
    pub unlocks: bool,
    /// Addresses of the hosts, as the operator wrote them.
    pub addresses: HostAddresses,
    /// Hosts whose word about the swarm counts; empty if the operator named none.
    pub managers: Vec<HostName>,
    /// Time limit of [`DisruptionGuard::after`]; default 120 s.
    pub patience: Duration,
    /// Time between two readings; default 1 s.
    pub pause: Duration,
}

/// Refusal by one reading of the swarm.
struct RefusedVerdict {
    refusal: Refusal,
    /// True if a manager is changing its role, so that a later reading may allow the change.
    passes: bool,
}

impl From<Refusal> for RefusedVerdict {
    fn from(refusal: Refusal) -> Self {
        Self {
            refusal,
            passes: false,
        }
    }
}

impl SwarmGuard {
    /// Creates a guard with the default time limit and pause. Managers are the hosts of the group
    /// `managers`; without such a group, the expected members that the playbook makes managers.
    #[must_use]
    pub fn new(force: bool, run: &PreparedRun) -> Self {
        let mut guard = Self {
            force,
            ..Self::of(&run.inventory.roster())
        };
        if guard.managers.is_empty() {
            let members = expected_members(&run.resolved).into_iter();
            guard.managers = members
                .filter(|(_, member)| member.may_manage)
                .map(|(name, _)| name)
                .collect();
        }
        guard
    }

    /// Creates a guard that refuses, for a run without a playbook. Managers are the hosts of the
    /// group `managers`.
    #[must_use]
    pub fn of(roster: &Roster) -> Self {
        Self {
            force: false,
            unlocks: false,
            addresses: HostAddresses::of(roster),
            managers: roster.group("managers").cloned().collect(),
            patience: PATIENCE,
            pause: PAUSE,
        }
    }

    /// Decides about a disruption. The node that is lost is the one that the change requests, or
    /// the host's own node: as its Engine tells, or the manager that the managers see at its
    /// address.
    async fn judge(
        &self,
        host: &HostName,
        change: &Change,
        engines: &dyn DockerReader,
    ) -> Result<Option<String>, Refusal> {
        let end = Instant::now() + self.patience.min(NOTICED_WITHIN);
        loop {
            let mut reports = self.reports(host, engines).await;
            let stopped = match reports.get(host) {
                None | Some(DockerStatus::Absent) => return Ok(None),
                Some(DockerStatus::Unreachable(why) | DockerStatus::Failed(why)) => {
                    return Err(Refusal {
                        why: format!("cannot determine whether {host} is a manager: {why}"),
                        hint: "make the host reachable, then apply again".into(),
                    });
                }
                Some(DockerStatus::Down(_)) => true,
                Some(DockerStatus::Answered(_)) => false,
            };
            // A stopped Engine has no vote that a restart could take away. The managers notice some
            // seconds late that it has stopped. A manager that was just promoted is reachable some
            // seconds later.
            match self.verdict(host, change, &mut reports, engines).await {
                Ok(note) => return Ok(note),
                Err(refused) if !stopped && !refused.passes || Instant::now() >= end => {
                    return Err(refused.refusal);
                }
                Err(_) => {}
            }
            sleep(self.pause).await;
        }
    }

    /// Decides about a disruption by one reading of the swarm.
    async fn verdict(
        &self,
        host: &HostName,
        change: &Change,
        reports: &mut Reports,
        engines: &dyn DockerReader,
    ) -> Result<Option<String>, RefusedVerdict> {
        let listing = self.listing(host, reports, engines).await;
        let listing = listing.map_err(|why| Refusal {
            why: format!("{host} is a manager, and the number of other managers is unknown: {why}"),
            hint: "bring back a majority of the managers first, or use --force".into(),
        })?;
        let Some(NodeListing {
            mut nodes,
            autolock,
        }) = listing
        else {
            return Ok(None);
        };
        let own = reports
            .get(host)
            .and_then(DockerStatus::info)
            .cloned()
            .unwrap_or_default();
        let demotes = change.disturbs == Disruption::ManagerLoss;
        let requested = change.node_requests().into_iter().find(|request| {
            demotes
                && request.effect == NodeEffect::Worker
                && nodes
                    .iter()
                    .any(|node| node.id == request.node_id && node.role == NodeRole::Manager)
        });
        let node = match requested {
            Some(request) => nodes.iter().find(|node| node.id == request.node_id),
            None => self.node_of(host, &own, &nodes, reports)?,
        };
        let Some(node) = node.map(|node| node.id.clone()) else {
            return Ok(None);
        };
        let silent = self.doubt_silent(&mut nodes, &node, reports, engines).await;
        let loss = match (demotes, autolock) {
            (true, _) => VoterLoss::Demotion,
            (false, true) if !self.unlocks => VoterLoss::Lock,
            (false, _) => VoterLoss::Restart,
        };
        let verdict = may_lose(&nodes, &node, host.as_str(), loss).map(|allowed| allowed.note);
        verdict.map_err(|refusal| RefusedVerdict {
            refusal: Refusal {
                why: format!("{}{}", refusal.why, silent.text),
                ..refusal
            },
            passes: silent.any_changes_role,
        })
    }

    /// Returns the node that the host's restart takes away. A host that says nothing about its
    /// node, or that it is in no swarm, is the reachable manager that the managers see at its
    /// address.
    fn node_of<'a>(
        &self,
        host: &HostName,
        info: &DockerInfo,
        nodes: &'a [SwarmNode],
        reports: &Reports,
    ) -> Result<Option<&'a SwarmNode>, Refusal> {
        let claimed = nodes
            .iter()
            .find(|node| !info.node_id.is_empty() && node.id == info.node_id);
        if let Some(node) = claimed {
            let claim = NodeClaim {
                host,
                info,
                addresses: &[],
            };
            claim.check(node, &self.addresses, self.manager_reports(reports))?;
            return Ok(Some(node));
        }
        Ok(nodes
            .iter()
            .find(|node| node.is_reachable_manager() && self.addresses.has(host, &node.seen_at())))
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
            "locked" => return Some(format!("it {STAYS_LOCKED}")),
            state => return Some(format!("its Engine reports `{state}` {}", info.error)),
        }
        // A manager must list the nodes itself. A worker must be Ready in a manager's list; if none
        // lists it, the worker's own report suffices.
        let nodes = if info.control_available {
            match nodes_of(host, engines).await {
                Ok(nodes) => nodes,
                Err(why) => return Some(why),
            }
        } else {
            let mut reports = self.reports(host, engines).await;
            self.listing(host, &mut reports, engines)
                .await
                .ok()
                .flatten()?
                .nodes
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
            if !view.is_manager() {
                continue;
            }
            match nodes_of(name, engines).await {
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
impl DisruptionForecast for SwarmGuard {
    async fn forecast(&self, host: &HostName, engines: &dyn DockerReader) -> Vec<String> {
        let unlocks = self.unlocks;
        AutolockForecast { unlocks }.forecast(host, engines).await
    }
}

#[async_trait]
impl DisruptionGuard for SwarmGuard {
    async fn owners(
        &self,
        hosts: &[HostName],
        node_ids: &BTreeSet<String>,
        engines: &dyn DockerReader,
    ) -> Vec<HostName> {
        let mut reports = Reports::new();
        if !node_ids.is_empty() {
            read_reports(&mut reports, hosts, engines).await;
        }
        reports
            .into_iter()
            .filter(|(_, status)| {
                status
                    .info()
                    .is_some_and(|info| node_ids.contains(&info.node_id))
            })
            .map(|(name, _)| name)
            .collect()
    }

    async fn before(
        &self,
        host: &HostName,
        change: &Change,
        engines: &dyn DockerReader,
    ) -> Result<Vec<String>, Refusal> {
        let requests = change.node_requests();
        let promotes = self.check_requests(host, &requests, engines).await?;
        let restarts = change.disturbs == Disruption::EngineRestart;
        let mut notes = Vec::new();
        if promotes || restarts {
            match self.wait_until_settled(host, engines).await {
                Err(refusal) if self.force => {
                    notes.push(format!("forced although {}", refusal.why));
                }
                settled => settled?,
            }
        }
        if change.disturbs < Disruption::EngineRestart {
            return Ok(notes);
        }
        match self.judge(host, change, engines).await {
            Ok(note) => notes.extend(note),
            Err(refusal) if self.force => notes.push(format!(
                "forced although {}; without a majority the swarm cannot be changed until the managers are back, \
                 or until it is created anew with `docker swarm init --force-new-cluster`",
                refusal.why
            )),
            Err(refusal) => return Err(refusal),
        }
        Ok(notes)
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
                Disruption::ManagerLoss | Disruption::NodeLoss => {
                    self.undecided(host, engines).await
                }
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
                    hint: format!(
                        "read `journalctl -u docker` on that host; no other host is disrupted until it is Ready; if its Engine does not \
                         start any more, make the machine anew: `skep node rebuild {host}`"
                    ),
                });
            }
            sleep(self.pause).await;
        }
    }
}

#[cfg(test)]
mod tests;
