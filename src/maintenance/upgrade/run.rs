//! Performs an upgrade, one node after the other.

use std::sync::Arc;

use serde::Serialize;
use tokio::time::Instant;

use super::package_reading::reboot_reason;
use super::package_run::{PackageSet, install};
use super::plan::{NodeUpgrade, PackageChange, UpgradePlan};
use super::{RebootRule, UpgradeRequest};
use crate::maintenance::assess::ServiceImpact;
use crate::maintenance::node_visit::NodeVisit;
use crate::maintenance::{DrainPurpose, MaintenanceError, NodeTarget};
use crate::names::HostName;
use crate::runner::Fleet;

/// Result of the upgrade of one node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UpgradeOutcome {
    /// The host.
    pub host: HostName,
    /// ID of its node.
    pub node_id: String,
    /// Changes of the Engine's packages.
    pub packages: Vec<PackageChange>,
    /// Number of updates of the operating system.
    pub os_updates: usize,
    /// True if the machine was rebooted.
    pub rebooted: bool,
    /// Availability of the node afterwards.
    pub availability: String,
    /// Effect of the drain on the services.
    pub services: Vec<ServiceImpact>,
    /// Seconds from the drain until the node was back.
    pub seconds: f64,
}

/// Upgrades the nodes of a plan, one after the other: workers, then managers, and the one that is
/// the leader at that moment last. The next one begins only when the node is back and the tasks
/// that stopped run again.
///
/// # Errors
/// [`MaintenanceError`]; the nodes before are back, and the later ones were not touched.
pub async fn upgrade_nodes(
    visit: NodeVisit<'_>,
    plan: &UpgradePlan,
    request: &UpgradeRequest,
) -> Result<Vec<UpgradeOutcome>, MaintenanceError> {
    let visit = visit.with_purpose(DrainPurpose::Upgrade);
    let nodes = plan.nodes.iter().map(|node| (&node.target, node));
    let act = async |fleet: &Arc<Fleet>, _: &NodeTarget, node: &&NodeUpgrade| {
        upgrade_node(&visit, fleet, node, request).await
    };
    visit.each(nodes, "upgraded", act).await
}

async fn upgrade_node(
    visit: &NodeVisit<'_>,
    fleet: &Arc<Fleet>,
    node: &NodeUpgrade,
    request: &UpgradeRequest,
) -> Result<UpgradeOutcome, MaintenanceError> {
    let (target, begun) = (&node.target, Instant::now());
    let host = &target.host;
    let (inventory, options) = (visit.inventory, &visit.options);
    let (drained, reading) = visit.drain_for_restart(fleet, target).await?;
    if visit.stop.is_cancelled() {
        return Err(visit.interrupted(host, "is drained, and was not upgraded"));
    }
    let sets = package_sets(node, request);
    if !sets.is_empty() {
        (visit.note)(&format!("{host}: installing {}", in_words(node)));
        let managers = reading.managers_for(host);
        let installed = install(
            fleet, inventory, &managers, host, &sets, options, visit.stop,
        )
        .await;
        installed.map_err(|why| {
            if visit.stop.is_cancelled() {
                return visit.interrupted(host, "is drained, and was not upgraded");
            }
            MaintenanceError::NotUpgraded {
                host: host.clone(),
                why,
            }
        })?;
    }
    let is_due = match request.reboot {
        RebootRule::Never => false,
        RebootRule::Always => true,
        RebootRule::WhenDue => {
            let reason = reboot_reason(fleet, host).await;
            let reason = reason.map_err(|why| MaintenanceError::NotUpgraded {
                host: host.clone(),
                why,
            })?;
            reason.is_some()
        }
    };
    let fresh = if is_due {
        visit.restart(fleet, host).await?
    } else {
        (visit.reconnect)()
    };
    let back = visit.bring_back(&fresh, target, &drained.services).await;
    fresh.close().await;
    Ok(UpgradeOutcome {
        host: host.clone(),
        node_id: target.node.id.clone(),
        packages: node.engine.clone(),
        os_updates: node.os.len(),
        rebooted: is_due,
        availability: back?,
        services: drained.services,
        seconds: begun.elapsed().as_secs_f64(),
    })
}

/// Returns the transactions of a node. The updates of the operating system come first: the Engine
/// may need a library of theirs.
fn package_sets(node: &NodeUpgrade, request: &UpgradeRequest) -> Vec<PackageSet> {
    let os = node
        .os
        .iter()
        .map(|update| (update.name.clone(), update.to.clone()));
    let engine = node
        .engine
        .iter()
        .map(|change| (change.name.clone(), change.to.clone()));
    let sets = [
        PackageSet {
            versions: os.collect(),
            is_held: false,
            may_downgrade: false,
        },
        PackageSet {
            versions: engine.collect(),
            is_held: node.is_held,
            may_downgrade: request.accepted.contains("downgrade"),
        },
    ];
    sets.into_iter()
        .filter(|set| !set.versions.is_empty())
        .collect()
}

fn in_words(node: &NodeUpgrade) -> String {
    let mut parts: Vec<String> = Vec::new();
    let engine = node
        .engine
        .iter()
        .map(|change| format!("{} {}", change.name, change.to));
    parts.extend(engine);
    match node.os.len() {
        0 => {}
        1 => parts.push("1 update of the operating system".into()),
        count => parts.push(format!("{count} updates of the operating system")),
    }
    parts.join(", ")
}
