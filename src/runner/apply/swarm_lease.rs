//! The lease of a swarm: a run that disrupts a node holds it from before the disruption until the
//! node is back, so that runs on other machines wait. The lease is a config of the swarm: its
//! creation by name is atomic, and so is an update of a known version. A lease that nobody renews
//! ends by the clock of the run that waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::Permit;
use super::lease_manager::{LeaseAttempt, LeaseManager};
use super::lease_record::{LeaseRecord, LeaseWatch};
use super::lease_swarm::{LeaseSwarm, find_swarm};
use crate::names::HostName;
use crate::runner::Fleet;
use crate::runner::event::Event;
use crate::runner::other_runs::read_other_run;

/// Time between two renewals.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Time between two attempts.
const PAUSE: Duration = Duration::from_secs(1);
/// Time for an election of the managers.
const ELECTION: Duration = Duration::from_secs(20);
/// Attempts at a renewal whose version has changed.
const RENEWAL_ATTEMPTS: u32 = 3;
/// Attempts at a confirmation.
const CONFIRM_ATTEMPTS: u32 = 5;

/// A run, as the lease names it.
#[derive(Clone)]
pub struct LeaseOwner {
    /// Owner of the run, as `user@machine`.
    pub owner: String,
    /// Random token of the run. Parts of one run share it, and thus the lease.
    pub token: String,
    /// True if another part of the run may hold the lease, and ends it.
    is_part: bool,
}

impl LeaseOwner {
    /// Returns an owner with a new token.
    #[must_use]
    pub fn new(owner: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            token: format!("{:032x}", rand::random::<u128>()),
            is_part: false,
        }
    }

    /// Returns the same run for one of its parts: a lease that the run holds is respected, and not
    /// ended.
    #[must_use]
    pub fn part(&self) -> Self {
        Self {
            is_part: true,
            ..self.clone()
        }
    }
}

/// Reason why a lease was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// Another run holds it.
    #[error("{0}")]
    Held(String),
    /// The managers cannot decide.
    #[error("the swarm cannot record that this run disrupts a node: {0}")]
    NoMajority(String),
    /// The operator interrupted the run.
    #[error("the run was interrupted")]
    Interrupted,
}

impl LeaseError {
    /// Returns the note of a forced run that goes on without the lease.
    #[must_use]
    pub fn forced_note(&self) -> String {
        format!("forced although {self}; a run elsewhere may disrupt another node at the same time")
    }
}

/// Result of an attempt to take the lease.
pub enum LeaseOutcome {
    /// The host is in no swarm, or its Engine does not run: there is nothing to protect.
    NoSwarm,
    /// No manager of the host's swarm is a host of the inventory.
    NoManager,
    /// This run holds the lease; `None` if another part of this run holds it.
    Taken(Option<SwarmLease>),
}

/// The lease that this run holds. Dropping the value stops the renewals, after which the lease
/// ends; [`SwarmLease::release`] ends it at once.
pub struct SwarmLease {
    shared: Arc<HeldLease>,
    _heartbeat: AbortOnDropHandle<()>,
}

struct HeldLease {
    manager: LeaseManager,
    token: String,
    lost: AtomicBool,
    /// Content of the lease; one renewal at a time changes it.
    spec: Mutex<Value>,
}

/// Takes the lease of the swarm of `host` for a part of an apply, or for an operation that destroys
/// or stops machines. Waits up to `wait` for a run that lives; a run that died is noticed within 70
/// seconds in any case.
///
/// # Errors
/// [`LeaseError`] when another run holds the lease, or the managers cannot decide.
pub async fn take_swarm_lease(
    fleet: &Arc<Fleet>,
    host: &HostName,
    owner: &LeaseOwner,
    wait: Duration,
    stop: &CancellationToken,
) -> Result<LeaseOutcome, LeaseError> {
    take_lease(&Arc::new(Permit::grant()), fleet, host, owner, wait, stop).await
}

/// Like [`take_swarm_lease`], with the permit of the run.
pub(super) async fn take_lease(
    permit: &Arc<Permit>,
    fleet: &Arc<Fleet>,
    host: &HostName,
    owner: &LeaseOwner,
    wait: Duration,
    stop: &CancellationToken,
) -> Result<LeaseOutcome, LeaseError> {
    let swarm = match find_swarm(fleet, host).await {
        LeaseSwarm::Outside => return Ok(LeaseOutcome::NoSwarm),
        LeaseSwarm::Unmanaged => return Ok(LeaseOutcome::NoManager),
        LeaseSwarm::Managed(swarm) => swarm,
    };
    let manager = LeaseManager {
        fleet: fleet.clone(),
        permit: permit.clone(),
        managers: swarm.managers,
        preferred: AtomicUsize::new(0),
    };
    let spec = LeaseRecord::spec(owner, host, &swarm.node_id);
    let (begun, mut watch, mut told) = (Instant::now(), LeaseWatch::default(), false);
    loop {
        let (patience, refusal) = match manager.attempt(owner, &spec).await {
            Ok(LeaseAttempt::Ours) if owner.is_part => return Ok(LeaseOutcome::Taken(None)),
            // A lease of this run that is there already was left by a release that failed.
            Ok(LeaseAttempt::Created | LeaseAttempt::Ours) => {
                let lease = SwarmLease::hold(manager, owner, spec);
                return Ok(LeaseOutcome::Taken(Some(lease)));
            }
            Ok(LeaseAttempt::Other(other)) => {
                if watch.has_ended(&other, Instant::now()) {
                    // This run has the lock of the host itself: no other run works there.
                    let node = swarm.hosts.get(&other.node).filter(|name| *name != host);
                    if works_on(fleet, node).await {
                        // The run is gone, and its step may still restart the Engine.
                        watch.restart();
                    } else if manager.update(&other, &spec).await? {
                        let lease = SwarmLease::hold(manager, owner, spec);
                        return Ok(LeaseOutcome::Taken(Some(lease)));
                    }
                }
                (watch.patience(wait), LeaseError::Held(other.to_string()))
            }
            // The disruption of another run may be the reason, and end soon.
            Err(error) => (wait.max(ELECTION), error),
        };
        if begun.elapsed() >= patience {
            return Err(refusal);
        }
        if !std::mem::replace(&mut told, true) {
            let event = Event::Waiting {
                host: host.clone(),
                why: refusal.to_string(),
            };
            fleet.events().send(event).await;
        }
        tokio::select! {
            () = stop.cancelled() => return Err(LeaseError::Interrupted),
            () = sleep(PAUSE) => {}
        }
    }
}

/// Returns true if a step of a run that is gone, or the run itself, still works on the host.
async fn works_on(fleet: &Fleet, host: Option<&HostName>) -> bool {
    let Some(host) = host else { return false };
    match fleet.host(host).await {
        Ok(host) => read_other_run(fleet, &host)
            .await
            .is_ok_and(|other| other.is_some()),
        Err(_) => false,
    }
}

async fn beat(lease: Arc<HeldLease>) {
    loop {
        sleep(HEARTBEAT).await;
        // A manager that restarts may be the only one: the next renewal tries again.
        if let Err(error) = lease.renew().await {
            tracing::debug!(%error, "the lease was not renewed");
        }
        if lease.lost.load(Ordering::Relaxed) {
            return;
        }
    }
}

impl HeldLease {
    /// Renews the lease, unless another run has taken it over. A renewal whose answer was lost
    /// changed the version: the next one finds the lease of this run with another version.
    async fn renew(&self) -> Result<(), LeaseError> {
        let mut spec = self.spec.lock().await;
        for _ in 0..RENEWAL_ATTEMPTS {
            let current = self.manager.read().await?;
            let Some(current) = current.filter(|one| one.token == self.token) else {
                self.lost.store(true, Ordering::Relaxed);
                return Err(LeaseError::Held(
                    "this run was silent for too long and lost the lease of the swarm".into(),
                ));
            };
            LeaseRecord::count(&mut spec);
            if self.manager.update(&current, &spec).await? {
                return Ok(());
            }
        }
        Err(LeaseError::NoMajority(
            "its lease changes all the time".into(),
        ))
    }
}

impl SwarmLease {
    fn hold(manager: LeaseManager, owner: &LeaseOwner, spec: Value) -> Self {
        let shared = Arc::new(HeldLease {
            manager,
            token: owner.token.clone(),
            lost: AtomicBool::new(false),
            spec: Mutex::new(spec),
        });
        let heartbeat = AbortOnDropHandle::new(tokio::spawn(beat(shared.clone())));
        Self {
            shared,
            _heartbeat: heartbeat,
        }
    }

    /// Checks with the managers that this run still holds the lease.
    ///
    /// # Errors
    /// [`LeaseError`] when another run took it over, or the managers cannot decide.
    pub async fn confirm(&self) -> Result<(), LeaseError> {
        for _ in 1..CONFIRM_ATTEMPTS {
            match self.shared.renew().await {
                Err(LeaseError::NoMajority(_)) => sleep(PAUSE).await,
                renewed => return renewed,
            }
        }
        self.shared.renew().await
    }

    /// Ends the lease. If no manager answers, it ends by itself.
    pub async fn release(self) {
        let Self {
            shared,
            _heartbeat: heartbeat,
        } = self;
        drop(heartbeat);
        shared.manager.remove(&shared.token).await;
    }
}
