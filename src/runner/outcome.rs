//! The outcome of a run. A failed host is data: the summary is complete in any case.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::TaskPanic;
use crate::model::{Action, Disruption, FieldChange};
use crate::names::HostName;

/// Outcome of one resource on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// The resource was already in sync.
    Unchanged,
    /// The resource differs and was only read (`plan`, `check`).
    Differs,
    /// The resource differed and is in sync now.
    Changed,
    /// The resource could not be read, its change was refused, or a step failed.
    Failed {
        /// Reason, in one sentence.
        why: String,
        /// Next step, in one sentence; may be empty.
        hint: String,
    },
    /// The resource was not checked, or its change was not made.
    Skipped {
        /// Reason of the skip.
        because: String,
    },
}

/// Cause of a resource's difference, as far as the record of the last apply shows it. The record
/// never overrides the observed state: it explains a difference, but never hides one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftCause {
    /// The playbook has the values that were applied last, and the host has different ones.
    ChangedBehindOurBack,
    /// The playbook has values other than those applied last.
    NotYetApplied,
    /// The resource was never applied on this host.
    NeverApplied,
    /// The resource, or the record, could not be read.
    Unknown,
}

impl DriftCause {
    /// Returns the cause as text for people.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::ChangedBehindOurBack => "changed behind our back",
            Self::NotYetApplied => "not yet applied",
            Self::NeverApplied => "never applied",
            Self::Unknown => "unknown",
        }
    }
}

/// Result for one resource on one host.
#[derive(Debug, Clone, Serialize)]
pub struct ResourceOutcome {
    /// Name of the play.
    pub play: String,
    /// `kind[name]`.
    pub resource: String,
    /// Outcome of the resource.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// Change of the resource; `None` if it did not differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeView>,
    /// Cause of the difference, for resources that differ or could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<DriftCause>,
    /// Time of the last successful apply, in seconds since 1970, by the clock of the machine that
    /// applied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied: Option<u64>,
}

impl ResourceOutcome {
    /// Returns an outcome without a change and a cause.
    #[must_use]
    pub fn new(play: impl Into<String>, resource: impl Into<String>, outcome: Outcome) -> Self {
        let (play, resource) = (play.into(), resource.into());
        Self {
            play,
            resource,
            outcome,
            change: None,
            cause: None,
            last_applied: None,
        }
    }
}

/// A change as reports show it: without its steps' arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ChangeView {
    /// Action: create, update, delete or run.
    pub action: Action,
    /// Fields that differ.
    pub fields: Vec<FieldChange>,
    /// Summaries of the steps.
    pub steps: Vec<String>,
    /// Disruption that the change causes.
    pub disturbs: Disruption,
    /// True if the resource differs again after each run, as a command that always runs does.
    pub repeats: bool,
    /// Notes for people.
    pub notes: Vec<String>,
}

impl From<&crate::model::Change> for ChangeView {
    fn from(change: &crate::model::Change) -> Self {
        Self {
            action: change.action,
            fields: change.fields.clone(),
            steps: change
                .preparation
                .iter()
                .chain(&change.steps)
                .map(|step| step.summary.clone())
                .collect(),
            disturbs: change.disturbs,
            repeats: change.repeats,
            notes: change.notes.clone(),
        }
    }
}

/// Outcome of one host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HostOutcome {
    /// Reason why the host is unreachable or was lost, with the next step; `None` if it was
    /// reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Problem>,
    /// Reason why the work on a reachable host ended: an internal error of skep, or the lock of
    /// another run; with the next step. The host counts as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Problem>,
    /// Outcomes of the host's resources, in the playbook's order.
    pub resources: Vec<ResourceOutcome>,
    /// Notes on the host as a whole, e.g. that its record of the last apply is not readable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Number of commands run on the host.
    pub execs: u32,
}

/// Reason of a problem, and the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Reason, in one sentence.
    pub why: String,
    /// Next step, in one sentence.
    pub hint: String,
}

impl Problem {
    /// Returns the problem of a host whose task panicked.
    #[must_use]
    pub fn internal(host: &HostName, panic: &TaskPanic) -> Self {
        Self {
            why: panic.why(host),
            hint: panic.hint(),
        }
    }
}

impl HostOutcome {
    /// Returns the number of resources with a matching outcome.
    pub fn count(&self, matches: impl Fn(&Outcome) -> bool) -> usize {
        self.resources
            .iter()
            .filter(|resource| matches(&resource.outcome))
            .count()
    }

    /// Returns true if a resource failed, or the work on the whole host failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failure.is_some()
            || self
                .resources
                .iter()
                .any(|resource| matches!(resource.outcome, Outcome::Failed { .. }))
    }

    /// Returns true if the work on the whole host ended early: it is unreachable, or skep itself
    /// failed on it. No further work is done there in this run.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.unreachable.is_some() || self.failure.is_some()
    }
}

/// Summary of the whole run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunSummary {
    /// Outcomes by host, in the inventory's order.
    pub hosts: IndexMap<HostName, HostOutcome>,
    /// True if the run was interrupted.
    pub interrupted: bool,
    /// Duration in milliseconds.
    pub millis: u64,
}

impl RunSummary {
    /// Returns true if any host failed.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.hosts.values().any(HostOutcome::failed)
    }

    /// Returns true if any host is unreachable.
    #[must_use]
    pub fn unreachable(&self) -> bool {
        self.hosts.values().any(|host| host.unreachable.is_some())
    }

    /// Returns the number of resources with a matching outcome, over all hosts.
    pub fn count(&self, matches: impl Fn(&Outcome) -> bool + Copy) -> usize {
        self.hosts.values().map(|host| host.count(matches)).sum()
    }

    /// Returns true if `plan` or `check` found any difference.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Differs)) > 0
    }
}
