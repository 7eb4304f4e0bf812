//! Acts on one host outside of a playbook, with the lock of the host.

use std::time::Duration;

use serde_json::Value;

use super::Permit;
use super::perform::{exec_of, step_result};
use super::swarm_update::{SwarmUpdateError, call, message};
use crate::model::Step;
use crate::names::HostName;
use crate::runner::{ConnectedHost, Fleet};
use crate::transport::{ExecOutput, HostLock};

/// Runs one step while this run holds the lock of the host. Returns the output of the step.
///
/// # Errors
/// Reason why the step did not run or failed, in one sentence.
pub(super) async fn run_locked_step(
    fleet: &Fleet,
    host: &HostName,
    step: &Step,
    owner: &str,
    wait: Duration,
) -> Result<ExecOutput, String> {
    with_host_lock(fleet, host, owner, wait, async |connected, permit, lock| {
        let exec = exec_of(step, Some(lock.step_lock(&step.summary)));
        let exec = exec.ok_or("the step is no command")?;
        let result = connected.run_step(permit, exec).await;
        let output = result.as_ref().ok().cloned();
        step_result(step, result).map_err(|error| error.to_string())?;
        output.ok_or_else(|| "the step has no output".into())
    })
    .await
}

/// Sends one request that changes the swarm of a host, while this run holds the lock of the host.
///
/// # Errors
/// Reason why the Engine did not do it, in one sentence.
pub(super) async fn post_locked(
    fleet: &Fleet,
    host: &HostName,
    path: &str,
    body: Option<&Value>,
    owner: &str,
    wait: Duration,
) -> Result<(), String> {
    with_host_lock(fleet, host, owner, wait, async |_, _, _| {
        match call(fleet, host, "POST", path, body).await {
            Ok((200..=299, _)) => Ok(()),
            Ok((status, answer)) => Err(message(status, &answer)),
            Err(SwarmUpdateError::Refused(why) | SwarmUpdateError::Silent(why)) => Err(why),
        }
    })
    .await
}

async fn with_host_lock<T>(
    fleet: &Fleet,
    host: &HostName,
    owner: &str,
    wait: Duration,
    act: impl AsyncFnOnce(&ConnectedHost, &Permit, &HostLock) -> Result<T, String>,
) -> Result<T, String> {
    let permit = Permit::grant();
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let connection = connected.connection(&permit).clone();
    let lock = HostLock::acquire(connection, &format!("{owner} for {host}"), wait).await;
    let lock = lock.map_err(|error| error.to_string())?;
    let outcome = act(&connected, &permit, &lock).await;
    // A lock that is not released ends by itself.
    if let Err(error) = lock.release().await {
        tracing::debug!(%host, %error, "the lock was not released");
    }
    outcome
}
