//! Convergence of a stack: decides from what a manager lists, over time, whether the services run as
//! they should or will not get there. Pure but for the clock; the runner reads the lists and waits.

mod service;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

pub use crate::docker::convergence::service::ServiceConvergence;
use crate::docker::convergence::service::{TaskSnapshot, evaluate_service};

/// How long everything must stay as it should be: what starts may die right after, and `docker service create` waits as long.
pub const STABLE_FOR: Duration = Duration::from_secs(5);
/// How long a task may find no node before that is taken for the end: another task may be leaving the node meanwhile.
const UNPLACED_FOR: Duration = Duration::from_secs(10);
/// How long tasks may fail at their network: after `docker stack rm` nodes take a while to be rid of one of the same name.
const UNATTACHED_FOR: Duration = Duration::from_secs(60);
/// Failures of one service's tasks, seen while waiting, that are taken for the end.
const MOST_FAILURES: usize = 3;

/// The reason why a stack does not converge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConvergenceFailure {
    /// The swarm's own words, with the node, for each service that does not run as it should.
    pub why: String,
    /// Commands that show more.
    pub hint: String,
}

/// What was seen over time.
#[derive(Default)]
pub struct ConvergenceWatch {
    /// Tasks that had ended before this waiting began: their failures are of the past.
    past: Option<BTreeSet<String>>,
    /// Since when each service's tasks find no node.
    unplaced: BTreeMap<String, Instant>,
    /// Since when each service's tasks fail at their network.
    unattached: BTreeMap<String, Instant>,
    /// Since when everything is as it should be.
    settled: Option<Instant>,
    /// Progress of each service as it was last reported.
    reported: BTreeMap<String, (u64, u64, Option<String>)>,
}

impl ConvergenceWatch {
    /// Takes in what a manager lists now, and returns each service's standing.
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

    /// Returns how long all services have run as they should.
    #[must_use]
    pub fn stable_for(&self, standings: &[ServiceConvergence]) -> Duration {
        // A stack without services has nothing to wait for.
        if standings.is_empty() {
            STABLE_FOR
        } else {
            self.settled.map_or(Duration::ZERO, |since| since.elapsed())
        }
    }

    /// Returns the reason why the services will not run as they should; `None` while they still may.
    #[must_use]
    pub fn failure(&self, standings: &[ServiceConvergence]) -> Option<ConvergenceFailure> {
        let lost = |standing: &&ServiceConvergence| {
            let unplaced = self
                .unplaced
                .get(&standing.service)
                .is_some_and(|since| since.elapsed() >= UNPLACED_FOR);
            // Failures at the network count once it has had its time.
            let unattached = self
                .unattached
                .get(&standing.service)
                .is_some_and(|since| since.elapsed() >= UNATTACHED_FOR);
            let failures = standing.failures + if unattached { standing.unattached } else { 0 };
            standing.over || unplaced || (failures >= MOST_FAILURES && !standing.settled)
        };
        let first = standings.iter().find(lost)?;
        // Whatever else is wrong is told with it: one run names all that is to be mended.
        let told = standings
            .iter()
            .filter(|standing| lost(standing) || (!standing.settled && standing.trouble.is_some()));
        let words: Vec<String> = told.map(ServiceConvergence::words).collect();
        let hint = format!(
            "look at `docker service ps --no-trunc {0}` and `docker service logs {0}` on a manager",
            first.service
        );
        Some(ConvergenceFailure {
            why: format!("{}; what was deployed stays", words.join("; ")),
            hint,
        })
    }
}
