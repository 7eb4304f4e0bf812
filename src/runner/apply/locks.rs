//! The locks that a run holds on the hosts that it changes: taken at the first change of each host
//! and released at the end.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::Mutex;

use super::Permit;
use crate::names::HostName;
use crate::runner::{ConnectedHost, Event, EventSender, TaskPanic, fan_out};
use crate::transport::{HostLock, TransportError};

/// Locks held by this run.
pub(super) struct HostLocks {
    owner: String,
    wait: Duration,
    held: Mutex<HashMap<HostName, HostLock>>,
}

impl HostLocks {
    /// Returns an empty set of locks; `wait` is the time to wait for another run's lock.
    pub(super) fn new(owner: String, wait: Duration) -> Self {
        Self {
            owner,
            wait,
            held: Mutex::default(),
        }
    }

    /// Takes the host's lock unless this run already has it.
    ///
    /// # Errors
    /// [`TransportError::Locked`] when another run still has it after the wait.
    pub(super) async fn hold(
        &self,
        permit: &Permit,
        host: &ConnectedHost,
        events: &EventSender,
    ) -> Result<(), TransportError> {
        // The map is not locked during the wait: waiting for one host must not block another host.
        if self.held.lock().await.contains_key(host.name()) {
            return Ok(());
        }
        let owner = self.owner_for(host.name());
        let acquire = |wait| HostLock::acquire(host.connection(permit).clone(), &owner, wait);
        let lock = match acquire(Duration::ZERO).await {
            Err(locked) if self.one_machine(host.name(), &locked).is_some() => {
                return Err(self.one_machine(host.name(), &locked).unwrap_or(locked));
            }
            Err(locked @ TransportError::Locked { .. }) if !self.wait.is_zero() => {
                events
                    .send(Event::Waiting {
                        host: host.name().clone(),
                        why: locked.to_string(),
                    })
                    .await;
                acquire(self.wait).await?
            }
            other => other?,
        };
        self.held.lock().await.insert(host.name().clone(), lock);
        Ok(())
    }

    /// Returns the owner as the lock of a host shows it: `user@machine for docker01`.
    fn owner_for(&self, host: &HostName) -> String {
        format!("{} for {host}", self.owner)
    }

    /// Returns the error for a lock that this very run holds under another name: the inventory
    /// lists one machine twice.
    fn one_machine(&self, host: &HostName, error: &TransportError) -> Option<TransportError> {
        let TransportError::Locked { owner, process, .. } = error else {
            return None;
        };
        let other = HostName::new(owner.strip_prefix(&self.owner_for(&HostName::new("")))?);
        (*process == std::process::id().to_string() && other != *host).then(|| {
            TransportError::OneMachine {
                host: host.clone(),
                other,
            }
        })
    }

    /// Checks that this run still holds the lock: after a long silence (a laptop that slept)
    /// another run may have taken it over.
    ///
    /// # Errors
    /// [`TransportError::Lock`] when it does not.
    pub(super) async fn check(&self, host: &ConnectedHost) -> Result<(), TransportError> {
        match self.held.lock().await.get(host.name()) {
            Some(lock) if !lock.is_held() => Err(TransportError::Lock(
                "this run was silent for too long and lost its lock; run again".into(),
            )),
            _ => Ok(()),
        }
    }

    /// Releases all locks. The lock of an unreachable host expires by itself. Returns the hosts on
    /// which skep itself failed meanwhile; their locks expire as well.
    pub(super) async fn release(&self) -> Vec<(HostName, TaskPanic)> {
        let (hosts, locks): (Vec<HostName>, Vec<HostLock>) = self.held.lock().await.drain().unzip();
        let released = fan_out(locks, hosts.len(), HostLock::release).await;
        hosts
            .into_iter()
            .zip(released)
            .filter_map(|(name, result)| Some((name, result.err()?)))
            .collect()
    }
}
