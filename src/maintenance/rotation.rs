//! Rotation of what nodes need to join and to trust each other: join tokens, the certificate
//! authority, and the unlock key.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::drain::under_lease;
use super::reading::{SwarmReading, read_swarm};
use super::{DrainOptions, MaintenanceError};
use crate::inventory::Inventory;
use crate::model::{SecretBytes, sha256};
use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet, fan_out, read_unlock_key, update_swarm};
use crate::swarm::Voters;

/// Time between two readings.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for the managers to agree on new tokens.
const AGREEMENT_LIMIT: Duration = Duration::from_secs(30);

/// Join tokens that are rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RotatedTokens {
    /// Those of workers.
    Worker,
    /// Those of managers.
    Manager,
    /// Both.
    Both,
}

/// Result of a rotation.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RotationOutcome {
    /// Managers that have the new value.
    pub managers: Vec<HostName>,
    /// Number of nodes that have a certificate of the new authority; 0 if it was not rotated.
    pub nodes: usize,
    /// Seconds until all of them had it.
    pub seconds: f64,
}

/// Digests of the values of one manager that rotate. The values themselves are secret.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct SwarmKeys {
    worker: String,
    manager: String,
    /// The certificate of the authority, which is public.
    root: String,
    is_rotating: bool,
}

impl SwarmKeys {
    fn read(swarm: &Value) -> Option<Self> {
        let text = |pointer: &str| swarm.pointer(pointer).and_then(Value::as_str);
        let digest = |pointer| text(pointer).map(|token| sha256(token.as_bytes()));
        Some(Self {
            worker: digest("/JoinTokens/Worker")?,
            manager: digest("/JoinTokens/Manager")?,
            root: text("/TLSInfo/TrustRoot")?.to_owned(),
            is_rotating: swarm["RootRotationInProgress"].as_bool().unwrap_or(false),
        })
    }
}

/// Makes new join tokens, and checks that each manager that answers has them. The former tokens are
/// refused from then on.
///
/// # Errors
/// [`MaintenanceError`].
pub async fn rotate_tokens(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    tokens: RotatedTokens,
    options: &DrainOptions,
    stop: &CancellationToken,
) -> Result<RotationOutcome, MaintenanceError> {
    let flags: &[&str] = match tokens {
        RotatedTokens::Worker => &["rotateWorkerToken"],
        RotatedTokens::Manager => &["rotateManagerToken"],
        RotatedTokens::Both => &["rotateWorkerToken", "rotateManagerToken"],
    };
    let begun = Instant::now();
    let reading = read_swarm(fleet, inventory, options.forks).await?;
    rotate(fleet, &reading, options, stop, async |first| {
        let before = read_keys(fleet, first).await?;
        update_swarm(fleet, &reading.managers, flags, |_| {})
            .await
            .map_err(rotation)?;
        let is_new = |keys: &SwarmKeys| {
            let worker = tokens == RotatedTokens::Manager || keys.worker != before.worker;
            let manager = tokens == RotatedTokens::Worker || keys.manager != before.manager;
            worker && manager
        };
        let managers = wait_for_managers(fleet, &reading, options.forks, is_new).await?;
        Ok(RotationOutcome {
            managers,
            nodes: 0,
            seconds: begun.elapsed().as_secs_f64(),
        })
    })
    .await
}

/// Replaces the certificate authority, and waits until each node has a certificate of the new one.
/// `note` gets one line of progress.
///
/// # Errors
/// [`MaintenanceError::Rotation`] if a node does not answer: the rotation would wait for it.
pub async fn rotate_authority(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    options: &DrainOptions,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<RotationOutcome, MaintenanceError> {
    let begun = Instant::now();
    let reading = read_swarm(fleet, inventory, options.forks).await?;
    let away = reading.nodes.iter().find(|node| node.state != "ready");
    if let Some(node) = away {
        return Err(rotation(format!(
            "the node {} is {}, and the rotation would wait for it: bring it back, or remove it with `skep node remove`; nothing was changed",
            node.hostname, node.state
        )));
    }
    rotate(fleet, &reading, options, stop, async |first| {
        let before = read_keys(fleet, first).await?;
        // A rotation that somebody has begun is waited for.
        if !before.is_rotating {
            let force = |spec: &mut Value| {
                let count = spec
                    .pointer("/CAConfig/ForceRotate")
                    .and_then(Value::as_u64);
                spec["CAConfig"]["ForceRotate"] = (count.unwrap_or(0) + 1).into();
                // A given certificate would be used again.
                if let Some(config) = spec["CAConfig"].as_object_mut() {
                    config.remove("SigningCACert");
                    config.remove("SigningCAKey");
                }
            };
            update_swarm(fleet, &reading.managers, &[], force)
                .await
                .map_err(rotation)?;
        }
        let nodes = wait_for_certificates(fleet, &reading, &before, options.limit, stop, note);
        Ok(RotationOutcome {
            nodes: nodes.await?,
            managers: reading.managers.clone(),
            seconds: begun.elapsed().as_secs_f64(),
        })
    })
    .await
}

/// Makes a new unlock key, and returns it. All managers must be reachable: one that is away would
/// need the former key.
///
/// # Errors
/// [`MaintenanceError::Rotation`] if the swarm is not autolocked or a manager is away.
pub async fn rotate_unlock_key(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    options: &DrainOptions,
    stop: &CancellationToken,
) -> Result<SecretBytes, MaintenanceError> {
    let reading = read_swarm(fleet, inventory, options.forks).await?;
    if !reading.is_autolocked() {
        let why = "the swarm is not autolocked, so it has no unlock key; `docker swarm update --autolock=true` on a manager makes \
            one; nothing was changed";
        return Err(rotation(why.to_owned()));
    }
    let voters = Voters::count(&reading.nodes);
    if voters.reachable < voters.total {
        return Err(rotation(format!(
            "{} of {} managers are reachable, and a manager that is away would need the former key: bring it back first; nothing was changed",
            voters.reachable, voters.total
        )));
    }
    rotate(fleet, &reading, options, stop, async |first| {
        let before = read_unlock_key(fleet, first).await.map_err(rotation)?;
        update_swarm(
            fleet,
            &reading.managers,
            &["rotateManagerUnlockKey"],
            |_| {},
        )
        .await
        .map_err(rotation)?;
        let key = read_unlock_key(fleet, first).await.map_err(rotation)?;
        if key == before {
            return Err(rotation("the managers still have the former key".into()));
        }
        Ok(key)
    })
    .await
}

/// Does the work of a rotation with the first manager, under the lease of its swarm.
async fn rotate<T>(
    fleet: &Arc<Fleet>,
    reading: &SwarmReading,
    options: &DrainOptions,
    stop: &CancellationToken,
    work: impl AsyncFnOnce(&HostName) -> Result<T, MaintenanceError>,
) -> Result<T, MaintenanceError> {
    let first = reading.managers.first();
    let first =
        first.ok_or_else(|| MaintenanceError::NoManager("the inventory has none".into()))?;
    under_lease(fleet, first, options, stop, work(first)).await
}

fn rotation(why: String) -> MaintenanceError {
    MaintenanceError::Rotation(why)
}

async fn read_keys(fleet: &Fleet, manager: &HostName) -> Result<SwarmKeys, MaintenanceError> {
    let answer = fleet.get(manager, "/swarm").await;
    let swarm = answer
        .json()
        .map_err(|error| rotation(format!("{manager}: {error}")))?;
    SwarmKeys::read(swarm).ok_or_else(|| {
        rotation(format!(
            "{manager}: it does not tell the state of the swarm"
        ))
    })
}

/// Waits until each manager that answers has new values.
async fn wait_for_managers(
    fleet: &Arc<Fleet>,
    reading: &SwarmReading,
    forks: usize,
    is_new: impl Fn(&SwarmKeys) -> bool,
) -> Result<Vec<HostName>, MaintenanceError> {
    let begun = Instant::now();
    loop {
        let read = fan_out(reading.managers.clone(), forks, |manager| {
            let fleet = fleet.clone();
            async move { read_keys(&fleet, &manager).await }
        })
        .await;
        let read = reading.managers.iter().zip(read);
        let (mut new, mut old) = (Vec::new(), None);
        for (manager, keys) in read {
            match keys {
                Ok(Ok(keys)) if is_new(&keys) => new.push(manager.clone()),
                Ok(Ok(_)) => old = Some(format!("{manager} has the former value")),
                Ok(Err(_)) | Err(_) => {}
            }
        }
        match old {
            None if !new.is_empty() => return Ok(new),
            Some(why) if begun.elapsed() >= AGREEMENT_LIMIT => return Err(rotation(why)),
            None if begun.elapsed() >= AGREEMENT_LIMIT => {
                return Err(rotation("no manager answers after the rotation".into()));
            }
            _ => sleep(PAUSE).await,
        }
    }
}

/// Waits until the swarm has another authority, and each node trusts it.
async fn wait_for_certificates(
    fleet: &Arc<Fleet>,
    reading: &SwarmReading,
    before: &SwarmKeys,
    limit: Duration,
    stop: &CancellationToken,
    note: &(dyn Fn(&str) + Sync),
) -> Result<usize, MaintenanceError> {
    let (begun, mut told) = (Instant::now(), 0);
    loop {
        let (mut new, mut all) = (0, 0);
        for manager in &reading.managers {
            let Ok(keys) = read_keys(fleet, manager).await else {
                continue;
            };
            let nodes = fleet.get(manager, "/nodes").await;
            let Some(nodes) = nodes.json().ok().and_then(Value::as_array) else {
                continue;
            };
            all = nodes.len();
            let is_rotated = !keys.is_rotating && keys.root != before.root;
            new = count_new(nodes, &before.root);
            if is_rotated && new == all {
                return Ok(all);
            }
            break;
        }
        if new > told {
            told = new;
            note(&format!(
                "{new} of {all} nodes have a certificate of the new authority"
            ));
        }
        if begun.elapsed() >= limit {
            return Err(rotation(format!(
                "{new} of {all} nodes have a certificate of the new authority after {}; the rotation goes on, and the same command \
                 waits for it",
                humantime::format_duration(limit)
            )));
        }
        tokio::select! {
            () = stop.cancelled() => {
                return Err(MaintenanceError::Interrupted(
                    "the rotation goes on by itself; the same command waits for it".into(),
                ));
            }
            () = sleep(PAUSE) => {}
        }
    }
}

/// Counts the nodes that trust another authority than the former one only.
fn count_new(nodes: &[Value], former: &str) -> usize {
    let root = |node: &Value| {
        let root = node.pointer("/Description/TLSInfo/TrustRoot");
        root.and_then(Value::as_str).map(str::to_owned)
    };
    let roots = nodes.iter().filter_map(root);
    roots.filter(|root| !root.contains(former.trim())).count()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_kept_as_digests() {
        let swarm = json!({
            "JoinTokens": {"Worker": "SWMTKN-1-w", "Manager": "SWMTKN-1-m"},
            "TLSInfo": {"TrustRoot": "root"}, "RootRotationInProgress": true,
        });
        let keys = SwarmKeys::read(&swarm).unwrap();
        assert!(!format!("{keys:?}").contains("SWMTKN"));
        assert!(keys.is_rotating);
        assert_ne!(keys.worker, keys.manager);
        assert_eq!(SwarmKeys::read(&json!({"message": "no leader"})), None);
    }

    #[test]
    fn a_node_is_rotated_when_it_no_longer_trusts_the_former_authority() {
        let node = |root: &str| json!({"Description": {"TLSInfo": {"TrustRoot": root}}});
        // During a rotation, nodes trust both.
        let nodes = [
            node("new\n"),
            node("former\nnew\n"),
            node("former\n"),
            json!({}),
        ];
        assert_eq!(count_new(&nodes, "former\n"), 1);
    }
}
