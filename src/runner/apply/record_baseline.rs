//! Writes the record of the last apply at the end of an `apply`. Called by `runner::apply::run`
//! alone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use super::locks::{HostLocks, LockAttempt};
use super::perform::{exec_of, step_result};
use super::permit::Permit;
use super::step_error::StepError;
use crate::base::path_script;
use crate::model::{DefinitionDigest, Step};
use crate::names::HostName;
use crate::runner::applied_record::{AppliedDefinition, AppliedRecord, PATH};
use crate::runner::event::Event;
use crate::runner::host_plan::HostPlan;
use crate::runner::outcome::{HostOutcome, Outcome, RunSummary};
use crate::runner::run_plan::RunPlan;
use crate::runner::{BaselineEntry, Fleet, TaskPanic, fan_out};
use crate::transport::{StepBatch, TransportError};

/// Writes the record `$1` of `$2` bytes, readable by root only.
const WRITE: &str = r#"ensure_directory "${1%/*}" 0:0 0700
write_file "$1" 0:0 0600 "$2"
"#;

/// Knowledge about one host before any change.
pub(super) struct PriorRecord {
    record: AppliedRecord,
    /// Definitions of the host's resources, in order.
    definitions: Vec<PriorDefinition>,
}

/// Definition of a resource in the forecast.
struct PriorDefinition {
    id: String,
    definition: DefinitionDigest,
    playbook: Arc<str>,
}

/// Extracts from a forecast the records and definitions that are needed at the end.
pub(super) fn prior_records(forecast: &RunPlan) -> HashMap<HostName, PriorRecord> {
    let of_host = |host: &HostPlan| PriorRecord {
        record: host.record.clone(),
        definitions: host
            .tasks
            .iter()
            .filter_map(|task| {
                Some(PriorDefinition {
                    id: task.resource.id(),
                    definition: task.resource.definition()?,
                    playbook: Arc::clone(&task.playbook),
                })
            })
            .collect(),
    };
    forecast
        .hosts
        .iter()
        .map(|(name, host)| (name.clone(), of_host(host)))
        .collect()
}

/// Writes the records that have changed. A resource that is not in sync keeps its old entry. If a
/// record cannot be written, the host gets a note and not a failure, as the host is in sync all the
/// same. Returns the hosts on which skep itself failed meanwhile.
pub(super) async fn record_baseline(
    fleet: &Arc<Fleet>,
    permit: &Arc<Permit>,
    locks: &Arc<HostLocks>,
    known: &HashMap<HostName, PriorRecord>,
    summary: &RunSummary,
    baseline_entries: &[BaselineEntry],
    forks: usize,
) -> Vec<(HostName, TaskPanic)> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let mut records: Vec<(HostName, Vec<u8>)> = Vec::new();
    for (name, outcome) in &summary.hosts {
        let Some(before) = known.get(name).filter(|_| !outcome.is_lost()) else {
            continue;
        };
        let mut applied = applied(before, outcome);
        for baseline_entry in baseline_entries
            .iter()
            .filter(|baseline_entry| baseline_entry.host == *name)
        {
            if before
                .record
                .matches(&baseline_entry.id, &baseline_entry.definition)
                == Some(false)
            {
                let text = format!(
                    "{} has changed since the last apply; its new value is recorded",
                    baseline_entry.id
                );
                fleet
                    .events()
                    .send(Event::Note {
                        host: Some(name.clone()),
                        text,
                    })
                    .await;
            }
            applied.push(AppliedDefinition {
                id: baseline_entry.id.clone(),
                definition: baseline_entry.definition,
                changed: false,
                playbook: Arc::default(),
            });
        }
        if let Some(content) = before.record.updated(&applied, now) {
            records.push((name.clone(), content));
        }
    }
    let hosts: Vec<HostName> = records.iter().map(|(name, _)| name.clone()).collect();
    let written = fan_out(records, forks, |(name, content)| {
        let (fleet, permit, locks) = (fleet.clone(), permit.clone(), locks.clone());
        async move {
            if let Err(why) = write(&fleet, &permit, &locks, &name, content).await {
                let text = format!("the applied resources could not be recorded in {PATH}: {why}");
                fleet
                    .events()
                    .send(Event::Note {
                        host: Some(name),
                        text,
                    })
                    .await;
            }
        }
    })
    .await;
    hosts
        .into_iter()
        .zip(written)
        .filter_map(|(name, result)| Some((name, result.err()?)))
        .collect()
}

async fn write(
    fleet: &Fleet,
    permit: &Arc<Permit>,
    locks: &HostLocks,
    name: &HostName,
    content: Vec<u8>,
) -> Result<(), StepError> {
    let host = fleet.host(name).await?;
    let summary = "record the applied resources";
    // After an interrupt, only hosts that this run has changed are recorded: it has their locks.
    if locks.hold(permit, &host, fleet.events()).await? == LockAttempt::Interrupted {
        return Ok(());
    }
    let arguments = [PATH.to_owned(), content.len().to_string()];
    let step = Step::script(summary, path_script(WRITE), arguments).with_stdin(content);
    let lock = locks.step_lock(name, summary).await;
    let (Some(exec), Some(release)) = (exec_of(&step, lock), locks.release_command(name).await)
    else {
        return Err(StepError::NotKnown);
    };
    // The work on the host is over: its lock is freed by the same command.
    let batch = StepBatch {
        changes: vec![vec![exec]],
        reading: release,
        progress: None,
    };
    let output = host
        .run_batch(permit, batch, &CancellationToken::new())
        .await;
    if output.reading.is_ok_and(|output| output.success()) {
        locks.released(name).await;
    }
    let lost = TransportError::Lost("the step did not begin".into());
    let result = output.steps.into_iter().next().unwrap_or(Err(lost));
    step_result(&step, result)
}

/// Returns the resources that are in sync at the end of the run.
fn applied(known: &PriorRecord, outcome: &HostOutcome) -> Vec<AppliedDefinition> {
    let of_id = |id: &str| {
        outcome
            .resources
            .iter()
            .filter(move |resource| resource.resource == id)
            .collect::<Vec<_>>()
    };
    let fine = |outcome: &Outcome| matches!(outcome, Outcome::Unchanged | Outcome::Changed);
    known
        .definitions
        .iter()
        .filter_map(|prior| {
            let resources = of_id(&prior.id);
            let all_fine =
                !resources.is_empty() && resources.iter().all(|resource| fine(&resource.outcome));
            let changed = resources
                .iter()
                .any(|resource| resource.outcome == Outcome::Changed);
            all_fine.then(|| AppliedDefinition {
                id: prior.id.clone(),
                definition: prior.definition,
                changed,
                playbook: Arc::clone(&prior.playbook),
            })
        })
        .collect()
}
