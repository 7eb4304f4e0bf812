//! Reads the managers, starts the swarm anew on one of them, and waits for the others.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::survivors::{ManagerReport, RecoveryPlan, SurvivingManager, plan, trusted};
use crate::inventory::Inventory;
use crate::maintenance::MaintenanceError;
use crate::maintenance::leader_wait::wait_for_leader;
use crate::maintenance::reading::read_first;
use crate::model::{HostAnswers, RaftPosition, ShellQuery};
use crate::names::HostName;
use crate::runner::gather::ask_host;
use crate::runner::{DockerReader as _, Fleet, LeaseOwner, fan_out, force_new_cluster};
use crate::safety::read_infos;
use crate::swarm::{DockerInfo, DockerStatus, HostAddresses, SwarmNode};

/// Time between two readings of the new swarm.
const PAUSE: Duration = Duration::from_secs(1);

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
    check_silence(fleet, &made, options.forks).await?;
    let chosen = read.iter().find(|report| report.host == made.chosen.host);
    let info = chosen.and_then(|report| report.status.info());
    let root = info.map_or(DockerInfo::USUAL_FOLDER, DockerInfo::data_folder);
    check_lock(fleet, &made, root).await?;
    Ok(made)
}

/// Reads the lists and the log of a host that may be a manager.
async fn report(fleet: &Fleet, host: HostName, status: DockerStatus) -> ManagerReport {
    let is_manager = status.info().is_some_and(|info| info.control_available);
    let (mut nodes, mut position) = (Vec::new(), None);
    if is_manager {
        let (listed, answers) = tokio::join!(
            fleet.get(&host, "/nodes"),
            ask_host(fleet, &host, [ShellQuery::RaftPosition])
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

/// Returns the exit status of a read-only script.
async fn test_status(fleet: &Fleet, host: &HostName, script: String) -> Result<i32, String> {
    let test = ShellQuery::Test {
        script: script.clone(),
    };
    let answers = ask_host(fleet, host, [test]).await?;
    let status = answers.test(&script).copied();
    status.map_err(|error| error.to_string())
}

/// Checks that no manager which counts as lost accepts a connection of one that runs. All pairs are
/// tried at once: each of them takes seconds.
async fn check_silence(
    fleet: &Arc<Fleet>,
    plan: &RecoveryPlan,
    forks: usize,
) -> Result<(), MaintenanceError> {
    let mut pairs = Vec::new();
    for survivor in plan.others.iter().chain([&plan.chosen]) {
        for lost in &plan.lost {
            if let Ok(address) = lost.address.parse::<SocketAddr>() {
                pairs.push((survivor.host.clone(), lost.name(), address));
            }
        }
    }
    let tries = fan_out(pairs.clone(), forks, |(host, _, address)| {
        let fleet = fleet.clone();
        async move {
            let script = format!(
                "command -v bash >/dev/null || exit 9; timeout 3 bash -c '</dev/tcp/{}/{}'",
                address.ip(),
                address.port()
            );
            test_status(&fleet, &host, script).await
        }
    })
    .await;
    for ((host, lost, _), status) in pairs.into_iter().zip(tries) {
        let why = match status.unwrap_or_else(|panic| Err(panic.why(&host))) {
            Ok(0) => format!(
                "{lost} accepts connections of {host}, so it is not lost: log in there and look at `systemctl status docker`"
            ),
            Ok(9) => format!("{host} has no bash, so skep cannot try whether it reaches {lost}"),
            Ok(_) => continue,
            Err(why) => format!("{host}: {why}"),
        };
        return Err(MaintenanceError::NoRecovery(why));
    }
    Ok(())
}

/// Checks that the swarm is not autolocked. Docker Engine would forget the key when it starts the
/// swarm anew, and the manager would not come back. Without a leader, the API does not tell; the
/// private key of the node does, because it is encrypted then.
async fn check_lock(
    fleet: &Fleet,
    plan: &RecoveryPlan,
    root: &str,
) -> Result<(), MaintenanceError> {
    let host = &plan.chosen.host;
    let key = crate::base::sh_quote(&format!("{root}/swarm/certificates/swarm-node.key"));
    let status = test_status(fleet, host, format!("grep -q 'BEGIN ENCRYPTED' {key}")).await;
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
    wait_for_leader(fleet, &chosen.host, stop).await?;
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

async fn read_nodes(fleet: &Arc<Fleet>, host: &HostName) -> Result<Vec<SwarmNode>, String> {
    let lists = read_first(fleet, std::slice::from_ref(host)).await;
    lists
        .map(|(nodes, _)| nodes)
        .map_err(|reasons| reasons.join("; "))
}
