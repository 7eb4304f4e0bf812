//! Follows a batch while it runs, and reads its result: the lines of the batch's shell tell which
//! step has begun and how it ended; the output of the reading comes behind them.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::bootstrap::{batch, step_lock};
use super::lock_refusal;
use crate::transport::{BatchOutput, ExecOutput, StepProgress, TransportError};

use tokio::sync::mpsc::UnboundedSender;

/// State of one step, from its lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct StepRecord {
    /// Process group of the step's shell, once the shell has begun.
    group: Option<u32>,
    /// True if the shell of the step reached its end.
    done: bool,
    /// Status, and the time that the step took.
    end: Option<(i32, Duration)>,
}

#[derive(Debug, Default)]
struct BatchRecord {
    steps: Vec<StepRecord>,
    interrupted: bool,
    /// Position in the body behind the last line that was read.
    read: usize,
    /// Position in the body at which the output of the reading begins.
    reading: Option<usize>,
}

/// Reads the lines of a batch as they arrive. Clones share one record.
#[derive(Clone)]
pub(super) struct BatchWatch {
    mark: u128,
    line_mark: Arc<str>,
    reading_mark: Arc<str>,
    progress: Option<UnboundedSender<StepProgress>>,
    record: Arc<Mutex<BatchRecord>>,
}

impl BatchWatch {
    /// Returns the watch of a batch whose text was built with this mark.
    pub(super) fn new(mark: u128, progress: Option<UnboundedSender<StepProgress>>) -> Self {
        Self {
            mark,
            line_mark: batch::line_mark(mark).into(),
            reading_mark: batch::reading_mark(mark).into(),
            progress,
            record: Arc::default(),
        }
    }

    /// Reads the new lines of the batch's standard output, of which `body` is the whole so far.
    pub(super) fn look(&self, body: &[u8]) {
        let mut record = self.lock();
        while record.reading.is_none()
            && let Some(length) = body[record.read..].iter().position(|byte| *byte == b'\n')
        {
            let from = record.read;
            record.read += length + 1;
            let line = String::from_utf8_lossy(&body[from..from + length]).into_owned();
            if line == self.reading_mark.trim_end() {
                record.reading = Some(record.read);
            } else if let Some(told) = line.strip_prefix(&*self.line_mark)
                && let Some(progress) = record.note(told)
                && let Some(listener) = &self.progress
            {
                // Nobody listens any more: the caller is gone.
                let _ = listener.send(progress);
            }
        }
    }

    /// Returns the process group of the step that runs.
    pub(super) fn running_group(&self) -> Option<u32> {
        let record = self.lock();
        let last = record.steps.last()?;
        last.group.filter(|group| last.end.is_none() && *group > 1)
    }

    /// Reads the result of the batch. `limits` are the time limits of its steps.
    pub(super) fn read(
        self,
        result: Result<ExecOutput, TransportError>,
        limits: &[Duration],
    ) -> BatchOutput {
        let (stdout, stderr, status, trouble) = match result {
            Ok(output) => (output.stdout, output.stderr, output.status, None),
            Err(error) => (Vec::new(), Vec::new(), -1, Some(error)),
        };
        let record = self.lock();
        let mut steps: Vec<Result<ExecOutput, TransportError>> = Vec::new();
        for (index, (step, limit)) in record.steps.iter().zip(limits).enumerate() {
            let said = self.stderr_of(index, &stderr);
            steps.push(step.verdict(said, *limit, self.mark, trouble.as_ref()));
        }
        let reading = match (trouble, record.reading) {
            (Some(error), _) => Err(error),
            (None, Some(from)) => Ok(ExecOutput {
                status,
                stdout: stdout.get(from..).unwrap_or_default().to_vec(),
                stderr: after(&stderr, &self.reading_mark).to_vec(),
            }),
            (None, None) => Err(TransportError::Lost(
                "the shell ended before the reading".into(),
            )),
        };
        if let (true, false, Err(error)) = (steps.is_empty(), record.interrupted, &reading) {
            steps.push(Err(error.clone()));
        }
        BatchOutput {
            steps,
            interrupted: record.interrupted,
            reading,
        }
    }

    /// Returns the standard error of a step. If too much followed for its beginning to be kept,
    /// everything that was kept is from this step or later.
    fn stderr_of<'a>(&self, index: usize, stderr: &'a [u8]) -> &'a [u8] {
        let own = after(stderr, &format!("{}{index} start\n", self.line_mark));
        let next = format!("{}{} start\n", self.line_mark, index + 1);
        before(before(own, &next), &self.reading_mark)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BatchRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl BatchRecord {
    /// Reads a line without its mark; returns the progress that it tells.
    fn note(&mut self, line: &str) -> Option<StepProgress> {
        let mut words = line.split(' ');
        let index: usize = words.next()?.parse().ok()?;
        let event = words.next()?;
        if event == "interrupted" {
            self.interrupted = true;
            return None;
        }
        if event == "start" {
            if self.steps.len() != index {
                return None;
            }
            self.steps.push(StepRecord::default());
            return Some(StepProgress::Started(index));
        }
        let step = self.steps.get_mut(index)?;
        match event {
            "group" => step.group = words.next()?.parse().ok(),
            "done" => step.done = true,
            "end" => {
                let status: i32 = words.next()?.parse().ok()?;
                let mut uptime = || words.next()?.parse::<f64>().ok();
                let (from, to) = (uptime()?, uptime()?);
                let took = Duration::try_from_secs_f64(to - from).unwrap_or_default();
                step.end = Some((status, took));
                if status == 0 && step.done {
                    return Some(StepProgress::Finished(index));
                }
            }
            _ => {}
        }
        None
    }
}

impl StepRecord {
    fn verdict(
        &self,
        said: &[u8],
        limit: Duration,
        mark: u128,
        trouble: Option<&TransportError>,
    ) -> Result<ExecOutput, TransportError> {
        let lost = |why: &str| TransportError::Lost(why.to_owned());
        let Some((status, took)) = self.end else {
            return Err(trouble
                .cloned()
                .unwrap_or_else(|| lost("the shell ended before the step")));
        };
        let output = ExecOutput {
            status,
            stdout: Vec::new(),
            stderr: said.to_vec(),
        };
        // `timeout` ends with 124, and with 137 after its KILL. The uptime has two decimals.
        let late = took + Duration::from_millis(20) >= limit;
        match status {
            0 if !self.done => Err(lost("the shell ended before the script")),
            124 | 137 if late => Err(TransportError::Timeout(limit)),
            step_lock::REFUSED => lock_refusal(output, mark),
            _ if self.group.is_none() && status != 0 => Err(TransportError::NoShell(
                Some(output.stderr_tail())
                    .filter(|said| !said.is_empty())
                    .unwrap_or_else(|| format!("it ended with status {status}")),
            )),
            _ => Ok(output),
        }
    }
}

/// Returns the text behind a mark; the whole text if the mark is not there.
fn after<'a>(text: &'a [u8], mark: &str) -> &'a [u8] {
    match memchr::memmem::find(text, mark.as_bytes()) {
        Some(at) => &text[at + mark.len()..],
        None => text,
    }
}

/// Returns the text before a mark; the whole text if the mark is not there.
fn before<'a>(text: &'a [u8], mark: &str) -> &'a [u8] {
    match memchr::memmem::find(text, mark.as_bytes()) {
        Some(at) => &text[..at],
        None => text,
    }
}

#[cfg(test)]
mod tests;
