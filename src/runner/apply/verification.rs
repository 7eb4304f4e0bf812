//! The outcome of a resource after its steps, decided by reading it again.

use std::collections::BTreeSet;

use super::super::examine::ExamineResult;
use super::super::outcome::{HostOutcome, Outcome, ResourceOutcome};
use super::change::{AttemptOutcome, Retry};
use crate::model::{Action, Change, DisplayValue, FieldChange};
use crate::runner::host_plan::PlannedResource;

/// Returns the outcome after the steps: the plan must be empty now, except for commands that always
/// run.
pub(super) fn verified(after: &ExamineResult, change: &Change, acted: AttemptOutcome) -> Outcome {
    match (after, acted) {
        (_, AttemptOutcome::Again(Retry::VersionConflict | Retry::LockedBefore)) => Outcome::Failed {
            why: "another client changed the object at every attempt".into(),
            hint: "let the other run end, then run again".into(),
        },
        (_, AttemptOutcome::Again(Retry::NoQuorum)) => Outcome::Failed {
            why: "the managers of the swarm did not agree in time, in several attempts".into(),
            hint: "check the load of the managers and the links between them (`docker node ls`), then run again"
                .into(),
        },
        (Ok(None), AttemptOutcome::Done) => Outcome::Changed,
        (Ok(Some(rest)), AttemptOutcome::Done) if rest.action == Action::Run && change.repeats => Outcome::Changed,
        (Ok(Some(rest)), AttemptOutcome::Done) => {
            let fields: BTreeSet<String> = rest.fields.iter().map(still).collect();
            let fields: Vec<String> = fields.into_iter().collect();
            Outcome::Failed {
                why: format!("still differs after its steps: {}", fields.join("; ")),
                hint: "a program on the host changes it back, or the host does not accept the value; compare both values".into(),
            }
        }
        (Err(error), AttemptOutcome::Done) => Outcome::Failed {
            why: format!("its steps were completed, but it could not be read again: {error}"),
            hint: "run again".into(),
        },
    }
}

fn still(field: &FieldChange) -> String {
    match (&field.before, &field.after) {
        (DisplayValue::Text(before), DisplayValue::Text(after)) => {
            format!("{} is {before}, not {after}", field.field)
        }
        (_, DisplayValue::Text(after)) => format!("{} is not {after}", field.field),
        _ => field.field.clone(),
    }
}

/// Returns an outcome in which all of these resources are skipped. `plays` are the names of the
/// plays.
pub(super) fn skip_all(plays: &[String], tasks: &[PlannedResource], because: &str) -> HostOutcome {
    let resources = tasks
        .iter()
        .map(|task| {
            ResourceOutcome::new(
                plays.get(task.play).map_or("", String::as_str),
                task.resource.id(),
                Outcome::Skipped {
                    because: because.to_owned(),
                },
            )
        })
        .collect();
    HostOutcome {
        resources,
        ..HostOutcome::default()
    }
}
