//! The steps of a rebuild, in order: refuse, confirm, destroy and create the machine, apply, and
//! set the labels after the data is back.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{
    QuorumFacts, RebuildConsent, RebuildError, SwarmFate, check_quorum, data_directories,
    leave_lost_swarm, plan_labels,
};
use crate::inventory::Inventory;
use crate::machine::Machines;
use crate::model::{HostAnswers, ProbeError, Query, ShellQuery};
use crate::names::HostName;
use crate::playbook::PreparedRun;
use crate::runner::gather::gather;
use crate::runner::{
    DockerReader as _, Fleet, LeaseError, LeaseOutcome, LeaseOwner, ReadCache, SwarmLease, fan_out,
    take_swarm_lease,
};
use crate::safety::read_cluster;
use crate::swarm::{NodeRole, SwarmNode};

/// Time to wait for another run that disrupts the swarm.
const LEASE_WAIT: Duration = Duration::from_secs(60);

/// Access of a rebuild to the configuration, to the hosts and to the operator. The files are loaded
/// again after the machine is created, because the new machine has another port and host key.
#[async_trait::async_trait(?Send)]
pub trait RebuildSession: Sync {
    /// Error of the session.
    type Error: From<RebuildError>;
    /// Result of an apply that did not reach the desired state.
    type Stopped;

    /// Loads the inventory and the playbooks.
    ///
    /// # Errors
    /// Configuration errors.
    fn prepare(&self) -> Result<PreparedRun, Self::Error>;

    /// Loads the inventory alone.
    ///
    /// # Errors
    /// Configuration errors.
    fn load_inventory(&self) -> Result<Inventory, Self::Error>;

    /// Returns the hosts of the inventory, connected on demand.
    ///
    /// # Errors
    /// If a file or a password of the login is missing.
    fn connect(&self, inventory: &Inventory) -> Result<Arc<Fleet>, Self::Error>;

    /// Returns the maximum number of hosts at once.
    fn forks(&self, inventory: &Inventory) -> usize;

    /// Asks the operator; returns true if the answer is yes.
    ///
    /// # Errors
    /// If the question cannot be asked.
    async fn confirm(&self, question: &str) -> Result<bool, Self::Error>;

    /// Shows one line of progress.
    fn note(&self, line: &str);

    /// Returns this run as locks and leases name it.
    fn run_owner(&self) -> LeaseOwner;

    /// Applies without a further question; breaks if the desired state was not reached.
    ///
    /// # Errors
    /// If no host could be contacted because of the configuration.
    async fn apply(&self, run: PreparedRun) -> Result<ControlFlow<Self::Stopped>, Self::Error>;

    /// Shows what a run would change, and applies it if the operator agrees; breaks if the desired
    /// state was not reached.
    ///
    /// # Errors
    /// If no host could be contacted because of the configuration.
    async fn offer(&self, run: PreparedRun) -> Result<ControlFlow<Self::Stopped>, Self::Error>;

    /// Returns true if a person answers questions.
    fn can_ask(&self) -> bool;
}

/// Result of a rebuild that was begun.
#[derive(Debug, PartialEq, Eq)]
pub enum RebuildOutcome<S> {
    /// The node is back, with its labels.
    Rebuilt,
    /// The node is back without the labels that declare data, because these directories are empty.
    WithoutLabels {
        /// Empty data directories.
        empty: Vec<String>,
    },
    /// An apply did not reach the desired state.
    Stopped(S),
}

/// Rebuilds a node. All checks come before anything is destroyed.
///
/// # Errors
/// [`RebuildError`] if the rebuild is refused, not confirmed, or fails; errors of the session.
pub async fn rebuild<S: RebuildSession>(
    session: &S,
    host: &HostName,
    consent: RebuildConsent,
) -> Result<RebuildOutcome<S::Stopped>, S::Error> {
    let prepared = session.prepare()?;
    let inventory = &prepared.inventory;
    if inventory.host(host).is_none() {
        return Err(RebuildError::UnknownHost(host.clone()).into());
    }
    if !prepared.resolved.hosts().contains(host) {
        return Err(RebuildError::NoPlay(host.clone()).into());
    }
    let machines = Machines::of(inventory).map_err(RebuildError::from)?;
    machines
        .check(inventory, std::slice::from_ref(host), "rebuild")
        .map_err(RebuildError::from)?;
    let facts = read_quorum(session, inventory, host).await?;
    let fate = check_quorum(host, &facts, consent)?;
    let directories = data_directories(&prepared.resolved, host);
    if !session.confirm(&question(host, fate)).await? {
        return Err(RebuildError::NotConfirmed.into());
    }
    // The lease has connections of its own, which stay open until the node is back.
    let fleet = session.connect(inventory)?;
    let outcome = async {
        let lease = take_lease(session, &fleet, host, (fate, consent)).await?;
        // The swarm may have changed during the question.
        let facts = read_quorum(session, inventory, host).await;
        let checked = facts.and_then(|facts| Ok(check_quorum(host, &facts, consent)?));
        let outcome = match checked {
            // The lab and Vagrant block for minutes.
            Ok(fate) => match tokio::task::block_in_place(|| {
                machines.rebuild(host, &|line| session.note(line))
            }) {
                Ok(()) => restore(session, host, &directories, (fate, consent)).await,
                Err(error) => Err(RebuildError::from(error).into()),
            },
            Err(error) => Err(error),
        };
        if let Some(lease) = lease {
            lease.release().await;
        }
        outcome
    }
    .await;
    fleet.close().await;
    outcome
}

/// Takes the lease of the swarm, from before the machine is destroyed until the node is back. The
/// swarm of an only manager ends with the machine, and needs none.
async fn take_lease<S: RebuildSession>(
    session: &S,
    fleet: &Arc<Fleet>,
    host: &HostName,
    (fate, consent): (SwarmFate, RebuildConsent),
) -> Result<Option<SwarmLease>, RebuildError> {
    if fate == SwarmFate::StartsAnew {
        return Ok(None);
    }
    let (owner, stop) = (session.run_owner(), CancellationToken::new());
    match take_swarm_lease(fleet, host, &owner, LEASE_WAIT, &stop).await {
        Ok(LeaseOutcome::Taken(lease)) => Ok(lease),
        Ok(LeaseOutcome::NoSwarm | LeaseOutcome::NoManager) => Ok(None),
        Err(error @ LeaseError::NoMajority(_)) if consent.force => {
            session.note(&error.forced_note());
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// Brings the new machine to its place in the swarm.
async fn restore<S: RebuildSession>(
    session: &S,
    host: &HostName,
    directories: &[String],
    (fate, consent): (SwarmFate, RebuildConsent),
) -> Result<RebuildOutcome<S::Stopped>, S::Error> {
    if fate == SwarmFate::StartsAnew {
        let inventory = session.load_inventory()?;
        if let Some(resolved) = leave_lost_swarm(&inventory, host) {
            let run = PreparedRun {
                inventory: Arc::new(inventory),
                resolved,
            };
            if let ControlFlow::Break(stopped) = session.apply(run).await? {
                return Ok(RebuildOutcome::Stopped(stopped));
            }
        }
    }
    let mut run = session.prepare()?;
    let labels = plan_labels(directories, fate, consent);
    labels.change(&mut run.resolved, host);
    // A new swarm needs all hosts: they join it, and everything in it is made again. In a swarm
    // that continues, only the new machine needs anything.
    let stopped = match fate {
        SwarmFate::StartsAnew => session.offer(run).await?,
        SwarmFate::Continues => {
            run.resolved.limit_to(host);
            session.apply(run).await?
        }
    };
    if let ControlFlow::Break(stopped) = stopped {
        return Ok(RebuildOutcome::Stopped(stopped));
    }
    if labels.wait_for_data {
        let inventory = session.load_inventory()?;
        let fleet = session.connect(&inventory)?;
        let empty = empty_directories(&fleet, host, directories).await;
        fleet.close().await;
        let empty = empty?;
        if !empty.is_empty() {
            return Ok(RebuildOutcome::WithoutLabels { empty });
        }
        let mut run = session.prepare()?;
        run.resolved.limit_to(host);
        if let ControlFlow::Break(stopped) = session.apply(run).await? {
            return Ok(RebuildOutcome::Stopped(stopped));
        }
    }
    if fate == SwarmFate::Continues {
        offer_the_rest(session, host).await?;
    }
    Ok(RebuildOutcome::Rebuilt)
}

/// Shows what differs on the other hosts, which the rebuild has not touched. The node is rebuilt,
/// whatever the answer is.
async fn offer_the_rest<S: RebuildSession>(session: &S, host: &HostName) -> Result<(), S::Error> {
    let run = session.prepare()?;
    if run.resolved.hosts().iter().all(|one| one == host) {
        return Ok(());
    }
    if session.can_ask() {
        session.note("what follows is about the other hosts");
        let _ = session.offer(run).await?;
    } else {
        session
            .note("the other hosts were left as they are; `skep check` shows whether they differ");
    }
    Ok(())
}

fn question(host: &HostName, fate: SwarmFate) -> String {
    let loss = match fate {
        SwarmFate::StartsAnew => "the only manager, and the swarm with it",
        SwarmFate::Continues => "its disks and all data on them",
    };
    format!("Destroy {host} ({loss}) and make it again?")
}

/// Reads the facts for the quorum check from all hosts of the inventory, regardless of `--limit`.
async fn read_quorum<S: RebuildSession>(
    session: &S,
    inventory: &Inventory,
    host: &HostName,
) -> Result<QuorumFacts, S::Error> {
    let all: Vec<HostName> = inventory.hosts().map(|(name, _)| name.clone()).collect();
    let fleet = session.connect(inventory)?;
    let seen = read_cluster(&fleet, &all, session.forks(inventory), false).await;
    let rows = &seen.page.rows;
    let mut nodes = None;
    for row in rows
        .iter()
        .filter(|row| row.role == NodeRole::Manager.word())
    {
        if let (Some(manager), None) = (&row.host, &nodes) {
            let answer = fleet.get(manager, "/nodes").await;
            nodes = answer.ok().and_then(|body| SwarmNode::list(body).ok());
        }
    }
    fleet.close().await;
    let roster = inventory.roster();
    let own = rows.iter().find(|row| row.host.as_ref() == Some(host));
    let mut managers = roster.group("managers");
    Ok(QuorumFacts {
        nodes,
        node_id: own
            .map(|row| row.node_id.clone())
            .filter(|node_id| !node_id.is_empty()),
        address: roster
            .hosts
            .get(host)
            .and_then(|entry| entry.swarm_address.clone()),
        any_in_swarm: rows.iter().any(|row| !row.node_id.is_empty()),
        manages: roster.group("managers").any(|name| name == host),
        others_manage: managers.any(|name| name != host),
    })
}

/// Reads the directories on the host, and returns the empty and the missing ones.
async fn empty_directories(
    fleet: &Arc<Fleet>,
    host: &HostName,
    directories: &[String],
) -> Result<Vec<String>, RebuildError> {
    let queries: BTreeSet<Query> = directories
        .iter()
        .map(|directory| {
            Query::Shell(ShellQuery::Holding {
                directory: directory.clone(),
            })
        })
        .collect();
    // One task, because a panic of the reading must not end the run without a message.
    let replies = fan_out([host.clone()], 1, |name| {
        let (fleet, queries) = (fleet.clone(), queries.clone());
        async move {
            let connected = fleet.host(&name).await?;
            gather(&fleet, &ReadCache::default(), &connected, &queries).await
        }
    })
    .await;
    match replies.into_iter().next() {
        Some(Ok(Ok(answers))) => Ok(empty_among(directories, &answers)?),
        _ => Err(RebuildError::Unreadable(host.clone())),
    }
}

fn empty_among(directories: &[String], answers: &HostAnswers) -> Result<Vec<String>, ProbeError> {
    let mut empty = Vec::new();
    for directory in directories {
        let usage = answers.directory_usage(directory)?;
        if usage.is_none_or(|usage| usage.files == 0) {
            empty.push(directory.clone());
        }
    }
    Ok(empty)
}
