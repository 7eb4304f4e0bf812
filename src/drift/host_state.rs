//! The state of a host after a check.

use serde::{Deserialize, Serialize};

use crate::runner::{HostOutcome, Outcome};

/// How a host came out of a check, the gravest that applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostState {
    /// All of its resources are as asked, or what differs is ignored by a rule.
    InSync,
    /// Something differs.
    Drift,
    /// Nothing is known of it.
    Unreachable,
    /// Something could not be read or was refused: never counted as in sync.
    Failed,
    /// The run was interrupted before it was looked at.
    NotLookedAt,
}

impl HostState {
    /// Every state, from harmless to grave.
    pub const ALL: [Self; 5] = [
        Self::InSync,
        Self::Drift,
        Self::Unreachable,
        Self::Failed,
        Self::NotLookedAt,
    ];

    /// The state of a host of this outcome.
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

    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::InSync => "in sync",
            Self::Drift => "drift",
            Self::Unreachable => "unreachable",
            Self::Failed => "failed",
            Self::NotLookedAt => "not looked at",
        }
    }

    /// As in JSON and in metrics: `in_sync`.
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
