//! Apply: play by play with a barrier between plays, hosts in parallel, and the resources of one
//! host strictly in order. Each resource is planned again right before acting, and verified right
//! after by gathering again.

mod batch;
mod batch_run;
mod change;
mod compare;
mod converge;
mod deploy;
mod drained_restart;
mod failed_hosts;
mod force_cluster;
mod host_work;
mod image;
mod lease_manager;
mod lease_record;
mod lease_swarm;
mod live_manager;
mod locked_host;
mod locks;
mod machine_restart;
mod node_identity;
mod package_lists;
mod perform;
mod permit;
mod play_stage;
mod raft_archive;
mod record_baseline;
mod restart_unlock;
mod run;
mod step_error;
mod swarm_lease;
mod swarm_update;
mod unlock_key;
mod verification;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

pub use force_cluster::force_new_cluster;
pub use machine_restart::{boot_identity, restart_machine};
pub use package_lists::refresh_package_lists;
pub(super) use permit::Permit;
pub use raft_archive::{read_raft_archive, write_raft_archive};
pub use run::{PlanApproval, RunOptions, apply};
pub use swarm_lease::{LeaseError, LeaseOutcome, LeaseOwner, SwarmLease, take_swarm_lease};
pub use swarm_update::{leave_swarm, remove_node, update_node, update_service, update_swarm};
pub use unlock_key::{proven_unlock_key, read_unlock_key, unlock_manager};

use self::failed_hosts::FailedHosts;
use self::locks::HostLocks;
use self::play_stage::PlayStage;
use super::event::Event;
use super::outcome::{HostOutcome, Problem, ResourceOutcome};
use super::{DisruptionGuard, Fleet, NodeDrain, TaskPanic, fan_out};
use crate::model::ValueSource;
use crate::names::HostName;
use crate::playbook::DrainRule;
use crate::runner::apply::verification::skip_all;
use crate::runner::host_plan::PlannedResource;
use crate::transport::TransportError;

/// Maximum number of attempts at a change, when the swarm's version of an object has changed
/// meanwhile or the managers did not agree in time.
const MOST_ATTEMPTS: u32 = 4;

/// Reason of a skip after an interrupt.
const INTERRUPTED: &str = "the run was interrupted";

/// Outcomes of one host in one play so far, in order. The caller that started the host's task
/// shares them: completed work is known even after a panic.
#[derive(Clone, Default)]
struct Finished(Arc<std::sync::Mutex<Vec<ResourceOutcome>>>);

impl Finished {
    fn push(&self, outcome: ResourceOutcome) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(outcome);
    }

    fn take(&self) -> Vec<ResourceOutcome> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Counts the host as failed on drop, unless the host is known to have succeeded: a panic counts,
/// too.
struct Count {
    failures: Arc<AtomicUsize>,
    is_fine: bool,
}

impl Drop for Count {
    fn drop(&mut self) {
        if !self.is_fine {
            self.failures.fetch_add(1, Ordering::SeqCst);
        }
    }
}

/// State of an apply, shared by the hosts' tasks.
struct Applier {
    pub fleet: Arc<Fleet>,
    pub guard: Arc<dyn DisruptionGuard>,
    /// Permit to perform steps; kept here only, so no other part can perform one.
    permit: Arc<Permit>,
    pub locks: Arc<HostLocks>,
    pub stop: CancellationToken,
    /// This run, as the lease of a swarm names it.
    pub lease_owner: LeaseOwner,
    /// Time to wait for another run's lock or lease.
    pub lock_wait: Duration,
    pub failed: FailedHosts,
    /// Names of the plays.
    pub plays: Vec<String>,
    /// Drains nodes before their Engines restart; `None` if no play asks for it.
    pub drain: Option<Arc<dyn NodeDrain>>,
    /// Place where the operator keeps the unlock key of an autolocked swarm.
    pub unlock_key: Option<ValueSource>,
    /// True once a manager has left the swarm in this run.
    pub manager_left: AtomicBool,
    /// Drain rule of each play.
    pub drain_rules: Vec<Option<DrainRule>>,
    /// Turn for a disruption: one host is disrupted at a time, regardless of the forks. Holds the
    /// host that did not come back: from then on no host is disrupted.
    pub disturbance: Mutex<Option<HostName>>,
    /// IDs of the swarm's nodes that this run has changed.
    pub changed_nodes: std::sync::Mutex<BTreeSet<String>>,
}

impl Applier {
    /// Runs one stage on these hosts, at most `at_once` of them at a time, and puts the outcome of
    /// each host into `outcomes`.
    async fn stage(
        self: &Arc<Self>,
        stage: PlayStage,
        tasks: Vec<(HostName, Vec<PlannedResource>)>,
        at_once: usize,
        max_fail: Option<usize>,
        outcomes: &mut indexmap::IndexMap<HostName, HostOutcome>,
    ) {
        // `max_fail` stops hosts that have not started; active hosts finish their stage.
        let failures = Arc::new(AtomicUsize::new(0));
        let work: Vec<(HostName, Vec<PlannedResource>, Finished)> = tasks
            .into_iter()
            .map(|(host, tasks)| (host, tasks, Finished::default()))
            .collect();
        let stage = Arc::new(stage);
        // Hosts start in the inventory's order, the first one as the canary.
        let results = fan_out(work.clone(), at_once, |(host, tasks, finished)| {
            let (applier, stage, failures) = (self.clone(), stage.clone(), failures.clone());
            async move {
                let failed = failures.load(Ordering::SeqCst);
                let mut count = Count {
                    failures,
                    is_fine: false,
                };
                let too_many = max_fail.is_some_and(|most| failed > most);
                let outcome = if too_many {
                    skip_all(
                        &applier.plays,
                        &tasks,
                        &format!("max_fail was exceeded (failed hosts: {failed})"),
                    )
                } else {
                    applier.host(&stage, &host, &tasks, &finished).await
                };
                count.is_fine = !outcome.failed() && outcome.unreachable.is_none();
                outcome
            }
        })
        .await;
        for ((host, tasks, finished), result) in work.into_iter().zip(results) {
            let outcome = match result {
                Ok(outcome) => outcome,
                Err(panic) => self.broken(&host, &tasks, &finished, &panic).await,
            };
            if outcome.failed() || outcome.is_lost() {
                self.failed.add(&host);
            }
            let whole = outcomes.entry(host).or_default();
            whole.resources.extend(outcome.resources);
            whole.unreachable = outcome.unreachable.or(whole.unreachable.take());
            whole.failure = outcome.failure.or(whole.failure.take());
            // A host that was skipped, or whose task panicked, has no count for this stage: the
            // earlier count stays.
            whole.execs = whole.execs.max(outcome.execs);
        }
    }

    /// Returns the outcome of a host whose task panicked: completed work stays known, the rest of
    /// the stage is skipped.
    async fn broken(
        &self,
        host: &HostName,
        tasks: &[PlannedResource],
        finished: &Finished,
        panic: &TaskPanic,
    ) -> HostOutcome {
        let trouble = Problem::internal(host, panic);
        self.fleet
            .events()
            .send(Event::HostFailed {
                host: host.clone(),
                trouble: trouble.clone(),
            })
            .await;
        let mut resources = finished.take();
        let left = &tasks[resources.len().min(tasks.len())..];
        resources.extend(skip_all(&self.plays, left, "skep itself failed on the host").resources);
        HostOutcome {
            failure: Some(trouble),
            resources,
            ..HostOutcome::default()
        }
    }

    async fn host(
        &self,
        stage: &PlayStage,
        name: &HostName,
        tasks: &[PlannedResource],
        finished: &Finished,
    ) -> HostOutcome {
        let mut outcome = HostOutcome::default();
        let connected = tokio::select! {
            connected = self.fleet.host(name) => connected,
            () = self.stop.cancelled() => return skip_all(&self.plays, tasks, INTERRUPTED),
        };
        let host = match connected {
            Ok(host) => host,
            Err(error) => {
                self.lost(&mut outcome, name, &error).await;
                return outcome;
            }
        };
        let ended = self.resources(stage, &host, tasks, finished).await;
        outcome.resources = finished.take();
        if let Err(error) = ended {
            self.lost(&mut outcome, name, &error).await;
        }
        // Other hosts may wait for this one: they are told before the play of this host ends.
        if outcome.failed() || outcome.is_lost() {
            self.failed.add(name);
        }
        let because = if outcome.unreachable.is_some() {
            "the host was lost"
        } else if outcome.failed() {
            "an earlier resource of the host failed"
        } else {
            INTERRUPTED
        };
        let left = &tasks[outcome.resources.len().min(tasks.len())..];
        outcome
            .resources
            .extend(skip_all(&self.plays, left, because).resources);
        outcome.execs = host.execs();
        self.fleet
            .events()
            .send(Event::HostFinished { host: name.clone() })
            .await;
        outcome
    }

    async fn lost(&self, outcome: &mut HostOutcome, host: &HostName, error: &TransportError) {
        let trouble = Problem {
            why: error.to_string(),
            hint: error.hint(),
        };
        outcome.unreachable = Some(trouble.clone());
        self.fleet
            .events()
            .send(Event::Unreachable {
                host: host.clone(),
                trouble,
            })
            .await;
    }
}
