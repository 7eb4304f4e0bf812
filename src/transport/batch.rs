//! The steps of several changes and one reading for a host that travel together, as data.

use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::{Connection, Exec, ExecOutput, StepLock, TransportError};

/// Steps that run in order, each only if the earlier ones succeeded, and a reading after them.
pub struct StepBatch {
    /// The steps of each change; no change is without a step. Each step has its own time limit,
    /// account and lock; their standard output is not returned. An interrupt takes effect between
    /// two changes.
    pub changes: Vec<Vec<Exec>>,
    /// Script that reads the host after the last step that ran. It runs after a failed step, too.
    pub reading: Exec,
    /// Receives the progress while the batch runs.
    pub progress: Option<UnboundedSender<StepProgress>>,
}

/// Progress of a batch: the index of a step, among those of all changes, that has begun or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepProgress {
    /// The step begins.
    Started(usize),
    /// The step has ended successfully.
    Finished(usize),
}

/// Result of a batch.
pub struct BatchOutput {
    /// Results of the steps that began, in order, of all changes. All but the last one succeeded.
    /// An error means that the end of the step is unknown.
    pub steps: Vec<Result<ExecOutput, TransportError>>,
    /// True if the run was interrupted before the next change.
    pub interrupted: bool,
    /// Output of the reading.
    pub reading: Result<ExecOutput, TransportError>,
}

impl StepBatch {
    /// Returns the steps of all changes, each with true if it is the first one of its change.
    pub(super) fn steps(&self) -> impl Iterator<Item = (bool, &Exec)> {
        self.changes
            .iter()
            .flat_map(|steps| steps.iter().enumerate())
            .map(|(index, step)| (index == 0, step))
    }

    /// Returns the lock of the first step.
    pub(super) fn lock(&self) -> Option<&StepLock> {
        self.changes.first()?.first()?.lock.as_ref()
    }

    /// Runs the steps and the reading one after the other, each as a command of its own.
    pub(super) async fn run_one_by_one<C: Connection + ?Sized>(
        self,
        connection: &C,
        stop: &CancellationToken,
    ) -> BatchOutput {
        let steps: Vec<(bool, Exec)> = self
            .steps()
            .map(|(is_first, step)| (is_first, step.clone()))
            .collect();
        let Self {
            reading, progress, ..
        } = self;
        let tell = |state| {
            if let Some(progress) = &progress {
                // Nobody listens any more: the caller is gone.
                let _ = progress.send(state);
            }
        };
        let mut results = Vec::new();
        let mut interrupted = false;
        for (index, (is_first, step)) in steps.into_iter().enumerate() {
            if is_first && stop.is_cancelled() {
                interrupted = true;
                break;
            }
            tell(StepProgress::Started(index));
            let result = connection.exec(step).await;
            let is_done = matches!(&result, Ok(output) if output.success());
            results.push(result);
            if !is_done {
                break;
            }
            tell(StepProgress::Finished(index));
        }
        let reading = match results.last() {
            Some(Err(error)) if error.loses_host() => Err(error.clone()),
            _ => connection.exec(reading).await,
        };
        BatchOutput {
            steps: results,
            interrupted,
            reading,
        }
    }
}
