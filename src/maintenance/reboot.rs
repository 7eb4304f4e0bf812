//! Reboot of nodes, one after the other: drain, restart the machine, wait until its node is back,
//! and give it its availability back.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::assess::{ServiceImpact, assess};
use super::drain::{check_interruption, drain_node, restore_availability, under_lease};
use super::reading::{SwarmReading, read_swarm};
use super::{DrainOptions, DrainPurpose, MaintenanceError, NodeTarget};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::{Fleet, boot_identity, restart_machine};
use crate::swarm::{SwarmNode, VoterLoss, Voters, may_lose};

/// Time between two attempts to reach a machine that restarts.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens new connections: those to a machine that restarts end.
pub type Reconnect<'a> = &'a (dyn Fn() -> Result<Arc<Fleet>, String> + Sync);

/// Plan of reboots: the nodes in their order, with a note about the voters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebootPlan {
    /// The nodes.
    pub targets: Vec<(NodeTarget, Option<String>)>,
}

/// Result of the reboot of one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RebootOutcome {
    /// The host.
    pub host: HostName,
    /// ID of its node.
    pub node_id: String,
    /// Availability of the node afterwards.
    pub availability: String,
    /// Effect of the drain on the services.
    pub services: Vec<ServiceImpact>,
    /// Seconds from the drain until the node was back.
    pub seconds: f64,
}

impl RebootPlan {
    /// Checks that no service is interrupted.
    ///
    /// # Errors
    /// [`MaintenanceError::Interruption`] for the first node whose drain interrupts a service.
    pub fn check(&self) -> Result<(), MaintenanceError> {
        let mut targets = self.targets.iter();
        targets.try_for_each(|(target, _)| check_interruption(target))
    }
}

/// Reads the swarm, and plans the reboot of the machine of each host.
///
/// # Errors
/// [`MaintenanceError`] if a host is no node of the swarm, or its restart costs the majority.
pub async fn plan_reboot(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    hosts: &[HostName],
    forks: usize,
) -> Result<RebootPlan, MaintenanceError> {
    let reading = read_swarm(fleet, inventory, forks).await?;
    let mut targets = Vec::new();
    for host in hosts {
        let node = reading.locate(host)?;
        targets.push(NodeTarget {
            host: host.clone(),
            impacts: assess(&reading.workload, &node.id, &[]),
            node,
        });
    }
    let targets = SwarmReading::in_order(targets).into_iter().map(|target| {
        let note = check_restart(&reading, &target)?;
        Ok((target, note))
    });
    Ok(RebootPlan {
        targets: targets.collect::<Result<_, MaintenanceError>>()?,
    })
}

/// Checks that the swarm survives the restart; returns a note about the voters.
fn check_restart(
    reading: &SwarmReading,
    target: &NodeTarget,
) -> Result<Option<String>, MaintenanceError> {
    let loss = if reading.is_autolocked() {
        VoterLoss::Lock
    } else {
        VoterLoss::Restart
    };
    let allowed = may_lose(&reading.nodes, &target.node.id, target.host.as_str(), loss)?;
    Ok(allowed.note)
}

/// Reboots the machines of a plan, one after the other. The next one begins only when the node is
/// back, a manager is reachable again, and the tasks that stopped run again. `note` gets one line
/// of progress.
///
/// # Errors
/// [`MaintenanceError`]; the nodes before are back, and the later ones were not touched.
pub async fn reboot_nodes(
    reconnect: Reconnect<'_>,
    inventory: &Inventory,
    plan: &RebootPlan,
    options: &DrainOptions,
    return_limit: Duration,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<Vec<RebootOutcome>, MaintenanceError> {
    let mut outcomes = Vec::new();
    for (target, _) in &plan.targets {
        if stop.is_cancelled() {
            let why = format!("{} was not rebooted", target.host);
            return Err(MaintenanceError::Interrupted(why));
        }
        let fleet = reconnect().map_err(MaintenanceError::NoManager)?;
        let reboot = MachineReboot {
            reconnect,
            inventory,
            options,
            return_limit,
            stop,
            note,
        };
        let work = reboot.run(&fleet, target);
        let outcome = under_lease(&fleet, &target.host, options, stop, work).await;
        fleet.close().await;
        outcomes.push(outcome?);
    }
    Ok(outcomes)
}

/// The reboot of one machine.
struct MachineReboot<'a> {
    reconnect: Reconnect<'a>,
    inventory: &'a Inventory,
    options: &'a DrainOptions,
    return_limit: Duration,
    stop: &'a CancellationToken,
    note: &'a (dyn Fn(&str) + Sync),
}

impl MachineReboot<'_> {
    async fn run(
        &self,
        fleet: &Arc<Fleet>,
        target: &NodeTarget,
    ) -> Result<RebootOutcome, MaintenanceError> {
        let (host, begun) = (&target.host, Instant::now());
        let options = DrainOptions {
            purpose: DrainPurpose::Reboot,
            ..self.options.clone()
        };
        let (inventory, stop, note) = (self.inventory, self.stop, self.note);
        let drained = drain_node(fleet, inventory, target, &options, stop, note).await?;
        let reading = read_swarm(fleet, inventory, options.forks).await?;
        check_restart(&reading, target)?;
        if stop.is_cancelled() {
            return Err(self.interrupted(host, "is drained, and was not rebooted"));
        }
        note(&format!("{host}: rebooting"));
        let (owner, wait) = (&options.owner.owner, options.lease_wait);
        let before = restart_machine(fleet, host, owner, wait).await;
        let before = before.map_err(|why| MaintenanceError::Update {
            host: host.clone(),
            why,
        })?;
        let fresh = self.wait_for_boot(host, &before).await?;
        let back = self.bring_back(&fresh, target, &drained.services).await;
        fresh.close().await;
        Ok(RebootOutcome {
            host: host.clone(),
            node_id: target.node.id.clone(),
            availability: back?,
            services: drained.services,
            seconds: begun.elapsed().as_secs_f64(),
        })
    }

    /// Waits until the machine answers after another boot; returns the connections to it.
    async fn wait_for_boot(
        &self,
        host: &HostName,
        before: &str,
    ) -> Result<Arc<Fleet>, MaintenanceError> {
        let begun = Instant::now();
        let mut why = "it has not gone down yet".to_owned();
        while begun.elapsed() < self.return_limit {
            tokio::select! {
                () = self.stop.cancelled() => {
                    return Err(self.interrupted(host, "reboots, and stays drained"));
                }
                () = sleep(PAUSE) => {}
            }
            let fresh = (self.reconnect)().map_err(MaintenanceError::NoManager)?;
            match boot_identity(&fresh, host).await {
                Ok(now) if now != before => return Ok(fresh),
                Ok(_) => "it has not gone down yet".clone_into(&mut why),
                Err(error) => why = error,
            }
            fresh.close().await;
        }
        Err(self.not_back(host, why))
    }

    /// Waits until the node is what it was, gives it its availability back, and waits until the
    /// tasks that had stopped run again. Returns the availability.
    async fn bring_back(
        &self,
        fleet: &Arc<Fleet>,
        target: &NodeTarget,
        impacts: &[ServiceImpact],
    ) -> Result<String, MaintenanceError> {
        let (host, begun) = (&target.host, Instant::now());
        let mut is_restored = false;
        let mut why = "the managers do not list it as ready".to_owned();
        while begun.elapsed() < self.return_limit {
            let reading = read_swarm(fleet, self.inventory, self.options.forks).await;
            let reading = reading.and_then(|reading| {
                let node = reading.locate(host)?;
                if node.id == target.node.id {
                    Ok((reading, node))
                } else {
                    Err(MaintenanceError::Replaced(host.clone()))
                }
            });
            match reading {
                Ok((reading, node)) if is_back(&reading, &node, target) => {
                    if !is_restored {
                        let managers = reading.managers_for(host);
                        restore_availability(fleet, &managers, target).await?;
                        (self.note)(&format!("{host}: back"));
                        is_restored = true;
                        continue;
                    }
                    let tasks_are_back =
                        |impact: &ServiceImpact| impact.is_back(&reading.workload, &node.id);
                    if node.availability != "active" || impacts.iter().all(tasks_are_back) {
                        return Ok(node.availability);
                    }
                    "the tasks that stopped there do not run again yet".clone_into(&mut why);
                }
                Ok(_) => {}
                Err(error) => why = error.to_string(),
            }
            tokio::select! {
                () = self.stop.cancelled() => {
                    return Err(self.interrupted(host, "has rebooted, and is not back yet"));
                }
                () = sleep(PAUSE) => {}
            }
        }
        Err(self.not_back(host, why))
    }

    fn interrupted(&self, host: &HostName, state: &str) -> MaintenanceError {
        MaintenanceError::Interrupted(format!(
            "{host} {state}; `skep status` shows it, `skep node activate {host}` takes it back"
        ))
    }

    fn not_back(&self, host: &HostName, why: String) -> MaintenanceError {
        MaintenanceError::NotBack {
            host: host.clone(),
            limit: self.return_limit,
            why,
        }
    }
}

/// Returns true if the node is ready, votes if it voted, and the swarm has a leader.
fn is_back(reading: &SwarmReading, node: &SwarmNode, target: &NodeTarget) -> bool {
    let votes = target.node.manager.is_none() || node.is_reachable_manager();
    node.state == "ready" && votes && Voters::count(&reading.nodes).leader.is_some()
}
