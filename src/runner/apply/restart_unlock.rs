//! The unlock of a manager of an autolocked swarm after a restart of its Engine, with the key that
//! the operator keeps.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::Applier;
use super::change::HostStop;
use super::unlock_key::{proven_unlock_key, send_unlock_key};
use crate::model::{Change, Disruption, SecretBytes};
use crate::names::HostName;
use crate::runner::DockerReader as _;

/// Time for a restarted Engine to tell that it is locked.
const LIMIT: Duration = Duration::from_secs(60);
/// Time between two readings.
const PAUSE: Duration = Duration::from_millis(500);

impl Applier {
    /// Returns the unlock key of a manager whose Engine is about to restart, once it is proven that
    /// the kept key is the right one. `None` if no key is kept, or the host does not lock.
    pub(super) async fn key_before_restart(
        &self,
        name: &HostName,
        change: &Change,
    ) -> Result<Option<SecretBytes>, HostStop> {
        let Some(source) = &self.unlock_key else {
            return Ok(None);
        };
        if change.disturbs != Disruption::EngineRestart {
            return Ok(None);
        }
        let info = self.fleet.get(name, "/info").await;
        let says = |field: &str| {
            let swarm = info.ok().and_then(|info| info.get("Swarm"));
            swarm.and_then(|swarm| swarm.pointer(field)?.as_bool()) == Some(true)
        };
        if !says("/ControlAvailable") || !says("/Cluster/Spec/EncryptionConfig/AutoLockManagers") {
            return Ok(None);
        }
        let key = proven_unlock_key(&self.fleet, name, source).await;
        key.map(Some).map_err(|why| HostStop::Failed {
            why,
            hint: "the Engine was not restarted, because its manager would stay locked; `skep swarm rotate unlock-key` makes a new key"
                .into(),
        })
    }

    /// Gives the key to a manager once its restarted Engine tells that it is locked. An interrupt
    /// does not end this: the manager would stay locked.
    pub(super) async fn unlock_after_restart(
        &self,
        name: &HostName,
        key: &SecretBytes,
    ) -> Result<(), HostStop> {
        let begun = Instant::now();
        while begun.elapsed() < LIMIT {
            let info = self.fleet.get(name, "/info").await;
            let state = info
                .ok()
                .and_then(|info| info.pointer("/Swarm/LocalNodeState")?.as_str());
            match state {
                Some("active") => return Ok(()),
                Some("locked") => {
                    let sent = send_unlock_key(&self.fleet, name, key).await;
                    sent.map_err(|why| HostStop::Failed {
                        why: format!("its manager is locked, and refused the kept key: {why}"),
                        hint: "run `skep swarm unlock`".into(),
                    })?;
                    self.note(name, "its manager was locked, and is unlocked".into())
                        .await;
                    return Ok(());
                }
                _ => sleep(PAUSE).await,
            }
        }
        // The wait for the return of the host tells the reason.
        Ok(())
    }
}
