//! Starts the swarm of a manager anew after the loss of the majority.

use std::time::Duration;

use serde_json::json;

use super::Permit;
use super::node_update::{NodeUpdateError, call, message};
use crate::names::HostName;
use crate::runner::Fleet;
use crate::transport::HostLock;

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
    let permit = Permit::grant();
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let connection = connected.connection(&permit).clone();
    let lock = HostLock::acquire(connection, &format!("{owner} for {host}"), wait).await;
    let lock = lock.map_err(|error| error.to_string())?;
    let body = json!({
        "ListenAddr": "0.0.0.0:2377",
        "AdvertiseAddr": address,
        "ForceNewCluster": true,
        "Spec": {},
    });
    let started = call(fleet, host, "POST", "/swarm/init", Some(&body)).await;
    // A lock that is not released ends by itself.
    if let Err(error) = lock.release().await {
        tracing::debug!(%host, %error, "the lock was not released");
    }
    match started {
        Ok((200..=299, _)) => Ok(()),
        Ok((status, answer)) => Err(message(status, &answer)),
        Err(NodeUpdateError::Refused(why) | NodeUpdateError::Silent(why)) => Err(why),
    }
}
