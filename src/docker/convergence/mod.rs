//! Convergence of a stack: decides from the lists of a manager, over time, whether the services run
//! as they should, or will not. Pure but for the clock; the runner reads the lists and waits.

mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

pub use crate::docker::convergence::service::ServiceConvergence;
use crate::docker::convergence::service::{TaskSnapshot, evaluate_service};

/// Time for which all services must run before the stack counts as converged: a task may die right
/// after its start, and `docker service create` waits as long.
pub const STABLE_FOR: Duration = Duration::from_secs(5);
/// Time for which a task may find no node before the stack counts as failed: another task may be
/// leaving the node meanwhile.
const UNPLACED_FOR: Duration = Duration::from_secs(10);
/// Time for which tasks may fail at their network: after `docker stack rm`, nodes take a while to
/// remove an old network of the same name.
const UNATTACHED_FOR: Duration = Duration::from_secs(60);
/// Number of failed tasks of one service, seen while waiting, after which the stack counts as
/// failed.
const MOST_FAILURES: usize = 3;

/// The reason why a stack does not converge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvergenceFailure {
    /// The swarm's own error, with the node, for each service that does not run as it should.
    pub why: String,
    /// Commands that show more.
    pub hint: String,
}

/// Observations of a stack over time.
#[derive(Default)]
pub struct ConvergenceWatch {
    /// Tasks that had ended before this wait began: their failures are old.
    past: Option<BTreeSet<String>>,
    /// Time since which each service's tasks find no node.
    unplaced: BTreeMap<String, Instant>,
    /// Time since which each service's tasks fail at their network.
    unattached: BTreeMap<String, Instant>,
    /// Time since which every service runs as it should.
    settled: Option<Instant>,
    /// Progress of each service as it was last reported.
    reported: BTreeMap<String, (u64, u64, Option<String>)>,
}

impl ConvergenceWatch {
    /// Evaluates the current lists of a manager and returns the state of each service.
    pub fn follow(
        &mut self,
        services: &[Value],
        tasks: &[Value],
        nodes: &[Value],
    ) -> Vec<ServiceConvergence> {
        let past = self.past.get_or_insert_with(|| service::ended(tasks));
        let standings: Vec<ServiceConvergence> = services
            .iter()
            .map(|service| evaluate_service(service, &TaskSnapshot { tasks, nodes, past }))
            .collect();
        let now = Instant::now();
        for standing in &standings {
            let troubles = [
                (standing.unplaced, &mut self.unplaced),
                (standing.unattached > 0, &mut self.unattached),
            ];
            for (is_so, since) in troubles {
                if is_so {
                    since.entry(standing.service.clone()).or_insert(now);
                } else {
                    since.remove(&standing.service);
                }
            }
        }
        if standings.iter().all(|standing| standing.settled) {
            self.settled.get_or_insert(now);
        } else {
            self.settled = None;
        }
        standings
    }

    /// Returns the services whose progress differs from the last report.
    pub fn news<'a>(&mut self, standings: &'a [ServiceConvergence]) -> Vec<&'a ServiceConvergence> {
        standings
            .iter()
            .filter(|standing| {
                let progress = (standing.running, standing.desired, standing.trouble.clone());
                self.reported
                    .insert(standing.service.clone(), progress.clone())
                    != Some(progress)
            })
            .collect()
    }

    /// Returns the time for which all services have run as they should.
    #[must_use]
    pub fn stable_for(&self, standings: &[ServiceConvergence]) -> Duration {
        // A stack without services has nothing to wait for.
        if standings.is_empty() {
            STABLE_FOR
        } else {
            self.settled.map_or(Duration::ZERO, |since| since.elapsed())
        }
    }

    /// Returns the reason why the services will not run as they should; `None` while they still may
    /// run.
    #[must_use]
    pub fn failure(&self, standings: &[ServiceConvergence]) -> Option<ConvergenceFailure> {
        let lost = |standing: &&ServiceConvergence| {
            let unplaced = self
                .unplaced
                .get(&standing.service)
                .is_some_and(|since| since.elapsed() >= UNPLACED_FOR);
            // Failures at the network count only after the network has had time to appear.
            let unattached = self
                .unattached
                .get(&standing.service)
                .is_some_and(|since| since.elapsed() >= UNATTACHED_FOR);
            let failures = standing.failures + if unattached { standing.unattached } else { 0 };
            standing.over || unplaced || (failures >= MOST_FAILURES && !standing.settled)
        };
        let first = standings.iter().find(lost)?;
        // Other problems are reported as well: one run then names everything that must be fixed.
        let told = standings
            .iter()
            .filter(|standing| lost(standing) || (!standing.settled && standing.trouble.is_some()));
        let words: Vec<String> = told.map(ServiceConvergence::words).collect();
        let hint = format!(
            "run `docker service ps --no-trunc {0}` and `docker service logs {0}` on a manager to see more",
            first.service
        );
        Some(ConvergenceFailure {
            why: format!("{}; the deployed objects stay", words.join("; ")),
            hint,
        })
    }
}
