//! A schedule: `skep check` again and again, by systemd or by cron. What is written is pure text (`units`, `interval`,
//! `quote`); only `systemd` touches the machine; `single` keeps a second check from starting.

mod interval;
mod quote;
pub mod single_run;
pub mod systemd;
#[cfg(test)]
mod tests;
mod units;

use std::path::PathBuf;
use std::time::Duration;

pub use interval::{Interval, IntervalError};
pub use units::{cron, service, timer};

/// The first line of every file that `skep schedule` writes: only files that begin so are replaced or removed.
pub const MARK: &str =
    "# Written by `skep schedule install`; changes are lost when it is run again.\n";

/// All that the units say. Paths are absolute.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Name of the units, without `.service`; also of the state folder below /var/lib.
    pub name: UnitName,
    /// Time between two checks.
    pub every: Interval,
    /// Each machine waits a time of its own, at most this long; 0 for none.
    pub randomized_delay: Duration,
    /// The account that checks: its keys are used.
    pub user: String,
    /// A check that takes longer is ended.
    pub timeout: Duration,
    /// Whether drift (exit code 3) leaves the unit green.
    pub drift_is_success: bool,
    /// Folders that the check may write beside its state folder.
    pub writable: Vec<PathBuf>,
    /// The `skep` binary.
    pub program: PathBuf,
    /// Where it runs.
    pub folder: PathBuf,
    /// Its arguments, `check` the first.
    pub arguments: Vec<String>,
}

/// A name that systemd and a file system both take: letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitName(String);

/// Why a name cannot be a unit's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` cannot name a unit: 1 to 100 of a-z A-Z 0-9 - _ . are allowed, and a letter or digit comes first"
)]
pub struct UnitNameError(String);

impl UnitName {
    /// A name that was looked at.
    ///
    /// # Errors
    /// [`UnitNameError`] when it holds anything else, a leading dot or dash among it.
    pub fn new(name: &str) -> Result<Self, UnitNameError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let good = name.bytes().all(allowed)
            && name.starts_with(|first: char| first.is_ascii_alphanumeric());
        if good && name.len() <= 100 {
            Ok(Self(name.to_owned()))
        } else {
            Err(UnitNameError(name.to_owned()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
