//! Reboot of nodes, one after the other: drain, restart the machine, wait until its node is back,
//! and give it its availability back.

use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use super::assess::ServiceImpact;
use super::drain::check_interruption;
use super::node_visit::NodeVisit;
use super::reading::{SwarmReading, read_settled_swarm};
use super::{DrainOptions, DrainPurpose, MaintenanceError, NodeTarget};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::runner::Fleet;

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
    options: &DrainOptions,
) -> Result<RebootPlan, MaintenanceError> {
    let reading = read_settled_swarm(fleet, inventory, options.forks).await?;
    let unlocks = options.unlock_key.is_some();
    let targets = hosts.iter().map(|host| reading.target(host, &[]));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let targets = SwarmReading::in_order(targets).into_iter().map(|target| {
        let note = reading.check_restart(&target, unlocks)?;
        Ok((target, note))
    });
    Ok(RebootPlan {
        targets: targets.collect::<Result<_, MaintenanceError>>()?,
    })
}

/// Reboots the machines of a plan, one after the other. The next one begins only when the node is
/// back, a manager is reachable again, and the tasks that stopped run again.
///
/// # Errors
/// [`MaintenanceError`]; the nodes before are back, and the later ones were not touched.
pub async fn reboot_nodes(
    visit: NodeVisit<'_>,
    plan: &RebootPlan,
) -> Result<Vec<RebootOutcome>, MaintenanceError> {
    let visit = visit.with_purpose(DrainPurpose::Reboot);
    let targets = plan.targets.iter().map(|(target, _)| (target, ()));
    let act = async |fleet: &Arc<Fleet>, target: &NodeTarget, (): &()| {
        reboot(&visit, fleet, target).await
    };
    visit.each(targets, "rebooted", act).await
}

async fn reboot(
    visit: &NodeVisit<'_>,
    fleet: &Arc<Fleet>,
    target: &NodeTarget,
) -> Result<RebootOutcome, MaintenanceError> {
    let (host, begun) = (&target.host, Instant::now());
    let (drained, _) = visit.drain_for_restart(fleet, target).await?;
    let fresh = visit.restart(fleet, host).await?;
    let back = visit.bring_back(&fresh, target, &drained.services).await;
    fresh.close().await;
    Ok(RebootOutcome {
        host: host.clone(),
        node_id: target.node.id.clone(),
        availability: back?,
        services: drained.services,
        seconds: begun.elapsed().as_secs_f64(),
    })
}
