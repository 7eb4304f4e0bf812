//! Reads the managers, starts the swarm anew on one of them, and waits for the others.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::survivors::{ManagerReport, RecoveryPlan, SurvivingManager, plan, trusted};
use crate::inventory::Inventory;
use crate::maintenance::MaintenanceError;
use crate::maintenance::reading::read_first;
use crate::model::{HostAnswers, Query, RaftPosition, ShellQuery};
use crate::names::HostName;
use crate::runner::gather::gather;
use crate::runner::{DockerReader as _, Fleet, LeaseOwner, ReadCache, fan_out, force_new_cluster};
use crate::safety::read_infos;
use crate::swarm::{DockerStatus, HostAddresses, SwarmNode};

/// Time between two readings of the new swarm.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for the new swarm to have a leader.
const LEADER_LIMIT: Duration = Duration::from_secs(120);

/// Options of a recovery.
#[derive(Clone)]
pub struct RecoveryOptions {
    /// The manager to start with, in place of the one that knows most.
    pub from: Option<HostName>,
    /// Hosts whose machines answer, and whose managers count as lost all the same.
    pub given_up: Vec<HostName>,
    /// Time for the other managers to join again.
    pub limit: Duration,
    /// Time to wait for another run's lock.
    pub lock_wait: Duration,
    /// This run, as the lock names it.
    pub owner: LeaseOwner,
    /// Number of hosts that are read at once.
    pub forks: usize,
}

/// Result of a recovery.
#[derive(Debug, Clone, Serialize)]
pub struct RecoveryOutcome {
    /// The manager with which the swarm began anew.
    pub leader: HostName,
    /// Managers that have joined again.
    pub managers: Vec<HostName>,
    /// Managers that run and have not joined again within the limit.
    pub missing: Vec<HostName>,
    /// Names of the nodes that are down.
    pub down: Vec<String>,
    /// Seconds until the swarm had a leader.
    pub seconds_to_leader: f64,
    /// Seconds until the end.
    pub seconds: f64,
}

/// Reads the managers among the selected hosts, and plans the recovery.
///
/// # Errors
/// [`MaintenanceError::NoRecovery`] if the majority is not lost, or that is not certain.
pub async fn plan_recovery(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    selected: &[HostName],
    options: &RecoveryOptions,
) -> Result<RecoveryPlan, MaintenanceError> {
    let roster = inventory.roster();
    let infos = read_infos(fleet, selected, options.forks).await;
    let addresses = HostAddresses::of(&roster);
    let group: Vec<&HostName> = roster.group("managers").collect();
    let infos = trusted(infos, &group, &addresses, options.from.as_ref());
    let reports = fan_out(infos.clone(), options.forks, |(host, status)| {
        let fleet = fleet.clone();
        async move { report(&fleet, host, status).await }
    })
    .await;
    let mut read = Vec::new();
    for ((host, status), report) in infos.into_iter().zip(reports) {
        read.push(report.unwrap_or_else(|panic| ManagerReport {
            status: match status {
                DockerStatus::Answered(_) => DockerStatus::Failed(panic.why(&host)),
                other => other,
            },
            host,
            nodes: Vec::new(),
            position: None,
        }));
    }
    let made = plan(&read, &addresses, options.from.as_ref(), &options.given_up);
    let made = made.map_err(MaintenanceError::NoRecovery)?;
    check_silence(fleet, &made).await?;
    check_lock(fleet, &made).await?;
    Ok(made)
}

/// Reads the lists and the log of a host that may be a manager.
async fn report(fleet: &Fleet, host: HostName, status: DockerStatus) -> ManagerReport {
    let is_manager = status.info().is_some_and(|info| info.control_available);
    let (mut nodes, mut position) = (Vec::new(), None);
    if is_manager {
        let (listed, answers) = tokio::join!(
            fleet.get(&host, "/nodes"),
            ask(fleet, &host, ShellQuery::RaftPosition)
        );
        nodes = listed
            .ok()
            .and_then(|body| SwarmNode::list(body).ok())
            .unwrap_or_default();
        position = answers.ok().and_then(|answers| position_of(&answers));
    }
    ManagerReport {
        host,
        status,
        nodes,
        position,
    }
}

fn position_of(answers: &HostAnswers) -> Option<RaftPosition> {
    answers.raft_position().ok().copied().flatten()
}

async fn ask(fleet: &Fleet, host: &HostName, query: ShellQuery) -> Result<HostAnswers, String> {
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let queries = BTreeSet::from([Query::Shell(query)]);
    let answers = gather(fleet, &ReadCache::default(), &connected, &queries).await;
    answers.map_err(|error| error.to_string())
}

/// Checks that no manager which counts as lost accepts a connection of one that runs.
async fn check_silence(fleet: &Fleet, plan: &RecoveryPlan) -> Result<(), MaintenanceError> {
    for survivor in plan.others.iter().chain([&plan.chosen]) {
        for manager in &plan.lost {
            let Ok(address) = manager.address.parse::<SocketAddr>() else {
                continue;
            };
            let script = format!(
                "command -v bash >/dev/null || exit 9; timeout 3 bash -c '</dev/tcp/{}/{}'",
                address.ip(),
                address.port()
            );
            let test = ShellQuery::Test {
                script: script.clone(),
            };
            let answers = ask(fleet, &survivor.host, test).await;
            let status = answers.and_then(|answers| {
                answers
                    .test(&script)
                    .copied()
                    .map_err(|error| error.to_string())
            });
            let why = match status {
                Ok(0) => format!(
                    "{} accepts connections of {}, so it is not lost: log in there and look at `systemctl status docker`",
                    manager.name(),
                    survivor.host
                ),
                Ok(_) => continue,
                Err(why) => format!("{}: {why}", survivor.host),
            };
            return Err(MaintenanceError::NoRecovery(why));
        }
    }
    Ok(())
}

/// Checks that the swarm is not autolocked. Docker Engine would forget the key when it starts the
/// swarm anew, and the manager would not come back. Without a leader, the API does not tell; the
/// private key of the node does, because it is encrypted then.
async fn check_lock(fleet: &Fleet, plan: &RecoveryPlan) -> Result<(), MaintenanceError> {
    let host = &plan.chosen.host;
    let root = fleet.get(host, "/info").await;
    let root = root
        .ok()
        .and_then(|info| info.get("DockerRootDir")?.as_str().map(str::to_owned));
    let root = root.unwrap_or_else(|| "/var/lib/docker".into());
    let key = crate::base::sh_quote(&format!("{root}/swarm/certificates/swarm-node.key"));
    let script = format!("grep -q 'BEGIN ENCRYPTED' {key}");
    let test = ShellQuery::Test {
        script: script.clone(),
    };
    let answers = ask(fleet, host, test).await;
    let status = answers.and_then(|answers| {
        answers
            .test(&script)
            .copied()
            .map_err(|error| error.to_string())
    });
    let why = match status {
        Ok(1) => return Ok(()),
        Ok(0) => "the swarm is autolocked, and Docker Engine cannot start an autolocked swarm anew; bring lost managers back and unlock them".to_owned(),
        Ok(status) => format!("the private key of its node cannot be read (status {status})"),
        Err(why) => why,
    };
    Err(MaintenanceError::NoRecovery(format!("{host}: {why}")))
}

/// Starts the swarm anew on the chosen manager, and waits until the other managers that run have
/// joined again. `note` gets one line of progress.
///
/// # Errors
/// [`MaintenanceError`]. An interrupt after the start leaves the new swarm, and the others join.
pub async fn recover(
    fleet: &Arc<Fleet>,
    plan: &RecoveryPlan,
    options: &RecoveryOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<RecoveryOutcome, MaintenanceError> {
    let (begun, chosen) = (Instant::now(), &plan.chosen);
    if stop.is_cancelled() {
        return Err(MaintenanceError::Interrupted("nothing was changed".into()));
    }
    note(&format!("{}: starting the swarm anew", chosen.host));
    let (owner, wait) = (&options.owner.owner, options.lock_wait);
    let forced = force_new_cluster(fleet, &chosen.host, &chosen.address, owner, wait).await;
    forced.map_err(|why| MaintenanceError::Update {
        host: chosen.host.clone(),
        why,
    })?;
    wait_for_leader(fleet, chosen, stop).await?;
    let seconds_to_leader = begun.elapsed().as_secs_f64();
    note(&format!("{}: leads the swarm", chosen.host));
    let mut told = 0;
    loop {
        let nodes = read_nodes(fleet, &chosen.host).await.unwrap_or_default();
        let is_back = |survivor: &&SurvivingManager| {
            let listed = nodes.iter().find(|node| node.id == survivor.node_id);
            listed.is_some_and(SwarmNode::is_reachable_manager)
        };
        let (back, missing): (Vec<_>, Vec<_>) = plan.others.iter().partition(is_back);
        if back.len() > told {
            told = back.len();
            note(&format!(
                "{} of {} other managers joined again",
                told,
                plan.others.len()
            ));
        }
        let settles = nodes.iter().any(|node| node.state == "unknown");
        let waited = begun.elapsed();
        if (missing.is_empty() && !settles && !nodes.is_empty()) || waited >= options.limit {
            let names = |list: Vec<&SurvivingManager>| -> Vec<HostName> {
                list.into_iter().map(|one| one.host.clone()).collect()
            };
            let down = nodes.iter().filter(|node| node.state != "ready");
            return Ok(RecoveryOutcome {
                leader: chosen.host.clone(),
                managers: names(back),
                missing: names(missing),
                down: down.map(|node| node.hostname.clone()).collect(),
                seconds_to_leader,
                seconds: waited.as_secs_f64(),
            });
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(MaintenanceError::Interrupted(format!(
                    "{} leads the swarm, and the wait for the other managers ended; they join by themselves, `skep status` shows them",
                    chosen.host
                )));
            }
            () = sleep(PAUSE) => {}
        }
    }
}

async fn wait_for_leader(
    fleet: &Arc<Fleet>,
    chosen: &SurvivingManager,
    stop: &CancellationToken,
) -> Result<(), MaintenanceError> {
    let begun = Instant::now();
    loop {
        let why = match read_nodes(fleet, &chosen.host).await {
            Ok(nodes) if crate::swarm::Voters::count(&nodes).has_majority() => return Ok(()),
            Ok(_) => "it has no majority".to_owned(),
            Err(why) => why,
        };
        if begun.elapsed() >= LEADER_LIMIT {
            return Err(MaintenanceError::Update {
                host: chosen.host.clone(),
                why: format!(
                    "the swarm was started anew there, and has no leader after {}: {why}",
                    humantime::format_duration(LEADER_LIMIT)
                ),
            });
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(MaintenanceError::Interrupted(format!(
                    "the swarm was started anew on {}; `skep status` shows it",
                    chosen.host
                )));
            }
            () = sleep(PAUSE) => {}
        }
    }
}

async fn read_nodes(fleet: &Arc<Fleet>, host: &HostName) -> Result<Vec<SwarmNode>, String> {
    let lists = read_first(fleet, std::slice::from_ref(host)).await;
    lists
        .map(|(nodes, _)| nodes)
        .map_err(|reasons| reasons.join("; "))
}
