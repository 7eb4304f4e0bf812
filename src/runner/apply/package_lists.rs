//! Fetches the package lists of a host outside of a playbook: an upgrade resolves the versions for
//! all hosts before it changes the first one.

use std::time::Duration;

use super::locked_host::run_locked_step;
use crate::kinds::refresh_lists;
use crate::names::HostName;
use crate::runner::Fleet;

/// Number of apt's warnings that are returned.
const WARNINGS: usize = 5;

/// Fetches the package lists of a host, with its lock. Returns the warnings of apt, such as the
/// name of a source that cannot be fetched.
///
/// # Errors
/// Reason why the lists were not fetched, in one sentence.
pub async fn refresh_package_lists(
    fleet: &Fleet,
    host: &HostName,
    owner: &str,
    wait: Duration,
) -> Result<Vec<String>, String> {
    let output = run_locked_step(fleet, host, &refresh_lists(), owner, wait).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    let warnings = text
        .lines()
        .filter(|line| line.starts_with("W: ") || line.starts_with("E: "));
    Ok(warnings
        .map(|line| line[3..].to_owned())
        .take(WARNINGS)
        .collect())
}
