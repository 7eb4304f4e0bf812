//! The wait for the leader of a swarm that was started anew.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::MaintenanceError;
use super::reading::read_first;
use crate::names::HostName;
use crate::runner::Fleet;
use crate::swarm::Voters;

/// Time between two readings.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for the swarm to have a leader.
const LIMIT: Duration = Duration::from_secs(120);

/// Waits until the swarm of a manager accepts changes.
///
/// # Errors
/// [`MaintenanceError`] after the time limit, and after an interrupt of the operator.
pub(super) async fn wait_for_leader(
    fleet: &Arc<Fleet>,
    host: &HostName,
    stop: &CancellationToken,
) -> Result<(), MaintenanceError> {
    let begun = Instant::now();
    loop {
        let why = match read_first(fleet, std::slice::from_ref(host)).await {
            Ok((nodes, _)) if Voters::count(&nodes).has_majority() => return Ok(()),
            Ok(_) => "it has no majority".to_owned(),
            Err(reasons) => reasons.join("; "),
        };
        if begun.elapsed() >= LIMIT {
            return Err(MaintenanceError::Update {
                host: host.clone(),
                why: format!(
                    "the swarm was started anew there, and has no leader after {}: {why}",
                    humantime::format_duration(LIMIT)
                ),
            });
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(MaintenanceError::Interrupted(format!(
                    "the swarm was started anew on {host}; `skep status` shows it"
                )));
            }
            () = sleep(PAUSE) => {}
        }
    }
}
