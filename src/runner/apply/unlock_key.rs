//! The unlock key of a swarm: read from a manager, and given to a locked one.

use std::time::Duration;

use serde_json::{Value, json};

use super::locked_host::post_locked;
use super::swarm_update::{SwarmUpdateError, call, message};
use crate::model::SecretBytes;
use crate::names::HostName;
use crate::runner::Fleet;

/// Reads the unlock key from a manager.
///
/// # Errors
/// Reason why the manager did not tell it, in one sentence.
pub async fn read_unlock_key(fleet: &Fleet, manager: &HostName) -> Result<SecretBytes, String> {
    match call(fleet, manager, "GET", "/swarm/unlockkey", None).await {
        Ok((200..=299, answer)) => {
            let key = answer.get("UnlockKey").and_then(Value::as_str);
            let key = key.filter(|key| !key.is_empty());
            let key = key.map(|key| SecretBytes::new(key.as_bytes().to_vec()));
            key.ok_or_else(|| format!("{manager}: the swarm has no unlock key"))
        }
        Ok((status, answer)) => Err(format!("{manager}: {}", message(status, &answer))),
        Err(SwarmUpdateError::Refused(why) | SwarmUpdateError::Silent(why)) => {
            Err(format!("{manager}: {why}"))
        }
    }
}

/// Gives a locked manager its key, with the lock of its host. An Engine whose swarm has no majority
/// answers late; that it has taken the key shows in its state.
///
/// # Errors
/// Reason why the Engine refused the key, in one sentence.
pub async fn unlock_manager(
    fleet: &Fleet,
    host: &HostName,
    key: &SecretBytes,
    owner: &str,
    wait: Duration,
) -> Result<(), String> {
    let key = String::from_utf8_lossy(key.expose());
    let body = json!({ "UnlockKey": key.trim() });
    post_locked(fleet, host, "/swarm/unlock", Some(&body), owner, wait).await
}
