//! The drain of a node around a restart of its Engine, if the play asks for it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use indexmap::IndexSet;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio_util::sync::CancellationToken;

use super::change::{HostStop, refused};
use super::{Applier, RunOptions};
use crate::model::{Change, Disruption, Refusal};
use crate::names::HostName;
use crate::playbook::{DrainRule, ResolvedPlaybook};
use crate::runner::{DrainedNode, Event, Fleet, RunSummary};

impl Applier {
    /// Takes all tasks off the node of a host before its Engine restarts, if the play asks for it,
    /// and before it leaves the swarm. `None` if there is nothing to drain.
    pub(super) async fn drain(
        &self,
        name: &HostName,
        play: usize,
        change: &Change,
    ) -> Result<Option<Box<dyn DrainedNode>>, HostStop> {
        let leaves = change.leaves_swarm();
        let rule = self.drain_rules.get(play).copied().flatten();
        let rule = rule.or_else(|| leaves.then(DrainRule::default));
        let (Some(drain), Some(rule)) = (&self.drain, rule) else {
            return Ok(None);
        };
        if change.disturbs != Disruption::EngineRestart && !leaves {
            return Ok(None);
        }
        let (notes, received) = unbounded_channel();
        let drained = drain.drain(&self.fleet, name, rule, &self.stop, notes);
        match tokio::join!(drained, self.pass_on(name, received)).0 {
            Err(_) if self.stop.is_cancelled() => Err(HostStop::Interrupted),
            drained => drained.map_err(refused),
        }
    }

    /// Gives a node that was drained its availability back. After a failure it stays drained, so
    /// that no task starts on it: `acted` then says so.
    pub(super) async fn end_drain<T>(
        &self,
        name: &HostName,
        drained: Option<Box<dyn DrainedNode>>,
        acted: Result<T, HostStop>,
    ) -> Result<T, HostStop> {
        let Some(node) = drained else {
            return acted;
        };
        let back = match &acted {
            Ok(_) => {
                let (notes, received) = unbounded_channel();
                let back = node.bring_back(&self.fleet, &self.stop, notes);
                tokio::join!(back, self.pass_on(name, received)).0
            }
            Err(_) => {
                let text = format!(
                    "its node stays drained; `skep node activate {name}` takes it back once it is repaired"
                );
                self.note(name, text).await;
                Ok(())
            }
        };
        match back {
            Ok(()) => acted,
            Err(refusal) => Err(refused(refusal)),
        }
    }

    /// Checks that the host may leave its swarm now: one manager leaves in a run, and no node
    /// leaves while a host of the run could not be read or has failed.
    pub(super) fn may_leave(&self, change: &Change) -> Result<(), HostStop> {
        if !change.leaves_swarm() {
            return Ok(());
        }
        if !self.failed.is_empty() {
            return Err(refused(Refusal {
                why: "another host could not be read or has failed, and no node leaves the swarm meanwhile".into(),
                hint: "repair that host first, then run again".into(),
            }));
        }
        let is_manager = change.disturbs == Disruption::ManagerLoss;
        if is_manager && self.manager_left.swap(true, Ordering::SeqCst) {
            return Err(refused(Refusal {
                why: "another manager has left the swarm in this run, and one manager leaves at a time".into(),
                hint: "run again for the next one".into(),
            }));
        }
        Ok(())
    }

    /// Passes each line of progress on as a note about the host.
    async fn pass_on(&self, name: &HostName, mut received: UnboundedReceiver<String>) {
        while let Some(line) = received.recv().await {
            self.note(name, line).await;
        }
    }
}

/// Takes back the nodes that an earlier apply drained and was interrupted before it took them back.
/// A host that has just failed keeps its state.
pub(super) async fn take_back_drained(
    fleet: &Arc<Fleet>,
    work: &ResolvedPlaybook,
    summary: &RunSummary,
    options: &RunOptions,
    stop: &CancellationToken,
) {
    let Some(drain) = &options.drain else {
        return;
    };
    let draining = work.plays.iter().filter(|play| play.drain.is_some());
    let hosts: IndexSet<&HostName> = draining.flat_map(|play| &play.hosts).collect();
    let is_fine = |host: &&&HostName| {
        let outcome = summary.hosts.get(**host);
        outcome.is_some_and(|outcome| !outcome.failed() && !outcome.is_lost())
    };
    let hosts: Vec<HostName> = hosts
        .iter()
        .filter(is_fine)
        .map(|host| (*host).clone())
        .collect();
    if hosts.is_empty() || stop.is_cancelled() {
        return;
    }
    for text in drain.take_back(fleet, &hosts, stop).await {
        let event = Event::Note { host: None, text };
        fleet.events().send(event).await;
    }
}
