//! Waits until a stack's services run as they should. Ends early when they will not, with the
//! swarm's own error and the node as the reason. Nothing is rolled back: the deployed objects stay.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::live_manager::live_manager;
use super::step_error::StepError;
use crate::docker::{ConvergenceWatch, STABLE_FOR, ServiceConvergence, list_of};
use crate::model::{WaitForConvergence, docker_filters, stack_label};
use crate::runner::event::Event;
use crate::runner::poll_pause::PollPause;
use crate::runner::{ConnectedHost, Fleet};

/// Longest time between two readings.
const LOOK_STEP: Duration = Duration::from_millis(500);
/// Time for which every reading may fail: an election of managers takes less, and a lost connection
/// stays lost for the run.
const BLIND_FOR: Duration = Duration::from_secs(60);

/// Waits, and reports the progress of each service.
pub(super) async fn converge(
    fleet: &Fleet,
    host: &ConnectedHost,
    stack: &WaitForConvergence,
) -> Result<(), StepError> {
    let started = Instant::now();
    let mut watch = ConvergenceWatch::default();
    let mut seen = started;
    let mut pause = PollPause::up_to(LOOK_STEP);
    loop {
        let last_trouble = match list_stack(fleet, stack).await {
            Ok((services, tasks, nodes)) => {
                seen = Instant::now();
                let standings = watch.follow(&services, &tasks, &nodes);
                report(fleet, host, &mut watch, &standings).await;
                if let Some(failure) = watch.failure(&standings) {
                    return Err(StepError::NotConverged {
                        why: failure.why,
                        hint: failure.hint,
                    });
                }
                if watch.stable_for(&standings) >= STABLE_FOR {
                    return Ok(());
                }
                let waiting = standings
                    .iter()
                    .filter(|standing| !standing.settled)
                    .map(ServiceConvergence::words);
                waiting.collect::<Vec<_>>().join("; ")
            }
            // Another manager may become the leader meanwhile: the next reading uses any manager
            // that answers.
            Err(error) if seen.elapsed() >= BLIND_FOR => {
                let why = format!(
                    "{error}: the state of the services is unknown; the deployed objects stay"
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
                "timed out after {limit}: not all services run: {last_trouble}; the deployed objects stay"
            );
            return Err(StepError::NotConverged {
                why,
                hint: hint(&stack.name),
            });
        }
        tokio::time::sleep(pause.next()).await;
    }
}

fn hint(name: &str) -> String {
    format!(
        "run `docker stack ps --no-trunc {name}` on a manager to see more; raise `timeout` if the services only need more time"
    )
}

type StackListing = (Vec<Value>, Vec<Value>, Vec<Value>);

async fn list_stack(fleet: &Fleet, stack: &WaitForConvergence) -> Result<StackListing, StepError> {
    let manager = live_manager(fleet, &stack.managers).await?;
    let host = fleet.host(&manager).await?;
    let filters = docker_filters(&[("label", &[&stack_label(&stack.name)])]);
    let read = async |path: String| {
        list_of(&path, host.engine_read(&path).await).map_err(StepError::DeferredValue)
    };
    Ok((
        read(format!("/services?filters={filters}")).await?,
        read(format!("/tasks?filters={filters}")).await?,
        read("/nodes".into()).await?,
    ))
}

async fn report(
    fleet: &Fleet,
    host: &ConnectedHost,
    watch: &mut ConvergenceWatch,
    standings: &[ServiceConvergence],
) {
    for standing in watch.news(standings) {
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
