//! State of a host after a check, as text, as a JSON value and as a metric label.

use serde::{Deserialize, Serialize};

use crate::runner::{HostOutcome, Outcome};

/// State of a host after a check: the most severe one that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// Every resource is in sync, or a rule ignores its drift.
    InSync,
    /// At least one resource differs.
    Drift,
    /// The host is unreachable: the state of its resources is unknown.
    Unreachable,
    /// A resource could not be read or was refused; never counted as in sync.
    Failed,
    /// The run was interrupted before the host was checked.
    NotLookedAt,
}

impl HostState {
    /// Every state, from the least to the most severe.
    pub const ALL: [Self; 5] = [
        Self::InSync,
        Self::Drift,
        Self::Unreachable,
        Self::Failed,
        Self::NotLookedAt,
    ];

    /// Returns the state of a host with this outcome.
    #[must_use]
    pub fn of(host: &HostOutcome, interrupted: bool) -> Self {
        if host.failed() {
            Self::Failed
        } else if host.unreachable.is_some() {
            Self::Unreachable
        } else if host.resources.is_empty() && interrupted {
            Self::NotLookedAt
        } else if host.count(|outcome| *outcome == Outcome::Differs) > 0 {
            Self::Drift
        } else {
            Self::InSync
        }
    }

    /// Returns the state as text for people: `in sync`.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Drift => "drift",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::NotLookedAt => "not checked",
        }
    }

    /// Returns the state as it stands in JSON and in metrics: `in_sync`.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::InSync => "in_sync",
            Self::Drift => "drift",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::NotLookedAt => "not_looked_at",
        }
    }
}
