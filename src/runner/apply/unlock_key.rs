//! The unlock key of a swarm: read from a manager, and given to a locked one.

use std::time::Duration;

use serde_json::{Value, json};

use super::locked_host::post_locked;
use super::swarm_update::{SwarmUpdateError, call, message};
use crate::model::{SecretBytes, ValueSource};
use crate::names::HostName;
use crate::runner::Fleet;
use crate::transport::read_value;

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

/// Reads the key that the operator keeps, and compares it with that of a manager.
///
/// # Errors
/// A sentence if the kept key cannot be read, or is not that of the swarm.
pub async fn proven_unlock_key(
    fleet: &Fleet,
    manager: &HostName,
    source: &ValueSource,
) -> Result<SecretBytes, String> {
    let kept = read_value(source).await;
    let kept = kept.map_err(|why| format!("{source:?} does not give the unlock key: {why}"))?;
    let own = read_unlock_key(fleet, manager).await?;
    if kept.expose().trim_ascii() != own.expose().trim_ascii() {
        return Err(format!("{source:?} is not the unlock key of the swarm"));
    }
    Ok(own)
}

/// Gives a locked manager its key, while this run already has the lock of its host. An Engine whose
/// swarm has no majority answers late, which is no refusal.
///
/// # Errors
/// Reason why the Engine refused the key, in one sentence.
pub(super) async fn send_unlock_key(
    fleet: &Fleet,
    host: &HostName,
    key: &SecretBytes,
) -> Result<(), String> {
    match call(fleet, host, "POST", "/swarm/unlock", Some(&body(key))).await {
        Ok((200..=299, _)) | Err(SwarmUpdateError::Silent(_)) => Ok(()),
        Ok((status, answer)) => Err(message(status, &answer)),
        Err(SwarmUpdateError::Refused(why)) => Err(why),
    }
}

fn body(key: &SecretBytes) -> Value {
    let key = String::from_utf8_lossy(key.expose());
    json!({ "UnlockKey": key.trim() })
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
    let body = body(key);
    post_locked(fleet, host, "/swarm/unlock", Some(&body), owner, wait).await
}
