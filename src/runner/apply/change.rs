//! One change of one resource: the host's lock, its turn and the guard's leave, the steps, and the wait until the host is whole.

use std::time::Instant;

use super::super::ConnectedHost;
use super::super::event::Event;
use super::super::outcome::ChangeView;
use super::Applier;
use super::compare::difference;
use super::perform::{StepError, perform};
use crate::model::{Change, Disruption, Refusal};
use crate::names::HostName;
use crate::runner::run_plan::PlannedResource;
use crate::transport::TransportError;

/// Why a host's work ends early.
pub(super) enum HostStop {
    Lost(TransportError),
    Failed { why: String, hint: String },
}

impl From<TransportError> for HostStop {
    /// A connection that is gone ends the host's run as unreachable; anything else that the transport refuses is a failure of the
    /// resource on a host that is there.
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

/// How performing a change ended.
#[derive(Clone, Copy)]
pub(super) enum AttemptOutcome {
    Done,
    /// Gather and plan once more.
    Again(Retry),
}

/// Why a change is planned anew.
#[derive(Clone, Copy)]
pub(super) enum Retry {
    /// The object had moved on.
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
        StepError::Wait { .. } => {
            "look at `journalctl -u docker` on the host, then run again".into()
        }
        StepError::DeferredValue(_) => {
            "bring a manager of the swarm back first, then run again".into()
        }
        StepError::Blocked { hint, .. } | StepError::NotConverged { hint, .. } => hint.clone(),
        _ => "mend the cause on the host and run again: what was done is seen and kept".into(),
    }
}

impl Applier {
    /// Performs one change: lock, turn, guard, steps, wait until the host is whole.
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
                why: format!("not disturbed: {away} was, and is not back"),
                hint: format!("bring {away} back first, then run again"),
            });
        }
        if disturbing {
            for note in self
                .guard
                .before(&name, change, self.fleet.as_ref())
                .await
                .map_err(refused)?
            {
                events
                    .send(Event::Note {
                        host: Some(name.clone()),
                        text: note,
                    })
                    .await;
            }
        }
        // Whatever goes wrong with one Engine would go wrong with the next: none is disturbed behind it. Noted before the
        // steps, so that it holds after a panic, too.
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

    /// Performs the steps in order, each only while the host's lock is ours.
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

    async fn wait_for_disruption_turn(
        &self,
        host: &HostName,
    ) -> tokio::sync::MutexGuard<'_, Option<HostName>> {
        if let Ok(turn) = self.disturbance.try_lock() {
            return turn;
        }
        let why = "another host's Engine is being disturbed".to_owned();
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
