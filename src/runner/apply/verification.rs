//! What came of a resource after its steps, judged by what was read back.

use std::collections::BTreeSet;

use super::super::examine::ExamineResult;
use super::super::outcome::{HostOutcome, Outcome, ResourceOutcome};
use super::change::{AttemptOutcome, Retry};
use crate::model::{Action, Change, DisplayValue, FieldChange};
use crate::runner::run_plan::PlannedResource;

/// The outcome after the steps: the plan must be empty now, but for commands that always run.
pub(super) fn verified(after: &ExamineResult, change: &Change, acted: AttemptOutcome) -> Outcome {
    match (after, acted) {
        (_, AttemptOutcome::Again(Retry::VersionConflict)) => Outcome::Failed {
            why: "the object was changed by somebody else each time".into(),
            hint: "let the other run end, then run again".into(),
        },
        (_, AttemptOutcome::Again(Retry::NoQuorum)) => Outcome::Failed {
            why: "the managers of the swarm did not agree in time, however often it was tried".into(),
            hint: "look at the load of the managers and at the links between them (`docker node ls`), then run again"
                .into(),
        },
        (Ok(None), AttemptOutcome::Done) => Outcome::Changed,
        (Ok(Some(rest)), AttemptOutcome::Done) if rest.action == Action::Run && change.repeats => Outcome::Changed,
        (Ok(Some(rest)), AttemptOutcome::Done) => {
            let fields: BTreeSet<String> = rest.fields.iter().map(still).collect();
            let fields: Vec<String> = fields.into_iter().collect();
            Outcome::Failed {
                why: format!("its steps ran, yet it still differs: {}", fields.join("; ")),
                hint: "something on the host changes it back, or the value cannot hold: compare it by hand".into(),
            }
        }
        (Err(error), AttemptOutcome::Done) => Outcome::Failed {
            why: format!("its steps ran, but it could not be read again: {error}"),
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

/// Every one of these resources as not acted on.
pub(super) fn skip_all(play: &str, tasks: &[PlannedResource], because: &str) -> HostOutcome {
    let resources = tasks
        .iter()
        .map(|task| {
            ResourceOutcome::new(
                play,
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
