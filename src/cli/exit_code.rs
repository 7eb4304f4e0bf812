//! Exit codes, the same for every verb.

use std::process::ExitCode;

use crate::runner::RunSummary;

/// Result of a verb. Scripts and timers rely on these numbers; if several apply, the order is 130,
/// 1, 4, 3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitStatus {
    /// 0: in sync, or applied.
    Fine,
    /// 1: a resource or a host failed.
    Failed,
    /// 2: usage or configuration; no host was contacted.
    Usage,
    /// 3: drift (`check`), or changes (`plan --exit-code`).
    Drift,
    /// 4: a host is unreachable.
    Unreachable,
    /// 130: interrupted (128 + SIGINT, as shells do).
    Interrupted,
}

impl ExitStatus {
    /// Returns the number.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Fine => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Drift => 3,
            Self::Unreachable => 4,
            Self::Interrupted => 130,
        }
    }

    /// Returns the code of a run. `drift_counts` is true if differences are a finding (`check`),
    /// and false if they are only information (`plan`).
    #[must_use]
    pub fn of(summary: &RunSummary, drift_counts: bool) -> Self {
        let all = [FailOn::Failed, FailOn::Unreachable, FailOn::Drift];
        Self::among(summary, if drift_counts { &all } else { &all[..2] })
    }

    /// Returns the code of a run for which only these findings count.
    #[must_use]
    pub fn among(summary: &RunSummary, findings: &[FailOn]) -> Self {
        let counts = |finding| findings.contains(&finding);
        if summary.interrupted {
            Self::Interrupted
        } else if counts(FailOn::Failed) && summary.failed() {
            Self::Failed
        } else if counts(FailOn::Unreachable) && summary.unreachable() {
            Self::Unreachable
        } else if counts(FailOn::Drift) && summary.differs() {
            Self::Drift
        } else {
            Self::Fine
        }
    }
}

/// A finding that makes the exit code of a check other than 0. An interruption always does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum FailOn {
    /// A resource differs: 3.
    Drift,
    /// A host is unreachable: 4.
    Unreachable,
    /// A resource could not be read or was refused, or skep itself failed on a host: 1.
    Failed,
}

impl From<ExitStatus> for ExitCode {
    fn from(exit: ExitStatus) -> Self {
        Self::from(exit.code())
    }
}
