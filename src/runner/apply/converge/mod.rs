//! Waits until a stack's services run as they should. It ends early when it is known that they will not: the swarm's own words,
//! with the node, are the reason. Nothing is taken back: what was deployed stays as it is.

mod judge;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use self::judge::{Seen, Standing, judge};
use super::perform::{StepError, live_manager};
use crate::model::Converge;
use crate::runner::event::Event;
use crate::runner::stack_client::{filter, list};
use crate::runner::{Fleet, Host};

/// Time between two looks.
const LOOK_STEP: Duration = Duration::from_millis(500);
/// How long everything must stay as it should be: what starts may die right after, and `docker service create` waits as long.
const STABLE_FOR: Duration = Duration::from_secs(5);
/// How long a task may find no node before that is taken for the end: another task may be leaving the node meanwhile.
const UNPLACED_FOR: Duration = Duration::from_secs(10);
/// How long no look may succeed: an election of managers takes less, and a connection that is gone stays so for the run.
const BLIND_FOR: Duration = Duration::from_secs(60);
/// How long tasks may fail at their network: after `docker stack rm` nodes take a while to be rid of one of the same name.
const UNATTACHED_FOR: Duration = Duration::from_secs(60);
/// Failures of one service's tasks, seen while waiting, that are taken for the end.
const MOST_FAILURES: usize = 3;

/// Waits, and reports each service's way.
pub(super) async fn converge(
    fleet: &Fleet,
    host: &Host,
    stack: &Converge,
) -> Result<(), StepError> {
    let started = Instant::now();
    let mut watch = Watch::default();
    let mut seen = started;
    loop {
        let last_trouble = match look(fleet, stack).await {
            Ok((services, tasks, nodes)) => {
                seen = Instant::now();
                let standings = watch.follow(&services, &tasks, &nodes);
                report(fleet, host, &mut watch, &standings).await;
                if let Some(failure) = watch.verdict(&standings) {
                    return Err(failure);
                }
                if watch.stable_for(&standings) >= STABLE_FOR {
                    return Ok(());
                }
                let waiting = standings
                    .iter()
                    .filter(|standing| !standing.settled)
                    .map(Standing::words);
                waiting.collect::<Vec<_>>().join("; ")
            }
            // A manager may change while tasks move: the next look asks whoever answers then.
            Err(error) if seen.elapsed() >= BLIND_FOR => {
                let why = format!(
                    "{error}: whether the services run is not known; what was deployed stays"
                );
                return Err(StepError::NotConverged {
                    why,
                    hint: hint(&stack.name),
                });
            }
            Err(error) => error.to_string(),
        };
        if started.elapsed() >= stack.deadline {
            let limit = humantime::format_duration(stack.deadline);
            let why = format!(
                "not all services run after {limit}: {last_trouble}; what was deployed stays"
            );
            return Err(StepError::NotConverged {
                why,
                hint: hint(&stack.name),
            });
        }
        tokio::time::sleep(LOOK_STEP).await;
    }
}

fn hint(name: &str) -> String {
    format!(
        "look at `docker stack ps --no-trunc {name}` on a manager; raise `timeout` if it only needs longer"
    )
}

type Lists = (Vec<Value>, Vec<Value>, Vec<Value>);

async fn look(fleet: &Fleet, stack: &Converge) -> Result<Lists, StepError> {
    let manager = live_manager(fleet, &stack.managers).await?;
    let host = fleet.host(&manager).await?;
    let filter = filter(&stack.name);
    let read = async |path: String| list(&host, &path).await.map_err(StepError::Late);
    Ok((
        read(format!("/services?filters={filter}")).await?,
        read(format!("/tasks?filters={filter}")).await?,
        read("/nodes".into()).await?,
    ))
}

async fn report(fleet: &Fleet, host: &Host, watch: &mut Watch, standings: &[Standing]) {
    for standing in standings {
        let told = (standing.running, standing.desired, standing.trouble.clone());
        if watch.told.get(&standing.service) == Some(&told) {
            continue;
        }
        watch.told.insert(standing.service.clone(), told);
        let event = Event::Converging {
            host: host.name().clone(),
            service: standing.service.clone(),
            running: standing.running,
            desired: standing.desired,
            trouble: standing.trouble.clone(),
        };
        fleet.events().send(event).await;
    }
}

/// What was seen over time.
#[derive(Default)]
struct Watch {
    /// Tasks that had ended before this waiting began: their failures are of the past.
    past: Option<BTreeSet<String>>,
    /// Since when each service's tasks find no node.
    unplaced: BTreeMap<String, Instant>,
    /// Since when each service's tasks fail at their network.
    unattached: BTreeMap<String, Instant>,
    /// Since when everything is as it should be.
    settled: Option<Instant>,
    told: BTreeMap<String, (u64, u64, Option<String>)>,
}

impl Watch {
    fn follow(&mut self, services: &[Value], tasks: &[Value], nodes: &[Value]) -> Vec<Standing> {
        let past = self.past.get_or_insert_with(|| judge::ended(tasks));
        let standings: Vec<Standing> = services
            .iter()
            .map(|service| judge(service, &Seen { tasks, nodes, past }))
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

    fn stable_for(&self, standings: &[Standing]) -> Duration {
        // A stack without services has nothing to wait for.
        if standings.is_empty() {
            STABLE_FOR
        } else {
            self.settled.map_or(Duration::ZERO, |since| since.elapsed())
        }
    }

    fn verdict(&self, standings: &[Standing]) -> Option<StepError> {
        let lost = |standing: &&Standing| {
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
        let words: Vec<String> = told.map(Standing::words).collect();
        let hint = format!(
            "look at `docker service ps --no-trunc {0}` and `docker service logs {0}` on a manager",
            first.service
        );
        Some(StepError::NotConverged {
            why: format!("{}; what was deployed stays", words.join("; ")),
            hint,
        })
    }
}
