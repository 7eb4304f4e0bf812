//! The work on one host: its resources in order. Each change is planned from a reading right before
//! it is made, and verified by the reading right after it. Changes that do not depend on one
//! another travel together.

use std::collections::BTreeMap;

use super::batch::{plan_batch, reading_of};
use super::batch_run::BatchEnd;
use super::change::{AttemptOutcome, HostStop, Retry};
use super::locks::LockAttempt;
use super::play_stage::PlayStage;
use super::verification::verified;
use super::{Applier, Finished, MOST_ATTEMPTS};
use crate::model::Change;
use crate::runner::ConnectedHost;
use crate::runner::event::Event;
use crate::runner::examine::{ExamineResult, HostExaminer, SETTLE_WAIT};
use crate::runner::host_plan::{PREPARED_FOR_CHANGES, PlannedResource};
use crate::runner::outcome::{Outcome, ResourceOutcome};
use crate::transport::TransportError;

/// State of the work after a change.
enum ChangeEnd<'a> {
    /// Outcomes of the resources that were worked on, the reading after them, and changes of later
    /// tasks that were made as well.
    Done(
        Vec<ResourceOutcome>,
        HostExaminer<'a>,
        BTreeMap<usize, Change>,
    ),
    /// The run was interrupted before the change.
    Interrupted,
    /// The host was lost.
    Lost(Vec<ResourceOutcome>, TransportError),
}

impl Applier {
    /// Applies all resources of one host in order and puts their outcomes into `finished`. Ends
    /// early at the first failure.
    pub(super) async fn resources(
        &self,
        stage: &PlayStage,
        host: &ConnectedHost,
        tasks: &[PlannedResource],
        finished: &Finished,
    ) -> Result<(), TransportError> {
        let changes = tasks.iter().any(|task| task.change.is_some());
        if changes {
            host.keep_prepared(PREPARED_FOR_CHANGES);
        }
        let Some(mut look) = self.first_look(host, tasks, changes).await? else {
            return Ok(());
        };
        let mut index = 0;
        // Changes that were made before their resources are reached.
        let mut made: BTreeMap<usize, Change> = BTreeMap::new();
        while let Some(task) = tasks.get(index) {
            if self.stop.is_cancelled() {
                return Ok(());
            }
            stage.begin(self.fleet.events(), task.play).await;
            let one = std::slice::from_ref(&task.resource);
            if !look.has_answers(task.resource.as_ref()) {
                // The reading ended before it; so do the next ones.
                look.query(&reading_of(&tasks[index..], 0)).await?;
            }
            let settled = tokio::select! {
                settled = look.examine_settled(one, SETTLE_WAIT) => settled?,
                () = self.stop.cancelled() => return Ok(()),
            };
            let examined = settled.into_iter().next().unwrap_or(Ok(None));
            let was_made = match &examined {
                Ok(None) => made.remove(&index),
                _ => None,
            };
            let outcomes = match &examined {
                Ok(Some(change)) => {
                    match self
                        .make(stage, host, &tasks[index..], change, look)
                        .await?
                    {
                        ChangeEnd::Done(outcomes, next, later) => {
                            look = next;
                            made.extend(later.into_iter().map(|(task, of)| (index + task, of)));
                            outcomes
                        }
                        // Nothing was done: this resource is skipped together with the later ones.
                        ChangeEnd::Interrupted => return Ok(()),
                        ChangeEnd::Lost(outcomes, error) => {
                            self.finish(host, outcomes, finished).await;
                            return Err(error);
                        }
                    }
                }
                Ok(None) if was_made.is_some() => {
                    let mut outcome = self.outcome_of(task, &Ok(was_made));
                    outcome.outcome = Outcome::Changed;
                    vec![outcome]
                }
                examined => vec![self.outcome_of(task, examined)],
            };
            index += outcomes.len();
            let failed = outcomes
                .iter()
                .any(|result| matches!(result.outcome, Outcome::Failed { .. }));
            self.finish(host, outcomes, finished).await;
            if failed {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Reads the host for its first resources, and takes its lock at the same time if changes are
    /// expected; `None` after an interrupt.
    async fn first_look<'a>(
        &'a self,
        host: &'a ConnectedHost,
        tasks: &[PlannedResource],
        changes: bool,
    ) -> Result<Option<HostExaminer<'a>>, TransportError> {
        let lock = async {
            match changes {
                true => {
                    let held = self.locks.hold(&self.permit, host, self.fleet.events());
                    held.await.ok()
                }
                false => None,
            }
        };
        let read = HostExaminer::gather(&self.fleet, host, &[], reading_of(tasks, 0));
        let both = async { tokio::join!(lock, read) };
        let (lock, look) = tokio::select! {
            both = both => both,
            // An attempt at the lock ends by itself: one that is dropped may leave a lock.
            () = self.stop.cancelled(), if !changes => return Ok(None),
        };
        match lock {
            Some(LockAttempt::Interrupted) => Ok(None),
            // The other run may have changed the host during the reading.
            Some(LockAttempt::HeldAfterAnother) => {
                let queries = reading_of(tasks, 0);
                let look = HostExaminer::gather(&self.fleet, host, &[], queries).await?;
                Ok(Some(look))
            }
            // Without the lock, the first change gets the reason.
            Some(LockAttempt::Held) | None => look.map(Some),
        }
    }

    /// Makes the change of the first task, together with those of later tasks that travel with it.
    async fn make<'a>(
        &'a self,
        stage: &PlayStage,
        host: &'a ConnectedHost,
        tasks: &[PlannedResource],
        change: &Change,
        mut look: HostExaminer<'a>,
    ) -> Result<ChangeEnd<'a>, TransportError> {
        let task = &tasks[0];
        let one = std::slice::from_ref(&task.resource);
        let mut change = change.clone();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let acted = match plan_batch(tasks, &change, &look.answers) {
                Some(batch) => {
                    self.report_difference(host, task, &change).await;
                    for task in &tasks[..batch.changes.len()] {
                        stage.begin(self.fleet.events(), task.play).await;
                    }
                    match self.batch(host, tasks, &batch, &look.answers).await {
                        Ok(BatchEnd::Done { outcomes, .. }) if outcomes.is_empty() => {
                            return Ok(ChangeEnd::Interrupted);
                        }
                        Ok(BatchEnd::Done {
                            outcomes,
                            look,
                            made,
                        }) => return Ok(ChangeEnd::Done(outcomes, look, made)),
                        Ok(BatchEnd::Lost { outcomes, error }) => {
                            return Ok(ChangeEnd::Lost(outcomes, error));
                        }
                        Ok(BatchEnd::ReadAgain) => Ok(AttemptOutcome::Again(Retry::LockedBefore)),
                        Ok(BatchEnd::Interrupted) => Err(HostStop::Interrupted),
                        Err(stop) => Err(stop),
                    }
                }
                None => self.change(host, task, &change).await,
            };
            let mut result = self.outcome_of(task, &Ok(Some(change.clone())));
            result.outcome = match acted {
                Ok(AttemptOutcome::Again(why)) if attempt < MOST_ATTEMPTS => {
                    let queries = reading_of(tasks, 0);
                    look = HostExaminer::gather(&self.fleet, host, &[], queries).await?;
                    let examined = look.examine(one).await?.pop().unwrap_or(Ok(None));
                    match examined {
                        // An interrupt during a retry, too, ends the work.
                        Ok(Some(_)) if self.stop.is_cancelled() => {
                            return Ok(ChangeEnd::Interrupted);
                        }
                        Ok(Some(again)) => {
                            change = again;
                            continue;
                        }
                        examined => {
                            result = self.outcome_of(task, &examined);
                            // The managers did make the requested change, although they answered
                            // too late.
                            if matches!((why, &examined), (Retry::NoQuorum, Ok(None))) {
                                result.outcome = Outcome::Changed;
                            }
                            return Ok(ChangeEnd::Done(vec![result], look, BTreeMap::new()));
                        }
                    }
                }
                Ok(acted) => {
                    // One gather is both the verification of this resource and the plan of the next
                    // ones.
                    let queries = reading_of(tasks, 1);
                    look = HostExaminer::gather(&self.fleet, host, &[], queries).await?;
                    let after = self.examine_after(&mut look, task).await?;
                    verified(&after, &change, acted)
                }
                Err(HostStop::Failed { why, hint }) => Outcome::Failed { why, hint },
                Err(HostStop::Interrupted) => return Ok(ChangeEnd::Interrupted),
                Err(HostStop::Lost(error)) => {
                    result.outcome = Outcome::Failed {
                        why: error.to_string(),
                        hint: error.hint(),
                    };
                    return Ok(ChangeEnd::Lost(vec![result], error));
                }
            };
            return Ok(ChangeEnd::Done(vec![result], look, BTreeMap::new()));
        }
    }

    /// Examines a resource after its change, from the reading behind it.
    pub(super) async fn examine_after(
        &self,
        look: &mut HostExaminer<'_>,
        task: &PlannedResource,
    ) -> Result<ExamineResult, TransportError> {
        let one = std::slice::from_ref(&task.resource);
        let results = tokio::select! {
            results = look.examine_settled(one, SETTLE_WAIT) => results?,
            // What the Engine reports in transition is no verification.
            () = self.stop.cancelled() => look.examine(one).await?,
        };
        Ok(results.into_iter().next().unwrap_or(Ok(None)))
    }

    async fn finish(
        &self,
        host: &ConnectedHost,
        outcomes: Vec<ResourceOutcome>,
        finished: &Finished,
    ) {
        for result in outcomes {
            let event = Event::ResourceFinished {
                host: host.name().clone(),
                result: result.clone(),
            };
            self.fleet.events().send(event).await;
            finished.push(result);
        }
    }
}
