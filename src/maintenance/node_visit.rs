//! The visit of one node by a reboot or an upgrade: restarts its machine, waits until the node is
//! back, and gives it its availability back.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::assess::ServiceImpact;
use super::availability::restore_availability;
use super::drain::{drain_node, under_lease};
use super::reading::{SwarmReading, read_swarm};
use super::{DrainOptions, DrainOutcome, DrainPurpose, MaintenanceError, NodeTarget};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::{
    DockerReader as _, Fleet, boot_identity, proven_unlock_key, restart_machine, unlock_manager,
};
use crate::swarm::{DockerStatus, SwarmNode, Voters};
use crate::transport::read_value;

/// Time between two attempts to reach a machine that restarts.
const PAUSE: Duration = Duration::from_secs(1);

/// Opens new connections: those to a machine that restarts end.
pub type Reconnect<'a> = &'a (dyn Fn() -> Arc<Fleet> + Sync);

/// The visit of nodes, one after the other.
pub struct NodeVisit<'a> {
    /// Opens the connections of each visit.
    pub reconnect: Reconnect<'a>,
    /// The inventory.
    pub inventory: &'a Inventory,
    /// Options of the drains.
    pub options: DrainOptions,
    /// Time for a machine, and then for its node, to come back.
    pub return_limit: Duration,
    /// Interrupt of the operator.
    pub stop: &'a CancellationToken,
    /// Gets one line of progress.
    pub note: &'a (dyn Fn(&str) + Sync),
}

impl NodeVisit<'_> {
    /// Returns the visit for another purpose.
    pub(super) fn with_purpose(self, purpose: DrainPurpose) -> Self {
        let options = DrainOptions {
            purpose,
            ..self.options
        };
        Self { options, ..self }
    }

    /// Drains the node, and checks that the swarm survives its restart now. Returns the reading
    /// after the drain.
    ///
    /// # Errors
    /// [`MaintenanceError`]; the error says whether the node is drained.
    pub(super) async fn drain_for_restart(
        &self,
        fleet: &Arc<Fleet>,
        target: &NodeTarget,
    ) -> Result<(DrainOutcome, SwarmReading), MaintenanceError> {
        let (inventory, options) = (self.inventory, &self.options);
        self.check_unlock_key(fleet, target).await?;
        let drained = drain_node(fleet, inventory, target, options, self.stop, self.note).await?;
        // The drain may have taken minutes, so the voters are counted again.
        let reading = read_swarm(fleet, inventory, options.forks).await?;
        reading.check_restart(target, options.unlock_key.is_some())?;
        Ok((drained, reading))
    }

    /// Checks that the kept key is the right one, if the node is a manager that locks.
    async fn check_unlock_key(
        &self,
        fleet: &Fleet,
        target: &NodeTarget,
    ) -> Result<(), MaintenanceError> {
        let (host, source) = (&target.host, &self.options.unlock_key);
        let (Some(source), Some(_)) = (source, &target.node.manager) else {
            return Ok(());
        };
        let status = DockerStatus::read(&fleet.get(host, "/info").await);
        if status.info().is_some_and(|info| info.autolock) {
            let proven = proven_unlock_key(fleet, host, source).await;
            proven.map_err(|why| MaintenanceError::Update {
                host: host.clone(),
                why,
            })?;
        }
        Ok(())
    }

    /// Unlocks the manager of the host if it is locked and a key is kept. Returns the reason if it
    /// stays locked.
    async fn unlock(&self, fleet: &Fleet, host: &HostName) -> Option<String> {
        let source = self.options.unlock_key.as_ref()?;
        let status = DockerStatus::read(&fleet.get(host, "/info").await);
        status.info().filter(|info| info.state == "locked")?;
        let key = match read_value(source).await {
            Ok(key) => key,
            Err(why) => return Some(format!("its manager is locked: {why}")),
        };
        let (owner, wait) = (&self.options.owner.owner, self.options.lease_wait);
        match unlock_manager(fleet, host, &key, owner, wait).await {
            Ok(()) => {
                (self.note)(&format!("{host}: unlocked"));
                None
            }
            Err(why) => Some(format!("its manager is locked: {why}")),
        }
    }

    /// Visits the nodes, one after the other: workers, then managers, and the one that is the
    /// leader at that moment last. Each visit has connections of its own, because those to a
    /// machine end with its reboot, and the lease of the swarm. `past` is the word for a visited
    /// node.
    ///
    /// # Errors
    /// The error of the first visit that fails; the later nodes were not touched.
    pub(super) async fn each<N, T>(
        &self,
        nodes: impl IntoIterator<Item = (&NodeTarget, N)>,
        past: &str,
        act: impl AsyncFn(&Arc<Fleet>, &NodeTarget, &N) -> Result<T, MaintenanceError>,
    ) -> Result<Vec<T>, MaintenanceError> {
        let mut remaining: Vec<(&NodeTarget, N)> = nodes.into_iter().collect();
        let mut outcomes = Vec::new();
        while !remaining.is_empty() {
            let fleet = (self.reconnect)();
            let reading = read_swarm(&fleet, self.inventory, self.options.forks).await;
            let outcome = match reading {
                Err(error) => Err(error),
                Ok(reading) => {
                    let next = reading.first_in_order(remaining.iter().map(|(target, _)| *target));
                    let (target, node) = remaining.remove(next);
                    if self.stop.is_cancelled() {
                        let why = format!("{} was not {past}", target.host);
                        Err(MaintenanceError::Interrupted(why))
                    } else {
                        let work = act(&fleet, target, &node);
                        under_lease(&fleet, &target.host, &self.options, self.stop, work).await
                    }
                }
            };
            fleet.close().await;
            outcomes.push(outcome?);
        }
        Ok(outcomes)
    }

    /// Restarts the machine of the node, and waits until it answers; returns the connections to it.
    ///
    /// # Errors
    /// [`MaintenanceError`]; the node stays drained.
    pub(super) async fn restart(
        &self,
        fleet: &Fleet,
        host: &HostName,
    ) -> Result<Arc<Fleet>, MaintenanceError> {
        if self.stop.is_cancelled() {
            return Err(self.interrupted(host, "is drained, and was not rebooted"));
        }
        (self.note)(&format!("{host}: rebooting"));
        let (owner, wait) = (&self.options.owner.owner, self.options.lease_wait);
        let before = restart_machine(fleet, host, owner, wait).await;
        let before = before.map_err(|why| MaintenanceError::Update {
            host: host.clone(),
            why,
        })?;
        self.wait_for_boot(host, &before).await
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
            let fresh = (self.reconnect)();
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
    ///
    /// # Errors
    /// [`MaintenanceError`]; the node stays drained, or its tasks are not back.
    pub(super) async fn bring_back(
        &self,
        fleet: &Arc<Fleet>,
        target: &NodeTarget,
        impacts: &[ServiceImpact],
    ) -> Result<String, MaintenanceError> {
        let (host, begun) = (&target.host, Instant::now());
        let mut is_restored = false;
        let mut why = "the managers do not list it as ready".to_owned();
        while begun.elapsed() < self.return_limit {
            let locked = self.unlock(fleet, host).await;
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
            if let Some(locked) = locked {
                why = locked;
            }
            tokio::select! {
                () = self.stop.cancelled() => {
                    return Err(self.interrupted(host, "was restarted, and is not back yet"));
                }
                () = sleep(PAUSE) => {}
            }
        }
        Err(self.not_back(host, why))
    }

    pub(super) fn interrupted(&self, host: &HostName, state: &str) -> MaintenanceError {
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
