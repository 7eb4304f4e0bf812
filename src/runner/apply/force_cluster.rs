//! Starts the swarm of a manager anew after the loss of the majority.

use std::time::Duration;

use serde_json::json;

use super::locked_host::post_locked;
use crate::names::HostName;
use crate::runner::Fleet;

/// Makes the host the only manager of its swarm, with all that it knows of it
/// (`docker swarm init --force-new-cluster`), with the lock of the host. `address` is the address
/// that its node advertises.
///
/// # Errors
/// Reason why the swarm was not started, in one sentence.
pub async fn force_new_cluster(
    fleet: &Fleet,
    host: &HostName,
    address: &str,
    owner: &str,
    wait: Duration,
) -> Result<(), String> {
    let body = json!({
        "ListenAddr": "0.0.0.0:2377",
        "AdvertiseAddr": address,
        "ForceNewCluster": true,
        "Spec": {},
    });
    post_locked(fleet, host, "/swarm/init", Some(&body), owner, wait).await
}
