//! The locks that a run holds on the hosts that it changes: taken at the first change of each host
//! and released at the end.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::Permit;
use crate::names::HostName;
use crate::runner::{ConnectedHost, Event, EventSender, TaskPanic, fan_out};
use crate::transport::{Exec, HostLock, StepLock, TransportError};

/// Time between two attempts at a lock.
const PAUSE: Duration = Duration::from_secs(1);

/// Locks held by this run.
pub(super) struct HostLocks {
    owner: String,
    wait: Duration,
    stop: CancellationToken,
    held: Mutex<HashMap<HostName, HostLock>>,
}

/// Result of taking a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockAttempt {
    /// This run has the lock.
    Held,
    /// This run has the lock after another run, which may have changed the host meanwhile.
    HeldAfterAnother,
    /// The operator interrupted the run: it has no lock.
    Interrupted,
}

impl HostLocks {
    /// Returns an empty set of locks; `wait` is the time to wait for another run's lock.
    pub(super) fn new(owner: String, wait: Duration, stop: CancellationToken) -> Self {
        Self {
            owner,
            wait,
            stop,
            held: Mutex::default(),
        }
    }

    /// Takes the host's lock unless this run already has it. An interrupt ends the wait.
    ///
    /// # Errors
    /// [`TransportError::Locked`] when another run still has it after the wait.
    pub(super) async fn hold(
        &self,
        permit: &Permit,
        host: &ConnectedHost,
        events: &EventSender,
    ) -> Result<LockAttempt, TransportError> {
        // The map is not locked during the wait: waiting for one host must not block another host.
        if self.held.lock().await.contains_key(host.name()) {
            return Ok(LockAttempt::Held);
        }
        let (begun, mut waited) = (Instant::now(), false);
        let owner = self.owner_for(host.name());
        // Each attempt runs to its end: an attempt that is dropped half-way may leave a lock.
        while !self.stop.is_cancelled() {
            let connection = host.connection(permit).clone();
            let error = match HostLock::acquire(connection, &owner, Duration::ZERO).await {
                Ok(lock) => {
                    self.held.lock().await.insert(host.name().clone(), lock);
                    return Ok(if waited {
                        LockAttempt::HeldAfterAnother
                    } else {
                        LockAttempt::Held
                    });
                }
                Err(error) => error,
            };
            if let Some(error) = self.one_machine(host.name(), &error) {
                return Err(error);
            }
            let other = match error {
                TransportError::Locked { .. } | TransportError::StepRuns { .. }
                    if begun.elapsed() < self.wait =>
                {
                    error
                }
                error => return Err(error),
            };
            if !std::mem::replace(&mut waited, true) {
                events
                    .send(Event::Waiting {
                        host: host.name().clone(),
                        why: other.to_string(),
                    })
                    .await;
            }
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        Ok(LockAttempt::Interrupted)
    }

    /// Returns the kernel lock for the command of a step; `None` if this run does not have the
    /// host's lock.
    pub(super) async fn step_lock(&self, host: &HostName, summary: &str) -> Option<StepLock> {
        let held = self.held.lock().await;
        held.get(host).map(|lock| lock.step_lock(summary))
    }

    /// Returns the command that frees the host's lock behind a last step.
    pub(super) async fn release_command(&self, host: &HostName) -> Option<Exec> {
        let held = self.held.lock().await;
        held.get(host).map(HostLock::release_command)
    }

    /// Forgets the lock of a host, which that command has freed.
    pub(super) async fn released(&self, host: &HostName) {
        self.held.lock().await.remove(host);
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
