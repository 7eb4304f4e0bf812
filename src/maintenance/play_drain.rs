//! The drain of nodes whose Engines an apply restarts, for plays with `drain = true`.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::availability::{DRAINED_BY, restore_availability};
use super::drain::{check_interruption, drain_node};
use super::node_visit::NodeVisit;
use super::reading::{SwarmReading, read_settled_swarm, read_swarm};
use super::{DrainOptions, DrainPurpose, MaintenanceError, NodeTarget, ServiceImpact};
use crate::inventory::Inventory;
use crate::model::Refusal;
use crate::names::{HostName, short_list};
use crate::playbook::DrainRule;
use crate::runner::{
    DockerReader as _, DrainedNode, Fleet, LeaseOutcome, NodeDrain, ProgressNotes, take_swarm_lease,
};
use crate::swarm::DockerStatus;

/// Number of services that a note names.
const NAMED_SERVICES: usize = 5;

/// Drains the nodes of an inventory for an apply.
pub struct PlayDrain {
    inventory: Arc<Inventory>,
    options: DrainOptions,
    return_limit: Duration,
}

impl PlayDrain {
    /// Returns the drain with these options; their purpose is the apply. `return_limit` is the time
    /// for a node to come back after its restart.
    #[must_use]
    pub fn new(inventory: Arc<Inventory>, options: DrainOptions, return_limit: Duration) -> Self {
        let options = DrainOptions {
            purpose: DrainPurpose::Apply,
            ..options
        };
        Self {
            inventory,
            options,
            return_limit,
        }
    }

    fn options(&self, rule: DrainRule) -> DrainOptions {
        let allowed = self.options.allow_interruption || rule.allow_interruption;
        DrainOptions {
            allow_interruption: allowed,
            ..self.options.clone()
        }
    }

    /// Returns the node of a host with the effect of its drain; `None` if it has no tasks that
    /// could move, because it is no active node or its Engine does not run.
    async fn target(
        &self,
        fleet: &Arc<Fleet>,
        host: &HostName,
    ) -> Result<Option<NodeTarget>, MaintenanceError> {
        let status = DockerStatus::read(&fleet.get(host, "/info").await);
        match &status {
            DockerStatus::Absent | DockerStatus::Down(_) => return Ok(None),
            DockerStatus::Answered(info) if info.state != "active" => return Ok(None),
            _ => {}
        }
        let reading = read_settled_swarm(fleet, &self.inventory, self.options.forks).await?;
        reading.target(host, &[]).map(Some)
    }

    /// Returns those of the hosts whose nodes an apply has drained.
    fn left_over<'a>(
        &self,
        reading: &SwarmReading,
        hosts: &'a [HostName],
    ) -> Vec<(&'a HostName, NodeTarget)> {
        let by_apply = |target: &NodeTarget| {
            let by = reading.label(&target.node.id, DRAINED_BY);
            by.is_some_and(|by| by.ends_with(self.options.purpose.word()))
        };
        hosts
            .iter()
            .filter_map(|host| Some((host, reading.target(host, &[]).ok()?)))
            .filter(|(_, target)| by_apply(target))
            .collect()
    }
}

#[async_trait]
impl NodeDrain for PlayDrain {
    async fn forecast(
        &self,
        fleet: &Arc<Fleet>,
        host: &HostName,
        rule: DrainRule,
        stop: &CancellationToken,
    ) -> Vec<String> {
        let target = tokio::select! {
            target = self.target(fleet, host) => target,
            () = stop.cancelled() => return Vec::new(),
        };
        match target {
            Ok(None) => Vec::new(),
            Ok(Some(target)) => drain_notes(&target, &self.options(rule)),
            Err(error) => vec![format!("its node cannot be drained now: {error}")],
        }
    }

    async fn drain(
        &self,
        fleet: &Arc<Fleet>,
        host: &HostName,
        rule: DrainRule,
        stop: &CancellationToken,
        notes: ProgressNotes,
    ) -> Result<Option<Box<dyn DrainedNode>>, Refusal> {
        let target = self.target(fleet, host).await.map_err(refusal)?;
        let Some(target) = target else {
            return Ok(None);
        };
        let options = self.options(rule);
        // The lines are shown with the name of the host.
        let prefix = format!("{host}: ");
        let note = |line: &str| {
            let line = line.strip_prefix(&prefix).unwrap_or(line);
            // A closed channel means that nobody listens any more.
            drop(notes.send(line.to_owned()));
        };
        note("draining its node");
        let drained = drain_node(fleet, &self.inventory, &target, &options, stop, &note).await;
        let drained = drained.map_err(refusal)?;
        note(&format!(
            "its node is drained, after {:.1} s",
            drained.seconds
        ));
        Ok(Some(Box::new(RestartingNode {
            inventory: self.inventory.clone(),
            options,
            return_limit: self.return_limit,
            target,
            services: drained.services,
        })))
    }

    async fn take_back(
        &self,
        fleet: &Arc<Fleet>,
        hosts: &[HostName],
        stop: &CancellationToken,
    ) -> Vec<String> {
        let forks = self.options.forks;
        // A swarm that cannot be read has been reported by its own resources.
        let Ok(reading) = read_swarm(fleet, &self.inventory, forks).await else {
            return Vec::new();
        };
        let left = self.left_over(&reading, hosts);
        let Some((first, _)) = left.first() else {
            return Vec::new();
        };
        // An apply drains under the lease: while this run has it, no other one is at work.
        let (owner, wait) = (&self.options.owner, self.options.lease_wait);
        let lease = match take_swarm_lease(fleet, first, owner, wait, stop).await {
            Ok(LeaseOutcome::Taken(lease)) => lease,
            Ok(LeaseOutcome::NoSwarm | LeaseOutcome::NoManager) => None,
            Err(error) => {
                let names = short_list(left.iter().map(|(host, _)| host.as_str()), NAMED_SERVICES);
                return vec![format!("{names}: drained by another apply: {error}")];
            }
        };
        let mut lines = Vec::new();
        if let Ok(reading) = read_swarm(fleet, &self.inventory, forks).await {
            for (host, target) in self.left_over(&reading, hosts) {
                let managers = reading.managers_for(host);
                lines.push(match restore_availability(fleet, &managers, &target).await {
                    Ok(()) => format!("{host}: an interrupted apply had drained its node; it has its availability back"),
                    Err(error) => format!("{host}: an interrupted apply had drained its node, and it stays so: {error}"),
                });
            }
        }
        if let Some(lease) = lease {
            lease.release().await;
        }
        lines
    }
}

/// A node whose Engine restarts.
struct RestartingNode {
    inventory: Arc<Inventory>,
    options: DrainOptions,
    return_limit: Duration,
    target: NodeTarget,
    services: Vec<ServiceImpact>,
}

#[async_trait]
impl DrainedNode for RestartingNode {
    async fn bring_back(
        &self,
        fleet: &Arc<Fleet>,
        stop: &CancellationToken,
        notes: ProgressNotes,
    ) -> Result<(), Refusal> {
        let same = || fleet.clone();
        let visit = NodeVisit {
            reconnect: &same,
            inventory: &self.inventory,
            options: self.options.clone(),
            return_limit: self.return_limit,
            stop,
            note: &|_| {},
        };
        let back = visit.bring_back(fleet, &self.target, &self.services).await;
        let availability = back.map_err(refusal)?;
        drop(notes.send(format!("its node is back, {availability}")));
        Ok(())
    }
}

/// Returns the notes of a plan about the drain of a node.
fn drain_notes(target: &NodeTarget, options: &DrainOptions) -> Vec<String> {
    if target.node.availability == "drain" {
        return vec!["its node is drained already, and stays so".into()];
    }
    let moving = target.impacts.iter().filter(|one| one.stops.is_none());
    let moving: Vec<&str> = moving.map(|impact| impact.service.as_str()).collect();
    let mut notes = vec![match moving.len() {
        0 => "its node is drained first; no task moves".to_owned(),
        _ => format!(
            "its node is drained first; these services move: {}",
            short_list(moving, NAMED_SERVICES)
        ),
    }];
    for impact in &target.impacts {
        let service = &impact.service;
        match (&impact.interruption, &impact.stops) {
            (Some(why), _) => notes.push(format!("the drain interrupts {service}: {why}")),
            (None, Some(why)) => notes.push(format!("{service} stops there: {why}")),
            (None, None) => {}
        }
    }
    if !options.allow_interruption && check_interruption(target).is_err() {
        notes.push(
            "`apply` refuses that; `allow_interruption = true` in the play or --allow-interruption accepts it"
                .into(),
        );
    }
    notes
}

fn refusal(error: MaintenanceError) -> Refusal {
    match error {
        MaintenanceError::Refused(refusal) => refusal,
        error @ MaintenanceError::Interruption { .. } => Refusal {
            why: error.to_string(),
            hint: "`allow_interruption = true` in the play accepts it, too; the Engine was not restarted".into(),
        },
        error => Refusal {
            why: error.to_string(),
            hint: "`skep status` shows the nodes and their availability".into(),
        },
    }
}
