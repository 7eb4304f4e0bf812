//! Requests of a lease to the managers of its swarm.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::time::{sleep, timeout};

use super::Permit;
use super::lease_record::{LeaseRecord, NAME};
use super::swarm_lease::{LeaseError, LeaseOwner};
use crate::docker::RequestBody;
use crate::names::HostName;
use crate::runner::Fleet;
use crate::transport::TransportError;

/// Time limit for one request to one manager: another manager is tried after it.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// Time between two attempts at a release.
const PAUSE: Duration = Duration::from_secs(1);
/// Attempts at a release: a manager that was away may elect a leader first.
const RELEASE_ATTEMPTS: u32 = 5;

/// Access to the managers of the swarm, for the lease alone.
pub(super) struct LeaseManager {
    pub fleet: Arc<Fleet>,
    pub permit: Arc<Permit>,
    pub managers: Vec<HostName>,
    /// Index of the manager that answered last.
    pub preferred: AtomicUsize,
}

/// Result of one attempt at the lease.
pub(super) enum LeaseAttempt {
    /// The lease was created.
    Created,
    /// This run has it already.
    Ours,
    /// Another run holds it.
    Other(LeaseRecord),
}

impl LeaseManager {
    /// Creates the lease, or reads it if it exists.
    pub(super) async fn attempt(
        &self,
        owner: &LeaseOwner,
        spec: &Value,
    ) -> Result<LeaseAttempt, LeaseError> {
        loop {
            if self.create(spec).await? {
                return Ok(LeaseAttempt::Created);
            }
            match self.read().await? {
                Some(record) if record.token == owner.token => return Ok(LeaseAttempt::Ours),
                Some(record) => return Ok(LeaseAttempt::Other(record)),
                // It ended between the two requests.
                None => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Creates the lease; returns false if it exists.
    async fn create(&self, spec: &Value) -> Result<bool, LeaseError> {
        let (status, body) = self.call("POST", "/configs/create", Some(spec)).await?;
        match status {
            409 => Ok(false),
            200..=299 => Ok(true),
            _ => Err(refused(status, &body)),
        }
    }

    /// Reads the lease; `None` if there is none.
    pub(super) async fn read(&self) -> Result<Option<LeaseRecord>, LeaseError> {
        let (status, body) = self.call("GET", &format!("/configs/{NAME}"), None).await?;
        match status {
            404 => Ok(None),
            200..=299 => Ok(LeaseRecord::read(&body)),
            _ => Err(refused(status, &body)),
        }
    }

    /// Changes the labels of the lease if it still has this version; returns false if it does not.
    pub(super) async fn update(
        &self,
        record: &LeaseRecord,
        spec: &Value,
    ) -> Result<bool, LeaseError> {
        let LeaseRecord { id, version, .. } = record;
        let path = format!("/configs/{id}/update?version={version}");
        // An update may not change the content.
        let mut spec = spec.clone();
        spec["Data"] = record.data.clone();
        let (status, body) = self.call("POST", &path, Some(&spec)).await?;
        match status {
            200..=299 => Ok(true),
            404 => Ok(false),
            _ if is_conflict(&body) => Ok(false),
            _ => Err(refused(status, &body)),
        }
    }

    /// Asks the managers one after the other, until one of them answers for the swarm.
    async fn call(
        &self,
        method: &str,
        path: &str,
        spec: Option<&Value>,
    ) -> Result<(u16, Value), LeaseError> {
        let body = spec.map(RequestBody::json).unwrap_or_default();
        let mut reasons = Vec::new();
        let preferred = self.preferred.load(Ordering::Relaxed);
        let managers = self.managers.iter().enumerate();
        for (index, manager) in managers.cycle().skip(preferred).take(self.managers.len()) {
            let call = async {
                let host = self.fleet.host(manager).await?;
                host.request(&self.permit, method, path, &body, CALL_LIMIT)
                    .await
            };
            let why = match timeout(CALL_LIMIT, call).await {
                Ok(Ok((status, answer))) if status < 500 || is_conflict(&answer) => {
                    self.preferred.store(index, Ordering::Relaxed);
                    return Ok((status, answer));
                }
                Ok(Ok((status, answer))) => message(status, &answer),
                Ok(Err(error)) => error.to_string(),
                Err(_) => TransportError::Timeout(CALL_LIMIT).to_string(),
            };
            reasons.push(format!("{manager}: {why}"));
        }
        Err(LeaseError::NoMajority(reasons.join("; ")))
    }

    /// Removes the lease of this run.
    pub(super) async fn remove(&self, token: &str) {
        for _ in 0..RELEASE_ATTEMPTS {
            match self.read().await {
                Ok(Some(record)) if record.token == token => {
                    let path = format!("/configs/{}", record.id);
                    if self.call("DELETE", &path, None).await.is_ok() {
                        return;
                    }
                }
                Ok(_) => return,
                Err(error) => tracing::debug!(%error, "the lease was not released"),
            }
            sleep(PAUSE).await;
        }
    }
}

fn is_conflict(answer: &Value) -> bool {
    message(0, answer).contains("out of sequence")
}

fn message(status: u16, answer: &Value) -> String {
    let said = answer.get("message").and_then(Value::as_str);
    said.map_or_else(|| format!("status {status}"), |said| said.trim().to_owned())
}

fn refused(status: u16, answer: &Value) -> LeaseError {
    LeaseError::NoMajority(message(status, answer))
}
