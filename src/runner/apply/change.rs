//! Performs one change of one resource: the host's lock, its turn for a disruption, the guard's
//! permission, the steps, and the wait until the host is ready again.

use std::sync::PoisonError;
use std::time::Instant;

use super::super::ConnectedHost;
use super::super::event::Event;
use super::super::outcome::ChangeView;
use super::Applier;
use super::compare::difference;
use super::perform::perform;
use super::step_error::StepError;
use crate::model::{Change, Disruption, Refusal};
use crate::names::HostName;
use crate::runner::host_plan::PlannedResource;
use crate::transport::TransportError;

/// Reason why the work on a host ends early.
pub(super) enum HostStop {
    Lost(TransportError),
    Failed { why: String, hint: String },
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
}

fn refused(refusal: Refusal) -> HostStop {
    HostStop::Failed {
        why: refusal.why,
        hint: refusal.hint,
    }
}

fn step_hint(error: &StepError) -> String {
    match error {
        StepError::Transport(error) => error.hint(),
        StepError::Wait { .. } => "check `journalctl -u docker` on the host, then run again".into(),
        StepError::DeferredValue(_) => "bring a manager of the swarm back, then run again".into(),
        StepError::Blocked { hint, .. } | StepError::NotConverged { hint, .. } => hint.clone(),
        _ => "fix the cause on the host and run again; completed steps are not repeated".into(),
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
        if let Some(how) = difference(task.change.as_ref(), change) {
            events
                .send(Event::ForecastDiffers {
                    host: name.clone(),
                    resource: resource.clone(),
                    how,
                })
                .await;
        }
        self.locks.hold(&self.permit, host, events).await?;
        let disturbing = change.disturbs >= Disruption::EngineRestart;
        let mut turn = if disturbing {
            Some(self.wait_for_disruption_turn(&name).await)
        } else {
            None
        };
        if let Some(away) = turn.as_ref().and_then(|turn| turn.as_ref()) {
            return Err(HostStop::Failed {
                why: format!("skipped: {away} was disrupted and has not come back"),
                hint: format!("bring {away} back, then run again"),
            });
        }
        // Each change is checked, because it may request a change of another host's node.
        let notes = self.guard.before(&name, change, self.fleet.as_ref());
        for text in notes.await.map_err(refused)? {
            let host = Some(name.clone());
            events.send(Event::Note { host, text }).await;
        }
        self.note_nodes(change);
        // A problem on one host would likely occur on the next host as well, so no further host is
        // disrupted after a failure. The host is noted before the steps, which covers a panic, too.
        if let Some(turn) = &mut turn {
            **turn = Some(name.clone());
        }
        let view = ChangeView::from(change);
        events
            .send(Event::ChangeStarted {
                host: name.clone(),
                resource: resource.clone(),
                change: view,
            })
            .await;
        let mut acted = self.steps(host, &resource, change).await;
        if disturbing && matches!(acted, Ok(AttemptOutcome::Done)) {
            acted = self
                .guard
                .after(&name, change, self.fleet.as_ref())
                .await
                .map(|()| AttemptOutcome::Done)
                .map_err(refused);
        }
        if let (Some(turn), Ok(_)) = (&mut turn, &acted) {
            **turn = None;
        }
        acted
    }

    /// Performs the steps in order, each only while this run holds the host's lock.
    async fn steps(
        &self,
        host: &ConnectedHost,
        resource: &str,
        change: &Change,
    ) -> Result<AttemptOutcome, HostStop> {
        let (events, name) = (self.fleet.events(), host.name());
        for step in &change.steps {
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
            match perform(&self.permit, &self.fleet, host, step).await {
                Ok(()) => {}
                Err(StepError::OutOfSequence) => {
                    return Ok(AttemptOutcome::Again(Retry::VersionConflict));
                }
                Err(StepError::NoQuorum) => return Ok(AttemptOutcome::Again(Retry::NoQuorum)),
                Err(StepError::Transport(error)) if matches!(error, TransportError::Lost(_)) => {
                    return Err(error.into());
                }
                Err(error) => {
                    let hint = step_hint(&error);
                    return Err(HostStop::Failed {
                        why: format!("{words}: {error}"),
                        hint,
                    });
                }
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
    ) -> tokio::sync::MutexGuard<'_, Option<HostName>> {
        if let Ok(turn) = self.disturbance.try_lock() {
            return turn;
        }
        let why = "another host is being disrupted".to_owned();
        self.fleet
            .events()
            .send(Event::Waiting {
                host: host.clone(),
                why,
            })
            .await;
        self.disturbance.lock().await
    }
}
