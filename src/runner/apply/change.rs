//! Performs one change of one resource: the host's lock, its turn for a disruption, the guard's
//! permission, the steps, and the wait until the host is ready again.

use std::sync::PoisonError;
use std::time::Instant;

use super::super::ConnectedHost;
use super::super::event::Event;
use super::super::outcome::ChangeView;
use super::Applier;
use super::compare::difference;
use super::locks::LockAttempt;
use super::node_identity::NodeIdentity;
use super::perform::{StepContext, perform};
use super::step_error::StepError;
use super::swarm_lease::{LeaseError, LeaseOutcome, SwarmLease, take_lease};
use crate::model::{Change, Disruption, Refusal, SecretBytes, Step};
use crate::names::HostName;
use crate::runner::host_plan::PlannedResource;
use crate::transport::TransportError;

/// Reason why the work on a host ends early.
pub(super) enum HostStop {
    Lost(TransportError),
    /// The operator interrupted the run before the change began.
    Interrupted,
    Failed {
        why: String,
        hint: String,
    },
}

impl From<TransportError> for HostStop {
    /// A lost connection ends the host's run as unreachable; any other transport error is a failure
    /// of the resource on a reachable host.
    fn from(error: TransportError) -> Self {
        if error.loses_host() {
            return Self::Lost(error);
        }
        Self::Failed {
            why: error.to_string(),
            hint: error.hint(),
        }
    }
}

/// Result of performing a change.
#[derive(Clone, Copy)]
pub(super) enum AttemptOutcome {
    Done,
    /// The change must be gathered and planned again.
    Again(Retry),
}

/// Reason why a change is planned again.
#[derive(Clone, Copy)]
pub(super) enum Retry {
    /// The object's version changed between plan and act.
    VersionConflict,
    /// The managers did not agree in time.
    NoQuorum,
    /// Another run had the host's lock until now, and may have changed the host.
    LockedBefore,
}

pub(super) fn refused(refusal: Refusal) -> HostStop {
    HostStop::Failed {
        why: refusal.why,
        hint: refusal.hint,
    }
}

fn no_lease(error: &LeaseError) -> HostStop {
    let hint = match error {
        LeaseError::Interrupted => return HostStop::Interrupted,
        LeaseError::Held(_) => "wait for that run with --lock-wait, or run again when it has ended",
        LeaseError::NoMajority(_) => "bring back a majority of the managers first, or use --force",
    };
    HostStop::Failed {
        why: error.to_string(),
        hint: hint.into(),
    }
}

fn step_hint(error: &StepError) -> String {
    match error {
        StepError::Transport(error) => error.hint(),
        StepError::Wait { .. } => "check `journalctl -u docker` on the host, then run again".into(),
        StepError::AwaitedFailed(host) => format!("repair {host} first, then run again"),
        StepError::Interrupted => "run again; completed steps are not repeated".into(),
        StepError::DeferredValue(_) => "bring a manager of the swarm back, then run again".into(),
        StepError::Blocked { hint, .. } | StepError::NotConverged { hint, .. } => hint.clone(),
        _ => "fix the cause on the host and run again; completed steps are not repeated".into(),
    }
}

/// Returns the end of the work on a host after a step that failed; `words` is its summary.
pub(super) fn step_failure(words: &str, error: StepError) -> HostStop {
    match error {
        StepError::Transport(error) if matches!(error, TransportError::Lost(_)) => error.into(),
        error => HostStop::Failed {
            hint: step_hint(&error),
            why: format!("{words}: {error}"),
        },
    }
}

impl Applier {
    /// Performs one change: lock, turn, guard, steps, wait until the host is ready again.
    pub(super) async fn change(
        &self,
        host: &ConnectedHost,
        task: &PlannedResource,
        change: &Change,
    ) -> Result<AttemptOutcome, HostStop> {
        let events = self.fleet.events();
        let (name, resource) = (host.name().clone(), task.resource.id());
        self.report_difference(host, task, change).await;
        match self.locks.hold(&self.permit, host, events).await? {
            LockAttempt::Held => {}
            LockAttempt::HeldAfterAnother => return Ok(AttemptOutcome::Again(Retry::LockedBefore)),
            LockAttempt::Interrupted => return Err(HostStop::Interrupted),
        }
        let view = ChangeView::from(change);
        let started = Event::ChangeStarted {
            host: name.clone(),
            resource: resource.clone(),
            change: view,
        };
        if change.disturbs < Disruption::EngineRestart {
            // Each change is checked, because it may request a change of another host's node.
            self.permission(&name, change, None).await?;
            self.note_nodes(change);
            events.send(started).await;
            return self.steps(host, &resource, &change.steps).await;
        }
        let mut turn = self.wait_for_disruption_turn(&name).await?;
        if let Some(away) = turn.as_ref() {
            return Err(HostStop::Failed {
                why: format!("skipped: {away} was disrupted and has not come back"),
                hint: format!("bring {away} back, then run again"),
            });
        }
        let lease = self.swarm_lease(&name, change).await?;
        let acted = self
            .in_turn(host, task, change, started, lease.as_ref(), &mut turn)
            .await;
        if let Some(lease) = lease {
            lease.release().await;
        }
        acted
    }

    /// Makes a change that disrupts the host, in its turn and under the lease of the swarm.
    async fn in_turn(
        &self,
        host: &ConnectedHost,
        task: &PlannedResource,
        change: &Change,
        started: Event,
        lease: Option<&SwarmLease>,
        turn: &mut Option<HostName>,
    ) -> Result<AttemptOutcome, HostStop> {
        let (name, resource) = (host.name(), task.resource.id());
        self.steps(host, &resource, &change.preparation).await?;
        self.may_leave(change)?;
        let drained = self.drain(name, task.play, change).await?;
        // Read before the guard is asked: between its answer and the disruption, another manager
        // may be lost, so nothing else belongs there.
        let identity = match change.disturbs {
            Disruption::EngineRestart => NodeIdentity::read(name, self.fleet.as_ref()).await,
            // A node that leaves its swarm, or is demoted, changes on purpose.
            _ => None,
        };
        if let Err(stop) = self.permission(name, change, lease).await {
            // The Engine was not restarted, so its node gets its availability back.
            self.end_drain(name, drained, Ok(())).await?;
            return Err(stop);
        }
        let key = match self.key_before_restart(name, change).await {
            Ok(key) => key,
            Err(stop) => {
                self.end_drain(name, drained, Ok(())).await?;
                return Err(stop);
            }
        };
        // A problem on one host would likely occur on the next host as well, so no further host is
        // disrupted after a failure. The host is noted before the steps, which covers a panic, too.
        *turn = Some(name.clone());
        self.note_nodes(change);
        self.fleet.events().send(started).await;
        let acted = self
            .disrupt(host, &resource, change, identity.as_ref(), key.as_ref())
            .await;
        let acted = match &acted {
            // The node is gone.
            Ok(AttemptOutcome::Done) if change.leaves_swarm() => acted,
            _ => self.end_drain(name, drained, acted).await,
        };
        if acted.is_ok() {
            *turn = None;
        }
        acted
    }

    /// Reports the difference of a change from its forecast, if there is one.
    pub(super) async fn report_difference(
        &self,
        host: &ConnectedHost,
        task: &PlannedResource,
        change: &Change,
    ) {
        if let Some(how) = difference(task.change.as_ref(), change) {
            let (host, resource) = (host.name().clone(), task.resource.id());
            let event = Event::ForecastDiffers {
                host,
                resource,
                how,
            };
            self.fleet.events().send(event).await;
        }
    }

    /// Asks the guard, and checks last of all that this run still holds the lease of the swarm and
    /// was not interrupted.
    pub(super) async fn permission(
        &self,
        name: &HostName,
        change: &Change,
        lease: Option<&SwarmLease>,
    ) -> Result<(), HostStop> {
        let notes = tokio::select! {
            notes = self.guard.before(name, change, self.fleet.as_ref()) => notes.map_err(refused)?,
            () = self.stop.cancelled() => return Err(HostStop::Interrupted),
        };
        for note in notes {
            self.note(name, note).await;
        }
        if let Some(lease) = lease {
            lease.confirm().await.map_err(|error| no_lease(&error))?;
        }
        if self.stop.is_cancelled() {
            return Err(HostStop::Interrupted);
        }
        Ok(())
    }

    /// Performs the steps of a disruption, and waits until the host is ready again.
    async fn disrupt(
        &self,
        host: &ConnectedHost,
        resource: &str,
        change: &Change,
        identity: Option<&NodeIdentity>,
        key: Option<&SecretBytes>,
    ) -> Result<AttemptOutcome, HostStop> {
        let acted = self.steps(host, resource, &change.steps).await?;
        if !matches!(acted, AttemptOutcome::Done) {
            return Ok(acted);
        }
        let name = host.name();
        if let Some(key) = key {
            self.unlock_after_restart(name, key).await?;
        }
        tokio::select! {
            back = self.return_of(name, change, identity) => back.map_err(refused)?,
            () = self.stop.cancelled() => return Err(HostStop::Failed {
                why: format!("its steps were completed, but the run was interrupted before {name} was ready again"),
                hint: "run again when the host is ready; completed steps are not repeated".into(),
            }),
        }
        Ok(acted)
    }

    /// Takes the lease of the host's swarm; `None` if none is needed, or if a forced run goes on
    /// without it.
    async fn swarm_lease(
        &self,
        name: &HostName,
        change: &Change,
    ) -> Result<Option<SwarmLease>, HostStop> {
        let (owner, wait) = (&self.lease_owner, self.lock_wait);
        match take_lease(&self.permit, &self.fleet, name, owner, wait, &self.stop).await {
            Ok(LeaseOutcome::NoSwarm) => Ok(None),
            Ok(LeaseOutcome::Taken(lease)) => Ok(lease),
            Ok(LeaseOutcome::NoManager) => {
                let text = "no manager of its swarm is in the inventory, so a run elsewhere may disrupt another node at the same time";
                self.note(name, text.into()).await;
                Ok(None)
            }
            Err(error @ LeaseError::NoMajority(_)) if self.guard.is_forced() => {
                self.note(name, error.forced_note()).await;
                Ok(None)
            }
            Err(error) => {
                // The guard knows which managers are missing.
                if matches!(error, LeaseError::NoMajority(_)) {
                    let judged = self.guard.before(name, change, self.fleet.as_ref());
                    judged.await.map_err(refused)?;
                }
                Err(no_lease(&error))
            }
        }
    }

    pub(super) async fn note(&self, host: &HostName, text: String) {
        let host = Some(host.clone());
        self.fleet.events().send(Event::Note { host, text }).await;
    }

    /// Waits until a host is ready again after a disruption, as the same node as before.
    async fn return_of(
        &self,
        host: &HostName,
        change: &Change,
        identity: Option<&NodeIdentity>,
    ) -> Result<(), Refusal> {
        // Another node would never become ready: it is named without the wait.
        if let Some(identity) = identity {
            identity.confirm(host, self.fleet.as_ref()).await?;
        }
        self.guard.after(host, change, self.fleet.as_ref()).await?;
        match identity {
            Some(identity) => identity.confirm(host, self.fleet.as_ref()).await,
            None => Ok(()),
        }
    }

    /// Performs steps in order, each only while this run holds the host's lock.
    async fn steps(
        &self,
        host: &ConnectedHost,
        resource: &str,
        steps: &[Step],
    ) -> Result<AttemptOutcome, HostStop> {
        let (events, name) = (self.fleet.events(), host.name());
        for (index, step) in steps.iter().enumerate() {
            self.locks.check(host).await?;
            let (host_name, resource, words) =
                (name.clone(), resource.to_owned(), step.summary.clone());
            events
                .send(Event::StepStarted {
                    host: host_name.clone(),
                    resource: resource.clone(),
                    step: words.clone(),
                })
                .await;
            let started = Instant::now();
            let context = StepContext {
                permit: &self.permit,
                fleet: &self.fleet,
                lock: self.locks.step_lock(host.name(), &step.summary).await,
                stop: &self.stop,
                failed: &self.failed,
            };
            match perform(context, host, step).await {
                Ok(()) => {}
                Err(StepError::Interrupted) if index == 0 => return Err(HostStop::Interrupted),
                Err(StepError::OutOfSequence) => {
                    return Ok(AttemptOutcome::Again(Retry::VersionConflict));
                }
                Err(StepError::NoQuorum) => return Ok(AttemptOutcome::Again(Retry::NoQuorum)),
                Err(error) => return Err(step_failure(&words, error)),
            }
            let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            events
                .send(Event::StepFinished {
                    host: host_name,
                    resource,
                    step: words,
                    millis,
                })
                .await;
        }
        Ok(AttemptOutcome::Done)
    }

    /// Notes the nodes of the swarm that a change is about to change.
    fn note_nodes(&self, change: &Change) {
        let ids = change.node_requests().into_iter();
        self.changed_nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(ids.map(|request| request.node_id));
    }

    /// Returns those of the hosts whose nodes this run has changed, whichever host asked for the
    /// change.
    pub(super) async fn owners_of_changed_nodes(&self, hosts: &[HostName]) -> Vec<HostName> {
        let nodes = self
            .changed_nodes
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        self.guard.owners(hosts, &nodes, self.fleet.as_ref()).await
    }

    async fn wait_for_disruption_turn(
        &self,
        host: &HostName,
    ) -> Result<tokio::sync::MutexGuard<'_, Option<HostName>>, HostStop> {
        let turn = if let Ok(turn) = self.disturbance.try_lock() {
            turn
        } else {
            let why = "another host is being disrupted".to_owned();
            let host = host.clone();
            self.fleet.events().send(Event::Waiting { host, why }).await;
            tokio::select! {
                turn = self.disturbance.lock() => turn,
                () = self.stop.cancelled() => return Err(HostStop::Interrupted),
            }
        };
        // The interrupt may have come together with the turn.
        if self.stop.is_cancelled() {
            return Err(HostStop::Interrupted);
        }
        Ok(turn)
    }
}
