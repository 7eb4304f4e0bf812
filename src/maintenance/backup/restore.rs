//! Restores a backup onto a machine with Docker Engine that is in no swarm: its Engine gets the
//! state of the swarm, and starts the swarm anew as the only manager.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::archive::SwarmBackup;
use crate::inventory::Inventory;
use crate::maintenance::MaintenanceError;
use crate::maintenance::leader_wait::wait_for_leader;
use crate::maintenance::reading::read_first;
use crate::names::HostName;
use crate::runner::{
    DockerReader as _, Fleet, LeaseOwner, force_new_cluster, remove_node, write_raft_archive,
};
use crate::safety::read_infos;
use crate::swarm::{DockerInfo, DockerStatus, SwarmNode};

/// Time between two readings.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for the Engine to start with the state.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Time for nodes of the backup that live to answer the new manager.
const NODES_LIMIT: Duration = Duration::from_secs(60);

/// Options of a restoration.
#[derive(Clone)]
pub struct RestoreOptions {
    /// Address that the node advertises.
    pub address: String,
    /// Time to wait for another run's lock.
    pub lock_wait: Duration,
    /// This run, as the lock names it.
    pub owner: LeaseOwner,
    /// Number of hosts that are read at once.
    pub forks: usize,
}

/// Result of a restoration.
#[derive(Debug, Clone, Serialize)]
pub struct RestoreOutcome {
    /// The manager.
    pub host: HostName,
    /// Names of the services that the swarm has again.
    pub services: Vec<String>,
    /// Nodes of the backup that are down, and were removed from the list.
    pub removed: Vec<String>,
    /// Nodes of the backup whose state the manager does not know yet; they stay listed.
    pub unknown: Vec<String>,
    /// Seconds until the swarm had a leader.
    pub seconds: f64,
}

/// Checks that the host can take the backup: its Engine runs and is in no swarm, and no manager of
/// the inventory has the swarm of the backup. Returns the folder of Docker's data.
///
/// # Errors
/// [`MaintenanceError::NoRestore`].
pub async fn check_restore(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    backup: &SwarmBackup,
    host: &HostName,
    options: &RestoreOptions,
) -> Result<String, MaintenanceError> {
    let hosts: Vec<HostName> = inventory.hosts().map(|(name, _)| name.clone()).collect();
    let refuse = |why: String| Err(MaintenanceError::NoRestore(why));
    if !hosts.contains(host) {
        return Err(MaintenanceError::UnknownHost(host.clone()));
    }
    let mut root = String::new();
    for (name, status) in read_infos(fleet, &hosts, options.forks).await {
        let is_target = name == *host;
        match status {
            DockerStatus::Answered(info) if is_target => {
                if !info.node_id.is_empty() || info.state != "inactive" {
                    return refuse(format!(
                        "{host} is in a swarm already; choose a machine without one, or take it out with `skep node remove {host}`"
                    ));
                }
                info.data_folder().clone_into(&mut root);
            }
            DockerStatus::Absent if is_target => {
                return refuse(format!(
                    "{host} has no Docker Engine; `skep apply playbooks/docker.toml --limit {host}` installs it"
                ));
            }
            DockerStatus::Answered(info) if is_same_swarm(&info, backup) => {
                return refuse(format!(
                    "the swarm of the backup lives: {name} is one of its managers; `skep swarm recover` is the way if its majority is lost"
                ));
            }
            other if is_target => {
                let why = other.unknown().unwrap_or_default().to_owned();
                return Err(MaintenanceError::Unreadable { host: name, why });
            }
            _ => {}
        }
    }
    let former = &backup.manifest.address;
    if options.address != *former {
        return refuse(format!(
            "the backup is that of the manager {} at {former}, and {host} has {}: Docker Engine keeps the address of a manager in the state of the \
             swarm, so give the new machine the address {former}, or choose the host that has it",
            backup.manifest.host, options.address
        ));
    }
    Ok(root)
}

fn is_same_swarm(info: &DockerInfo, backup: &SwarmBackup) -> bool {
    let known = |id: &str| backup.manifest.nodes.iter().any(|node| node.id == id);
    info.control_available
        && (info.cluster_id.as_deref() == Some(backup.manifest.cluster_id.as_str())
            || known(&info.node_id))
}

/// Restores the backup onto the host, removes the nodes that are down, and returns when the swarm
/// accepts changes. `note` gets one line of progress.
///
/// # Errors
/// [`MaintenanceError`]; the error says what is on the host.
pub async fn restore_backup(
    fleet: &Arc<Fleet>,
    backup: &SwarmBackup,
    host: &HostName,
    root: &str,
    options: &RestoreOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<RestoreOutcome, MaintenanceError> {
    let begun = Instant::now();
    let failed = |why: String| MaintenanceError::Update {
        host: host.clone(),
        why,
    };
    if stop.is_cancelled() {
        return Err(MaintenanceError::Interrupted("nothing was changed".into()));
    }
    let (owner, wait) = (&options.owner.owner, options.lock_wait);
    note(&format!("{host}: writing the state of the swarm"));
    let written = write_raft_archive(fleet, host, root, &backup.raft, owner, wait).await;
    written.map_err(failed)?;
    wait_for_engine(fleet, host, stop).await?;
    note(&format!("{host}: starting the swarm anew"));
    let forced = force_new_cluster(fleet, host, &options.address, owner, wait).await;
    forced.map_err(failed)?;
    wait_for_leader(fleet, host, stop).await?;
    let seconds = begun.elapsed().as_secs_f64();
    note(&format!(
        "{host}: leads the swarm; waiting for nodes of the backup"
    ));
    let (nodes, services) = wait_for_nodes(fleet, host, stop).await?;
    let (mut removed, mut unknown) = (Vec::new(), Vec::new());
    for node in nodes {
        // A node that is `unknown` may live: only a node that missed its heartbeats is `down`.
        match node.state.as_str() {
            "ready" => {}
            "down" => {
                let own = std::slice::from_ref(host);
                let removal = remove_node(fleet, own, &node.id, true).await;
                removal.map_err(failed)?;
                removed.push(node.hostname);
            }
            _ => unknown.push(node.hostname),
        }
    }
    Ok(RestoreOutcome {
        host: host.clone(),
        services,
        removed,
        unknown,
        seconds,
    })
}

/// Waits until the new manager knows which nodes of the backup live, at most a minute. Returns the
/// nodes, and the names of the services.
async fn wait_for_nodes(
    fleet: &Arc<Fleet>,
    host: &HostName,
    stop: &CancellationToken,
) -> Result<(Vec<SwarmNode>, Vec<String>), MaintenanceError> {
    let begun = Instant::now();
    loop {
        let lists = read_first(fleet, std::slice::from_ref(host)).await;
        let is_over = begun.elapsed() >= NODES_LIMIT;
        match lists {
            Ok((nodes, workload)) => {
                let mut states = nodes.iter().map(|node| node.state.as_str());
                if is_over || states.all(|state| ["ready", "down"].contains(&state)) {
                    let services = workload.services.into_iter();
                    return Ok((nodes, services.map(|service| service.name).collect()));
                }
            }
            Err(reasons) if is_over => {
                return Err(MaintenanceError::Update {
                    host: host.clone(),
                    why: format!(
                        "it leads the swarm of the backup, and does not list its nodes: {}",
                        reasons.join("; ")
                    ),
                });
            }
            Err(_) => {}
        }
        pause(
            host,
            "leads the swarm of the backup; no node was removed",
            stop,
        )
        .await?;
    }
}

/// Waits until the next reading. After an interrupt, the error says what the host is now.
async fn pause(
    host: &HostName,
    state: &str,
    stop: &CancellationToken,
) -> Result<(), MaintenanceError> {
    tokio::select! {
        () = stop.cancelled() => Err(MaintenanceError::Interrupted(format!("{host} {state}"))),
        () = sleep(PAUSE) => Ok(()),
    }
}

/// Waits until the Engine runs with the state. Without the other managers it stays `pending`.
async fn wait_for_engine(
    fleet: &Arc<Fleet>,
    host: &HostName,
    stop: &CancellationToken,
) -> Result<(), MaintenanceError> {
    let begun = Instant::now();
    loop {
        let status = DockerStatus::read(&fleet.get(host, "/info").await);
        let why = match &status {
            DockerStatus::Answered(info)
                if ["active", "pending"].contains(&info.state.as_str()) =>
            {
                return Ok(());
            }
            DockerStatus::Answered(info) => format!("its node is {}: {}", info.state, info.error),
            other => other.unknown().unwrap_or("it has no Engine").to_owned(),
        };
        if begun.elapsed() >= START_LIMIT {
            return Err(MaintenanceError::Update {
                host: host.clone(),
                why: format!("its Engine has the state of the swarm, and is no manager: {why}"),
            });
        }
        let state = "has the state of the swarm, and the swarm was not started; \
            `docker swarm init --force-new-cluster` there starts it";
        pause(host, state, stop).await?;
    }
}
