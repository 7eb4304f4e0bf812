//! What came of a run. A failing host is data: the summary is complete whatever happened.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::TaskPanic;
use crate::model::{Action, Disruption, FieldChange};
use crate::names::HostName;

/// What came of one resource on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "outcome")]
pub enum Outcome {
    /// As asked already.
    Unchanged,
    /// Differs, and only looked at (`plan`, `check`).
    Differs,
    /// Differed, and is as asked now.
    Changed,
    /// Could not be read, was refused, or a step failed.
    Failed {
        /// Why, in one sentence.
        why: String,
        /// What to try, in one sentence; may be empty.
        hint: String,
    },
    /// Not looked at or not acted on.
    Skipped {
        /// Why not.
        because: String,
    },
}

/// Why a resource differs, as far as the record of what was applied last can tell. The record is never trusted over what was
/// observed: it explains a difference, it never hides one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftCause {
    /// The playbook asks what was applied last, and the host has something else.
    ChangedBehindOurBack,
    /// The playbook asks something else than was applied last.
    NotYetApplied,
    /// It was never applied on this host.
    NeverApplied,
    /// The resource, or the record, could not be read.
    Unknown,
}

impl DriftCause {
    /// In words.
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

/// One resource on one host.
#[derive(Debug, Clone, Serialize)]
pub struct ResourceOutcome {
    /// The play's name.
    pub play: String,
    /// `kind[name]`.
    pub resource: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// The difference, when there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub change: Option<ChangeView>,
    /// Why it differs, for resources that differ or could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<DriftCause>,
    /// When it was last applied with success, seconds since 1970 on the clock of whoever applied it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_applied: Option<u64>,
}

impl ResourceOutcome {
    /// An outcome without a change and a cause.
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
    /// Create, update, delete or run.
    pub action: Action,
    /// What differs.
    pub fields: Vec<FieldChange>,
    /// The steps in words.
    pub steps: Vec<String>,
    /// What it disturbs.
    pub disturbs: Disruption,
    /// Whether it differs again after each run, by its nature.
    pub repeats: bool,
    /// Remarks.
    pub notes: Vec<String>,
}

impl From<&crate::model::Change> for ChangeView {
    fn from(change: &crate::model::Change) -> Self {
        Self {
            action: change.action,
            fields: change.fields.clone(),
            steps: change
                .steps
                .iter()
                .map(|step| step.summary.clone())
                .collect(),
            disturbs: change.disturbs,
            repeats: change.repeats,
            notes: change.notes.clone(),
        }
    }
}

/// What came of one host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HostOutcome {
    /// Why the host could not be reached or was lost, with what to try; `None` when it was reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unreachable: Option<Problem>,
    /// Internal error of skep that ended the work on the host, with the next step; the host counts as failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Problem>,
    /// Its resources in the playbook's order.
    pub resources: Vec<ResourceOutcome>,
    /// Remarks on the host as a whole, e.g. that its record of what was applied last is not readable.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Commands run on it.
    pub execs: u32,
}

/// A reason and what to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Why.
    pub why: String,
    /// What to try.
    pub hint: String,
}

impl Problem {
    /// The trouble of a host whose task panicked.
    #[must_use]
    pub fn internal(host: &HostName, panic: &TaskPanic) -> Self {
        Self {
            why: panic.why(host),
            hint: panic.hint(),
        }
    }
}

impl HostOutcome {
    /// How many resources came out in this way.
    pub fn count(&self, matches: impl Fn(&Outcome) -> bool) -> usize {
        self.resources
            .iter()
            .filter(|resource| matches(&resource.outcome))
            .count()
    }

    /// Returns true if a resource failed, or skep itself failed on the host.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failure.is_some()
            || self
                .resources
                .iter()
                .any(|resource| matches!(resource.outcome, Outcome::Failed { .. }))
    }

    /// Returns true if the work on the host as a whole ended early: it is unreachable, or skep itself failed on it. Nothing
    /// more is done there in this run.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.unreachable.is_some() || self.failure.is_some()
    }
}

/// The whole run.
#[derive(Debug, Clone, Default, Serialize)]
pub struct RunSummary {
    /// By host, in the inventory's order.
    pub hosts: IndexMap<HostName, HostOutcome>,
    /// Whether it was interrupted.
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

    /// Whether any host could not be reached.
    #[must_use]
    pub fn unreachable(&self) -> bool {
        self.hosts.values().any(|host| host.unreachable.is_some())
    }

    /// Resources that came out in this way, over all hosts.
    pub fn count(&self, matches: impl Fn(&Outcome) -> bool + Copy) -> usize {
        self.hosts.values().map(|host| host.count(matches)).sum()
    }

    /// Whether `plan` or `check` found any difference.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.count(|outcome| matches!(outcome, Outcome::Differs)) > 0
    }
}
