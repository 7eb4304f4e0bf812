//! Drain: takes all tasks off a node, and waits until their replacements run elsewhere.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::assess::{ServiceImpact, assess_begun};
use super::availability::{mark_drained, restore, set_specification};
use super::balance::balance;
use super::drain_watch::{DrainProgress, progress, settling_time};
use super::reading::{SwarmReading, read_first, read_settled_swarm};
use super::rebalance::rebalance_service;
use super::{MaintenanceError, NodeTarget};
use crate::inventory::Inventory;
use crate::model::ValueSource;
use crate::names::HostName;
use crate::runner::{Fleet, LeaseOutcome, LeaseOwner, take_swarm_lease};

/// Time between two readings of the tasks.
const PAUSE: Duration = Duration::from_millis(500);

/// Reason why a node is drained.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainPurpose {
    /// The operator wants it drained: it stays so.
    Drain,
    /// An apply restarts the Engine: the node gets its availability back.
    Apply,
    /// The machine reboots: it gets its availability back.
    Reboot,
    /// The machine is upgraded: it gets its availability back.
    Upgrade,
    /// The state of the swarm is copied: the node gets its availability back.
    Backup,
}

impl DrainPurpose {
    /// Returns the last word of the label that names the run.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Drain => "drain",
            Self::Apply => "apply",
            Self::Reboot => "reboot",
            Self::Upgrade => "upgrade",
            Self::Backup => "backup",
        }
    }
}

/// Options of a drain.
#[derive(Clone)]
pub struct DrainOptions {
    /// Reason of the drain.
    pub purpose: DrainPurpose,
    /// Services may be interrupted.
    pub allow_interruption: bool,
    /// Tasks may move without the data of their local volumes.
    pub ignores_volumes: bool,
    /// Place where the operator keeps the unlock key of an autolocked swarm.
    pub unlock_key: Option<ValueSource>,
    /// Time for the tasks of one node to leave it.
    pub limit: Duration,
    /// Time to wait for another run that disrupts the swarm.
    pub lease_wait: Duration,
    /// This run, as the lease and the labels name it.
    pub owner: LeaseOwner,
    /// Number of hosts that are read at once.
    pub forks: usize,
}

/// Plan of a drain: the nodes in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrainPlan {
    /// The nodes.
    pub targets: Vec<NodeTarget>,
}

/// Result of the drain of one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DrainOutcome {
    /// The host.
    pub host: HostName,
    /// ID of its node.
    pub node_id: String,
    /// True if its availability was `drain` before.
    pub was_drained: bool,
    /// Effect on the services, right before the drain.
    pub services: Vec<ServiceImpact>,
    /// Seconds until it was drained.
    pub seconds: f64,
}

impl DrainPlan {
    /// Checks that no service is interrupted.
    ///
    /// # Errors
    /// [`MaintenanceError::Interruption`] for the first node whose drain interrupts a service.
    pub fn check(&self) -> Result<(), MaintenanceError> {
        self.targets.iter().try_for_each(check_interruption)
    }
}

pub(super) fn check_interruption(target: &NodeTarget) -> Result<(), MaintenanceError> {
    let interrupted = target
        .impacts
        .iter()
        .filter(|one| one.interruption.is_some());
    let services: Vec<String> = interrupted.map(|one| one.service.clone()).collect();
    if services.is_empty() {
        return Ok(());
    }
    Err(MaintenanceError::Interruption {
        host: target.host.clone(),
        services,
    })
}

/// Reads the swarm, and assesses the drain of each host.
///
/// # Errors
/// [`MaintenanceError`] if a host is no node of the swarm, or cannot be read.
pub async fn plan_drain(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    hosts: &[HostName],
    forks: usize,
) -> Result<DrainPlan, MaintenanceError> {
    let reading = read_settled_swarm(fleet, inventory, forks).await?;
    let nodes = hosts.iter().map(|host| reading.locate(host));
    let nodes = nodes.collect::<Result<Vec<_>, _>>()?;
    let all: Vec<String> = nodes.iter().map(|node| node.id.clone()).collect();
    let targets = hosts.iter().map(|host| reading.target(host, &all));
    Ok(DrainPlan {
        targets: SwarmReading::in_order(targets.collect::<Result<_, _>>()?),
    })
}

/// Drains the nodes of a plan, one after the other. Each node is read and assessed again right
/// before its drain. `note` gets one line of progress.
///
/// # Errors
/// [`MaintenanceError`]; the nodes before stay drained. A node whose tasks do not leave it in time
/// gets its previous availability back.
pub async fn drain(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    plan: &DrainPlan,
    options: &DrainOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<Vec<DrainOutcome>, MaintenanceError> {
    let Some(first) = plan.targets.first() else {
        return Ok(Vec::new());
    };
    let work = async {
        let mut outcomes = Vec::new();
        for target in &plan.targets {
            if stop.is_cancelled() {
                let why = format!("{} was not drained", target.host);
                return Err(MaintenanceError::Interrupted(why));
            }
            outcomes.push(drain_node(fleet, inventory, target, options, stop, note).await?);
        }
        Ok(outcomes)
    };
    under_lease(fleet, &first.host, options, stop, work).await
}

/// Does the work of an act while this run holds the lease of the swarm of `host`.
///
/// # Errors
/// [`MaintenanceError::Lease`] if another run holds it, and the errors of the work.
pub(super) async fn under_lease<T>(
    fleet: &Arc<Fleet>,
    host: &HostName,
    options: &DrainOptions,
    stop: &CancellationToken,
    work: impl Future<Output = Result<T, MaintenanceError>>,
) -> Result<T, MaintenanceError> {
    let (owner, wait) = (&options.owner, options.lease_wait);
    let lease = match take_swarm_lease(fleet, host, owner, wait, stop).await {
        Ok(LeaseOutcome::Taken(lease)) => lease,
        Ok(LeaseOutcome::NoSwarm | LeaseOutcome::NoManager) => None,
        Err(error) => return Err(MaintenanceError::Lease(error)),
    };
    let outcome = work.await;
    if let Some(lease) = lease {
        lease.release().await;
    }
    outcome
}

/// Reads the swarm as the drain of a node judges it.
async fn read_for_drain(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    options: &DrainOptions,
) -> Result<SwarmReading, MaintenanceError> {
    let mut reading = read_settled_swarm(fleet, inventory, options.forks).await?;
    if options.ignores_volumes {
        reading.workload.forget_volumes();
    }
    Ok(reading)
}

/// Drains one node: reads and assesses it again, sets its availability, and waits.
pub(super) async fn drain_node(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    planned: &NodeTarget,
    options: &DrainOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<DrainOutcome, MaintenanceError> {
    let (host, begun) = (&planned.host, Instant::now());
    // The swarm may have changed during the question, and by the drains before this one.
    let mut reading = read_for_drain(fleet, inventory, options).await?;
    let mut target = reading.refresh(planned)?;
    if target.node.id != planned.node.id {
        return Err(MaintenanceError::Replaced(host.clone()));
    }
    let was_drained = target.node.availability == "drain";
    let managers = reading.managers_for(host);
    if was_drained {
        target.impacts = assess_begun(&reading.workload, &target.node.id);
    } else {
        if !options.allow_interruption {
            check_interruption(&target)?;
        }
        if target.impacts.iter().any(|impact| impact.spread_first) {
            spread(fleet, &managers, &reading, &target, options, stop, note).await?;
            reading = read_for_drain(fleet, inventory, options).await?;
            target = reading.refresh(planned)?;
            let left = target.impacts.iter().filter(|impact| impact.spread_first);
            let left: Vec<String> = left.map(|impact| impact.service.clone()).collect();
            if !options.allow_interruption && !left.is_empty() {
                let (host, services) = (host.clone(), left);
                return Err(MaintenanceError::Interruption { host, services });
            }
        }
    }
    if !was_drained {
        let purpose = options.purpose.word();
        let by = format!("{} {} {purpose}", options.owner.owner, now());
        let edit = |spec: &mut Value| mark_drained(spec, &by);
        set_specification(fleet, &managers, &target, edit).await?;
    }
    let waited = wait_until_drained(fleet, &managers, &target, options.limit, stop, note).await;
    match waited {
        Ok(()) => Ok(DrainOutcome {
            host: host.clone(),
            node_id: target.node.id.clone(),
            was_drained,
            services: target.impacts,
            seconds: begun.elapsed().as_secs_f64(),
        }),
        Err(DrainStop::Interrupted) => Err(MaintenanceError::Interrupted(format!(
            "{host} takes no tasks any more, and some have not left it yet; the same command continues, `skep node activate {host}` \
             takes it back"
        ))),
        Err(DrainStop::TimedOut(why)) => {
            let fate = if was_drained {
                "it stays drained, as it was before".to_owned()
            } else {
                match set_specification(fleet, &managers, &target, restore).await {
                    Ok(()) => format!("it is {} again, as before", target.node.availability),
                    Err(error) => format!("it stays drained, because {error}"),
                }
            };
            Err(MaintenanceError::DrainTimeout {
                host: host.clone(),
                limit: options.limit,
                why,
                fate,
            })
        }
    }
}

/// Starts tasks on other nodes for the services that have all their tasks on the node.
async fn spread(
    fleet: &Arc<Fleet>,
    managers: &[HostName],
    reading: &SwarmReading,
    target: &NodeTarget,
    options: &DrainOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<(), MaintenanceError> {
    let services = target.impacts.iter().filter(|impact| impact.spread_first);
    for impact in services {
        let service = reading.workload.service(&impact.service_id);
        let Some(service) = service.and_then(|service| balance(&reading.workload, service)) else {
            continue;
        };
        rebalance_service(fleet, managers, &service, options.limit, stop, note).await?;
    }
    Ok(())
}

fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// Reason why the wait for the tasks ended early.
enum DrainStop {
    Interrupted,
    TimedOut(String),
}

async fn wait_until_drained(
    fleet: &Arc<Fleet>,
    managers: &[HostName],
    target: &NodeTarget,
    limit: Duration,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<(), DrainStop> {
    let (begun, settling) = (Instant::now(), settling_time(&target.impacts));
    let (mut complete_since, mut told) = (None, String::new());
    loop {
        let seen = read_progress(fleet, managers, target).await;
        let words = match &seen {
            Ok(progress) => progress.words(),
            Err(why) => why.clone(),
        };
        if seen.is_ok_and(|progress| progress.is_complete()) {
            let since = *complete_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= settling {
                return Ok(());
            }
        } else {
            complete_since = None;
        }
        if begun.elapsed() >= limit {
            let stable = "the new tasks have not run for long enough";
            let words = if words.is_empty() {
                stable.into()
            } else {
                words
            };
            return Err(DrainStop::TimedOut(words));
        }
        if !words.is_empty() && words != told {
            note(&format!("{}: {words}", target.host));
            told = words;
        }
        tokio::select! {
            () = stop.cancelled() => return Err(DrainStop::Interrupted),
            () = sleep(PAUSE) => {}
        }
    }
}

/// Reads the progress from the first manager that answers.
async fn read_progress(
    fleet: &Arc<Fleet>,
    managers: &[HostName],
    target: &NodeTarget,
) -> Result<DrainProgress, String> {
    match read_first(fleet, managers).await {
        Ok((_, workload)) => Ok(progress(&workload, &target.node.id, &target.impacts)),
        Err(reasons) => Err(reasons.join("; ")),
    }
}
