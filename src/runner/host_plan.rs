//! The plan of one host: its resources, the change that each needs, and its outcome for reports.

use std::sync::Arc;

use super::applied_record::AppliedRecord;
use super::examine::ExamineResult;
use super::outcome::{ChangeView, HostOutcome, Outcome, ResourceOutcome};
use crate::model::{Change, Examination, ExamineError, HostAnswers, ProbeError, Query, Resource};

/// Plan of one host.
#[derive(Default)]
pub struct HostPlan {
    /// The host's resources, bound to its facts: play, resource, and the change that it needs.
    pub tasks: Vec<PlannedResource>,
    /// Outcome of the plan, for reports.
    pub outcome: HostOutcome,
    /// Record of the last apply on the host.
    pub(super) record: AppliedRecord,
    /// True if another run of `apply` works on the host, which was therefore not read.
    pub(super) locked: bool,
    /// True if every unknown state depends on another host: it may become known when that host is
    /// repaired.
    pub waits: bool,
}

/// Resource of a play on a host.
#[derive(Clone)]
pub struct PlannedResource {
    /// Index of the play.
    pub play: usize,
    /// File name of the playbook.
    pub playbook: Arc<str>,
    /// The resource.
    pub resource: Arc<dyn Resource>,
    /// The forecast change, if it differs.
    pub change: Option<Change>,
    /// Queries that depended on the first answers when the forecast was made.
    pub follow_ups: Vec<Query>,
}

impl PlannedResource {
    /// Notes the follow-up queries of a resource that differs.
    pub(super) fn note_follow_ups(&mut self, answers: &HostAnswers) {
        if self.change.is_none() {
            return;
        }
        let first = answers.of(&self.resource.queries());
        if let Ok(Examination::Needs(queries)) = self.resource.examine(&first) {
            self.follow_ups = queries;
        }
    }
}

/// Number of shells that are kept ready on a host that is changed: for the work, for the lock and
/// its heartbeat, and for a stream to the Engine.
pub(super) const PREPARED_FOR_CHANGES: usize = 3;

/// Returns the outcome of an examination, for reports.
pub(super) fn resource_outcome(
    play: &str,
    resource: String,
    examined: &ExamineResult,
) -> ResourceOutcome {
    let (outcome, change) = match examined {
        Ok(None) => (Outcome::Unchanged, None),
        Ok(Some(change)) => (Outcome::Differs, Some(ChangeView::from(change))),
        Err(error) => (failure(error), None),
    };
    ResourceOutcome {
        change,
        ..ResourceOutcome::new(play, resource, outcome)
    }
}

fn failure(error: &ExamineError) -> Outcome {
    match error {
        ExamineError::Probe(ProbeError::Elsewhere(why)) => Outcome::Failed {
            why: why.clone(),
            hint: "repair that host, or run `skep apply`, which reads this host again after it"
                .into(),
        },
        ExamineError::Probe(
            ProbeError::UnsafePath { why, hint, .. } | ProbeError::Settling { why, hint },
        ) => Outcome::Failed {
            why: why.clone(),
            hint: hint.clone(),
        },
        ExamineError::Probe(error) => Outcome::Failed {
            why: error.to_string(),
            hint:
                "skep never changes a resource that it cannot read: fix the cause, then run again"
                    .into(),
        },
        ExamineError::Refused(refusal) => Outcome::Failed {
            why: refusal.why.clone(),
            hint: refusal.hint.clone(),
        },
    }
}
