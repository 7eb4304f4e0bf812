//! Chooses the changes of a host that travel together: consecutive changes whose steps only run on
//! the host, that disrupt nothing, and of which none depends on an effect of an earlier one that is
//! not known.

use std::collections::BTreeSet;

use super::compare::difference;
use crate::model::{Change, ChangeEffect, Disruption, Examination, HostAnswers, Operation, Query};
use crate::runner::host_plan::PlannedResource;

/// Maximum number of changes in a batch.
const MOST_CHANGES: usize = 64;
/// Maximum number of bytes of input of all steps of a batch.
const MOST_INPUT: usize = 16 * 1024 * 1024;

/// Consecutive resources of a host, from the first one that differs.
pub(super) struct Batch {
    /// The change of each resource; `None` if it is in sync.
    pub changes: Vec<Option<Change>>,
}

impl Batch {
    /// Returns those of the answers of Engines that no change of the batch can alter.
    pub(super) fn kept(&self, answers: &HostAnswers) -> HostAnswers {
        let changes = self.changes.iter().flatten();
        let mut effects = changes.map(Change::effect);
        if effects.any(|effect| effect == ChangeEffect::Unknown) {
            return HostAnswers::default();
        }
        let queries: Vec<Query> = answers
            .queries()
            .into_iter()
            .filter(|query| matches!(query, Query::Docker(_)))
            .collect();
        answers.of(&queries)
    }
}

/// Returns the batch that begins with the change of the first task; `None` if that change does not
/// travel with a reading. `answers` are those from which the change was planned.
pub(super) fn plan_batch(
    tasks: &[PlannedResource],
    change: &Change,
    answers: &HostAnswers,
) -> Option<Batch> {
    if !runs_on_the_host(change) || change.disturbs >= Disruption::EngineRestart {
        return None;
    }
    let mut plan = BatchPlan {
        changes: Vec::new(),
        altered: Vec::new(),
        answers,
        determined: HostAnswers::default(),
        input: 0,
    };
    let mut goes_on = is_forecast(&tasks[0], change) && plan.can_lead(change);
    plan.add(change.clone());
    for task in &tasks[1..] {
        if !goes_on {
            break;
        }
        match plan.examine(task) {
            Some(None) => plan.changes.push(None),
            Some(Some(change)) if is_forecast(task, &change) && plan.has_room(&change) => {
                goes_on = plan.can_lead(&change);
                plan.add(change);
            }
            _ => break,
        }
    }
    // What follows the last change is planned from the next reading.
    while matches!(plan.changes.last(), Some(None)) {
        plan.changes.pop();
    }
    Some(Batch {
        changes: plan.changes,
    })
}

/// Returns the queries for the next tasks; the first `known` tasks were just worked on. The tasks
/// up to the next one whose change needs a reading behind it are planned from the answers, so the
/// follow-up queries of the forecast are sent at once. The tasks behind it, up to another such one,
/// may be in sync by then.
pub(super) fn reading_of(tasks: &[PlannedResource], known: usize) -> BTreeSet<Query> {
    let ends = |task: &PlannedResource| {
        task.change.as_ref().is_some_and(|change| {
            !runs_on_the_host(change)
                || change.disturbs > Disruption::Nothing
                || change.effect() == ChangeEffect::Unknown
        })
    };
    let mut queries = BTreeSet::new();
    let mut ended = 0;
    for (index, task) in tasks.iter().enumerate() {
        queries.extend(task.resource.queries());
        if index < known {
            continue;
        }
        if ended == 0 {
            queries.extend(task.follow_ups.iter().cloned());
        }
        ended += usize::from(ends(task));
        if ended == 2 {
            break;
        }
    }
    queries
}

/// Returns true if the change is the one that the operator has seen.
fn is_forecast(task: &PlannedResource, change: &Change) -> bool {
    difference(task.change.as_ref(), change).is_none()
}

/// Returns true if all steps are commands and files of the host.
fn runs_on_the_host(change: &Change) -> bool {
    change.preparation.is_empty()
        && !change.steps.is_empty()
        && change
            .steps
            .iter()
            .all(|step| matches!(step.act, Operation::Script(_) | Operation::WriteFile(_)))
}

/// Number of bytes of input of the steps.
fn input_of(change: &Change) -> usize {
    let input = change.steps.iter().map(|step| match &step.act {
        Operation::Script(script) => script.stdin.len(),
        Operation::WriteFile(file) => file.content.len(),
        _ => 0,
    });
    input.sum()
}

struct BatchPlan<'a> {
    changes: Vec<Option<Change>>,
    /// Effects of the changes so far.
    altered: Vec<ChangeEffect>,
    answers: &'a HostAnswers,
    /// Answers that the changes so far determine.
    determined: HostAnswers,
    input: usize,
}

impl BatchPlan<'_> {
    /// Returns true if a change may follow this one.
    fn can_lead(&self, change: &Change) -> bool {
        change.disturbs == Disruption::Nothing && change.effect() != ChangeEffect::Unknown
    }

    fn has_room(&self, change: &Change) -> bool {
        runs_on_the_host(change)
            && change.disturbs == Disruption::Nothing
            && self.changes.len() < MOST_CHANGES
            && self.input + input_of(change) <= MOST_INPUT
    }

    fn add(&mut self, change: Change) {
        self.input += input_of(&change);
        // Answers that an earlier change altered are not those from which this one was planned.
        let ChangeEffect::Paths(paths) = change.effect() else {
            self.altered.push(ChangeEffect::Unknown);
            self.changes.push(Some(change));
            return;
        };
        let queries: Vec<Query> = paths
            .iter()
            .flat_map(|altered| [Query::content(&altered.path), Query::path(&altered.path)])
            .collect();
        let mut known = self.answers.of(&queries);
        known.merge(self.determined.of(&queries));
        let determined = change.determine(&mut known);
        for altered in &paths {
            for query in [Query::content(&altered.path), Query::path(&altered.path)] {
                self.determined.remove(&query);
            }
        }
        let of_determined: Vec<Query> = determined
            .iter()
            .flat_map(|path| [Query::content(path), Query::path(path)])
            .collect();
        self.determined.merge(known.of(&of_determined));
        self.altered.push(ChangeEffect::Paths(paths));
        self.changes.push(Some(change));
    }

    /// Examines a resource as it will be after the changes so far. `None` if that is not known.
    fn examine(&self, task: &PlannedResource) -> Option<Option<Change>> {
        let mut queries = task.resource.queries();
        let follow_ups = task.follow_ups.iter();
        queries.extend(
            follow_ups
                .filter(|query| self.answers.contains(query))
                .cloned(),
        );
        let mut answers = self.answers.of(&queries);
        for query in &queries {
            if !self.may_differ(query) {
                continue;
            }
            let known = self.determined.of(std::slice::from_ref(query));
            if !known.contains(query) {
                return None;
            }
            answers.merge(known);
        }
        match task.resource.examine(&answers) {
            Ok(Examination::InSync) => Some(None),
            Ok(Examination::Differs(change)) => Some(Some(change)),
            Ok(Examination::Needs(_)) | Err(_) => None,
        }
    }

    fn may_differ(&self, query: &Query) -> bool {
        self.altered.iter().any(|effect| match effect {
            ChangeEffect::Unknown => true,
            ChangeEffect::Paths(paths) => paths.iter().any(|path| path.may_alter(query)),
        })
    }
}

#[cfg(test)]
mod tests;
