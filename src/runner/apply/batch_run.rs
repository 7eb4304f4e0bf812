//! Performs a batch: the host's lock, the permission of each change, one command with all steps and
//! the reading after them, and the outcome of each resource.

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::Applier;
use super::batch::{Batch, reading_of};
use super::change::{AttemptOutcome, HostStop, step_failure};
use super::locks::LockAttempt;
use super::perform::{exec_of, step_result};
use super::step_error::StepError;
use super::verification::verified;
use crate::model::{Change, HostAnswers, Step};
use crate::runner::ConnectedHost;
use crate::runner::event::Event;
use crate::runner::examine::{ExamineResult, HostExaminer};
use crate::runner::gather::ShellReading;
use crate::runner::host_plan::{PlannedResource, resource_outcome};
use crate::runner::outcome::{ChangeView, Outcome, ResourceOutcome};
use crate::transport::{BatchOutput, StepBatch, StepProgress, TransportError};

/// End of a batch.
pub(super) enum BatchEnd<'a> {
    /// The outcomes of its first resources, and the reading after it. The other resources of the
    /// batch were not started.
    Done {
        outcomes: Vec<ResourceOutcome>,
        look: HostExaminer<'a>,
        /// Changes behind those resources that were made all the same, by their places among the
        /// tasks: a resource between them, which was in sync, differs now.
        made: BTreeMap<usize, Change>,
    },
    /// The host must be read again before anything is done.
    ReadAgain,
    /// The run was interrupted before anything was done.
    Interrupted,
    /// The host was lost; the outcomes of the resources that had begun.
    Lost {
        outcomes: Vec<ResourceOutcome>,
        error: TransportError,
    },
}

/// A change of the batch: its place among the tasks, and its steps among those of the batch.
struct BatchChange<'a> {
    task: usize,
    change: &'a Change,
    steps: std::ops::Range<usize>,
}

impl BatchChange<'_> {
    /// Returns the outcome of the steps that began; `None` if none began.
    fn result(&self, output: &BatchOutput) -> Option<Result<(), HostStop>> {
        let begun = output.steps.get(self.steps.start..)?;
        if begun.is_empty() {
            return None;
        }
        for (step, result) in self.change.steps.iter().zip(begun) {
            if let Err(error) = step_result(step, result.clone()) {
                return Some(Err(step_failure(&step.summary, error)));
            }
        }
        Some(if begun.len() < self.change.steps.len() {
            let step = &self.change.steps[begun.len()];
            let error = StepError::Transport(TransportError::Lost("the step did not begin".into()));
            Err(step_failure(&step.summary, error))
        } else {
            Ok(())
        })
    }
}

impl Applier {
    /// Performs a batch that begins with the first of these tasks, and reads the host again for the
    /// tasks of the batch and for those that come next. `answers` are those from which it was
    /// planned.
    pub(super) async fn batch<'a>(
        &'a self,
        host: &'a ConnectedHost,
        tasks: &[PlannedResource],
        batch: &Batch,
        answers: &HostAnswers,
    ) -> Result<BatchEnd<'a>, HostStop> {
        let changes = changes_of(batch);
        match self
            .locks
            .hold(&self.permit, host, self.fleet.events())
            .await?
        {
            LockAttempt::Held => {}
            LockAttempt::HeldAfterAnother => return Ok(BatchEnd::ReadAgain),
            LockAttempt::Interrupted => return Ok(BatchEnd::Interrupted),
        }
        for part in &changes {
            // Each change is checked, because it may request a change of another host's node.
            match self.permission(host.name(), part.change, None).await {
                Ok(()) => {}
                Err(HostStop::Interrupted) => return Ok(BatchEnd::Interrupted),
                Err(stop) => return Err(stop),
            }
        }
        self.locks.check(host).await?;
        let queries = reading_of(tasks, batch.changes.len());
        let kept = batch.kept(answers);
        let reading = ShellReading::of(&queries);
        let (sender, receiver) = unbounded_channel();
        let mut steps = Vec::new();
        for part in &changes {
            let mut of_change = Vec::new();
            for step in &part.change.steps {
                let lock = self.locks.step_lock(host.name(), &step.summary).await;
                of_change.extend(exec_of(step, lock));
            }
            steps.push(of_change);
        }
        let sent = StepBatch {
            changes: steps,
            reading: reading.exec(),
            progress: Some(sender),
        };
        let (output, ()) = tokio::join!(
            host.run_batch(&self.permit, sent, &self.stop),
            self.tell(host, tasks, &changes, receiver)
        );
        let mut look = match &output.reading {
            Ok(read) => {
                HostExaminer::gather_beside(&self.fleet, host, &queries, &reading, read, kept).await
            }
            Err(error) if error.loses_host() => {
                return Ok(lost(self, tasks, &changes, &output, error.clone()));
            }
            Err(_) => match HostExaminer::gather(&self.fleet, host, &[], queries).await {
                Ok(look) => look,
                Err(error) => return Ok(lost(self, tasks, &changes, &output, error)),
            },
        };
        let outcomes = self.outcomes(tasks, &changes, &output, &mut look).await;
        Ok(match outcomes {
            Ok(outcomes) => {
                let later = changes.iter().filter(|part| {
                    part.task >= outcomes.len() && matches!(part.result(&output), Some(Ok(())))
                });
                let made = later.map(|part| (part.task, part.change.clone()));
                BatchEnd::Done {
                    made: made.collect(),
                    outcomes,
                    look,
                }
            }
            Err(error) => lost(self, tasks, &changes, &output, error),
        })
    }

    /// Reports the progress of the batch.
    async fn tell(
        &self,
        host: &ConnectedHost,
        tasks: &[PlannedResource],
        changes: &[BatchChange<'_>],
        mut receiver: UnboundedReceiver<StepProgress>,
    ) {
        let events = self.fleet.events();
        let mut started: HashMap<usize, Instant> = HashMap::new();
        while let Some(progress) = receiver.recv().await {
            let index = match progress {
                StepProgress::Started(index) | StepProgress::Finished(index) => index,
            };
            let Some(part) = changes.iter().find(|part| part.steps.contains(&index)) else {
                continue;
            };
            let (name, resource) = (host.name().clone(), tasks[part.task].resource.id());
            let Step { summary, .. } = &part.change.steps[index - part.steps.start];
            let step = summary.clone();
            match progress {
                StepProgress::Started(_) => {
                    if index == part.steps.start {
                        let change = ChangeView::from(part.change);
                        events
                            .send(Event::ChangeStarted {
                                host: name.clone(),
                                resource: resource.clone(),
                                change,
                            })
                            .await;
                    }
                    started.insert(index, Instant::now());
                    events
                        .send(Event::StepStarted {
                            host: name,
                            resource,
                            step,
                        })
                        .await;
                }
                StepProgress::Finished(_) => {
                    let took = started
                        .get(&index)
                        .map(Instant::elapsed)
                        .unwrap_or_default();
                    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
                    events
                        .send(Event::StepFinished {
                            host: name,
                            resource,
                            step,
                            millis,
                        })
                        .await;
                }
            }
        }
    }

    /// Returns the outcomes of the resources up to the first one that failed or was not started.
    async fn outcomes(
        &self,
        tasks: &[PlannedResource],
        changes: &[BatchChange<'_>],
        output: &BatchOutput,
        look: &mut HostExaminer<'_>,
    ) -> Result<Vec<ResourceOutcome>, TransportError> {
        let by_task: BTreeMap<usize, &BatchChange<'_>> =
            changes.iter().map(|part| (part.task, part)).collect();
        let last = by_task.keys().next_back().copied().unwrap_or(0);
        let mut outcomes = Vec::new();
        for (index, task) in tasks.iter().enumerate().take(last + 1) {
            let one = std::slice::from_ref(&task.resource);
            let Some(part) = by_task.get(&index) else {
                // A resource that was in sync is read like every other one: if it differs now, it
                // is planned anew.
                let result = look.examine(one).await?.pop().unwrap_or(Ok(None));
                if !matches!(result, Ok(None)) {
                    break;
                }
                outcomes.push(self.outcome_of(task, &result));
                continue;
            };
            let examined = Ok(Some(part.change.clone()));
            let mut outcome = self.outcome_of(task, &examined);
            outcome.outcome = match part.result(output) {
                None => break,
                Some(Ok(())) => {
                    let after = self.examine_after(look, task).await?;
                    verified(&after, part.change, AttemptOutcome::Done)
                }
                Some(Err(HostStop::Failed { why, hint })) => Outcome::Failed { why, hint },
                Some(Err(HostStop::Interrupted)) => break,
                Some(Err(HostStop::Lost(error))) => return Err(error),
            };
            outcomes.push(outcome);
        }
        Ok(outcomes)
    }

    /// Returns the outcome of a resource of a play, before its change.
    pub(super) fn outcome_of(
        &self,
        task: &PlannedResource,
        examined: &ExamineResult,
    ) -> ResourceOutcome {
        let play = self.plays.get(task.play).map_or("", String::as_str);
        resource_outcome(play, task.resource.id(), examined)
    }
}

/// Returns the changes of the batch with the places of their steps.
fn changes_of(batch: &Batch) -> Vec<BatchChange<'_>> {
    let mut next = 0;
    let changes = batch.changes.iter().enumerate();
    changes
        .filter_map(|(task, change)| Some((task, change.as_ref()?)))
        .map(|(task, change)| {
            let steps = next..next + change.steps.len();
            next = steps.end;
            BatchChange {
                task,
                change,
                steps,
            }
        })
        .collect()
}

/// Returns the end of a batch whose host was lost: a change whose steps were all completed could
/// not be read again, and the change that was under way has the error.
fn lost<'a>(
    applier: &Applier,
    tasks: &[PlannedResource],
    changes: &[BatchChange<'_>],
    output: &BatchOutput,
    error: TransportError,
) -> BatchEnd<'a> {
    let by_task: BTreeMap<usize, &BatchChange<'_>> =
        changes.iter().map(|part| (part.task, part)).collect();
    let mut outcomes = Vec::new();
    for (index, task) in tasks.iter().enumerate() {
        let Some(part) = by_task.get(&index) else {
            // It was in sync when the batch began.
            outcomes.push(applier.outcome_of(task, &Ok(None)));
            continue;
        };
        let mut outcome = applier.outcome_of(task, &Ok(Some(part.change.clone())));
        outcome.outcome = match part.result(output) {
            None | Some(Err(HostStop::Interrupted)) => break,
            Some(Ok(())) => Outcome::Failed {
                why: format!("its steps were completed, but it could not be read again: {error}"),
                hint: error.hint(),
            },
            Some(Err(HostStop::Failed { why, hint })) => Outcome::Failed { why, hint },
            Some(Err(HostStop::Lost(error))) => Outcome::Failed {
                why: error.to_string(),
                hint: error.hint(),
            },
        };
        outcomes.push(outcome);
        if Some(&index) == by_task.keys().next_back() {
            break;
        }
    }
    BatchEnd::Lost { outcomes, error }
}
