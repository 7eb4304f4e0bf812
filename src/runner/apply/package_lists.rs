//! Fetches the package lists of a host outside of a playbook: an upgrade resolves the versions for
//! all hosts before it changes the first one.

use std::time::Duration;

use super::Permit;
use super::perform::{exec_of, step_result};
use crate::kinds::refresh_lists;
use crate::names::HostName;
use crate::runner::Fleet;
use crate::transport::HostLock;

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
    let permit = Permit::grant();
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let connection = connected.connection(&permit).clone();
    let lock = HostLock::acquire(connection, &format!("{owner} for {host}"), wait).await;
    let lock = lock.map_err(|error| error.to_string())?;
    let step = refresh_lists();
    let outcome = match exec_of(&step, Some(lock.step_lock(&step.summary))) {
        Some(exec) => connected.run_step(&permit, exec).await,
        None => return Err("the step is no command".into()),
    };
    // A lock that is not released ends by itself.
    if let Err(error) = lock.release().await {
        tracing::debug!(%host, %error, "the lock was not released");
    }
    let stdout = outcome.as_ref().map(|output| output.stdout.clone());
    let stdout = stdout.unwrap_or_default();
    step_result(&step, outcome).map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&stdout).into_owned();
    let warnings = text
        .lines()
        .filter(|line| line.starts_with("W: ") || line.starts_with("E: "));
    Ok(warnings
        .map(|line| line[3..].to_owned())
        .take(WARNINGS)
        .collect())
}
