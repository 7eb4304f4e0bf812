//! Unlock of managers: an autolocked manager waits for its key after each restart of its Engine.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{DrainOptions, MaintenanceError};
use crate::model::SecretBytes;
use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet, fan_out, unlock_manager};
use crate::safety::read_infos;
use crate::swarm::DockerStatus;

/// Time between two readings.
const PAUSE: Duration = Duration::from_secs(1);

/// Result of an unlock.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UnlockOutcome {
    /// Managers that work again.
    pub unlocked: Vec<HostName>,
    /// Seconds until all of them did.
    pub seconds: f64,
}

/// Finds the locked managers among the hosts.
///
/// # Errors
/// [`MaintenanceError::Unreadable`] for a host that cannot be read.
pub async fn plan_unlock(
    fleet: &Arc<Fleet>,
    hosts: &[HostName],
    forks: usize,
) -> Result<Vec<HostName>, MaintenanceError> {
    let mut locked = Vec::new();
    for (host, status) in read_infos(fleet, hosts, forks).await {
        if status.info().is_some_and(|info| info.state == "locked") {
            locked.push(host);
        } else if let Some(why) = status.unknown() {
            let why = why.to_owned();
            return Err(MaintenanceError::Unreadable { host, why });
        }
    }
    Ok(locked)
}

/// Unlocks managers, all at once: without a majority, a manager that is unlocked waits for the
/// others.
///
/// # Errors
/// [`MaintenanceError::Update`] for a manager that refuses the key or does not work in time.
pub async fn unlock_managers(
    fleet: &Arc<Fleet>,
    locked: &[HostName],
    key: &SecretBytes,
    options: &DrainOptions,
    stop: &CancellationToken,
) -> Result<UnlockOutcome, MaintenanceError> {
    let begun = Instant::now();
    let sent = fan_out(locked.to_vec(), locked.len().max(1), |host| {
        let (fleet, key) = (fleet.clone(), key.clone());
        let (owner, wait) = (options.owner.owner.clone(), options.lease_wait);
        async move { unlock_manager(&fleet, &host, &key, &owner, wait).await }
    })
    .await;
    let failed = |host: &HostName, why: String| MaintenanceError::Update {
        host: host.clone(),
        why,
    };
    for (host, result) in locked.iter().zip(sent) {
        let result = result.unwrap_or_else(|panic| Err(panic.why(host)));
        result.map_err(|why| failed(host, why))?;
    }
    let mut waiting = locked.to_vec();
    loop {
        let mut why = String::new();
        let mut left = Vec::new();
        for host in waiting {
            let status = DockerStatus::read(&fleet.get(&host, "/info").await);
            match &status {
                DockerStatus::Answered(info) if info.control_available => continue,
                DockerStatus::Answered(info) => {
                    why = format!("its node is {} {}", info.state, info.error);
                }
                other => other
                    .unknown()
                    .unwrap_or("it has no Engine")
                    .clone_into(&mut why),
            }
            left.push(host);
        }
        waiting = left;
        let Some(host) = waiting.first() else {
            return Ok(UnlockOutcome {
                unlocked: locked.to_vec(),
                seconds: begun.elapsed().as_secs_f64(),
            });
        };
        if begun.elapsed() >= options.limit {
            let why = format!(
                "it has the key, and does not manage the swarm after {}: {why}; a majority of the managers must be unlocked",
                humantime::format_duration(options.limit)
            );
            return Err(failed(host, why));
        }
        tokio::select! {
            () = stop.cancelled() => {
                let why = format!("{host} has the key, and does not manage the swarm yet");
                return Err(MaintenanceError::Interrupted(why));
            }
            () = sleep(PAUSE) => {}
        }
    }
}
