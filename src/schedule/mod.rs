//! A schedule: systemd or cron runs `skep check` at an interval. `units`, `interval` and `quote`
//! only produce text, `systemd` alone changes the machine, and `single_run` prevents a second check
//! at the same time.

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

/// First line of every file that `skep schedule` writes. Only files with this line are replaced or
/// removed.
pub const MARK: &str =
    "# Written by `skep schedule install`; changes are lost when it is run again.\n";

/// Content of the units. All paths are absolute.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// Name of the units, without `.service`; also of the state folder below /var/lib.
    pub name: UnitName,
    /// Time between two checks.
    pub every: Interval,
    /// Maximum of the random delay that each machine chooses for itself; 0 for none.
    pub randomized_delay: Duration,
    /// Account that runs the check, with its SSH keys.
    pub user: String,
    /// Time limit after which systemd ends a check.
    pub timeout: Duration,
    /// True if the unit succeeds on drift (exit code 3).
    pub drift_is_success: bool,
    /// Folders that the check may write, in addition to its state folder.
    pub writable: Vec<PathBuf>,
    /// Path of the `skep` binary.
    pub program: PathBuf,
    /// Working directory.
    pub folder: PathBuf,
    /// Arguments of `skep`; the first is `check`.
    pub arguments: Vec<String>,
}

/// A name that is valid for systemd and for a file: letters, digits, `-`, `_`, `.`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitName(String);

/// A name that is not valid for a unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a valid name for a unit: use 1 to 100 of a-z A-Z 0-9 - _ ., beginning with a letter or digit"
)]
pub struct UnitNameError(String);

impl UnitName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`UnitNameError`] if the name contains another character, or begins with a dot or a dash.
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

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
