//! Finds changes that need a Docker Engine on a host without one. If no resource before them can
//! install it, the plan says so: the steps would only fail.

use super::examine::ExamineResult;
use super::host_plan::PlannedResource;
use crate::model::{DockerError, HostAnswers};

/// Kinds whose changes are made through the host's own Engine.
const NEEDS_ENGINE: &[&str] = &[
    "config",
    "image",
    "network",
    "node_labels",
    "secret",
    "stack",
    "swarm_member",
    "volume",
];

/// Adds a note to the first change that needs an Engine, if the host has none and no resource
/// before it may install one.
pub(super) fn note_missing_engine(
    tasks: &[PlannedResource],
    examined: &mut [ExamineResult],
    answers: &HostAnswers,
) {
    let answer = answers.engine("/info").map(|answer| answer.json().err());
    if !matches!(answer, Ok(Some(DockerError::Absent))) {
        return;
    }
    for (task, result) in tasks.iter().zip(examined) {
        let kind = task.resource.kind();
        if may_install_engine(kind, &task.resource.id()) {
            return;
        }
        if let (true, Ok(Some(change))) = (NEEDS_ENGINE.contains(&kind), result) {
            change.notes.push(
                "the host has no Docker Engine, and no resource before this one installs it: include docker.toml, or apply it first"
                    .to_owned(),
            );
            return;
        }
    }
}

/// Returns true for a resource that may install an Engine. A command may do anything.
fn may_install_engine(kind: &str, id: &str) -> bool {
    match kind {
        "command" => true,
        "package" => ["docker", "moby"].iter().any(|name| id.contains(name)),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use super::*;
    use crate::model::{
        Action, Change, DockerAnswer, Examination, ExamineError, Query, QueryAnswer, Resource,
    };

    struct OfKind(&'static str);

    impl Resource for OfKind {
        fn id(&self) -> String {
            format!("{}[docker-ce]", self.0)
        }
        fn kind(&self) -> &'static str {
            self.0
        }
        fn queries(&self) -> Vec<Query> {
            Vec::new()
        }
        fn examine(&self, _answers: &HostAnswers) -> Result<Examination, ExamineError> {
            Ok(Examination::InSync)
        }
    }

    /// Returns the number of notes of each resource's change.
    fn noted(kinds: &[&'static str], engine: DockerAnswer) -> Vec<usize> {
        let task = |kind: &&'static str| PlannedResource {
            play: 0,
            playbook: Arc::default(),
            resource: Arc::new(OfKind(kind)),
            change: None,
            follow_ups: Vec::new(),
        };
        let tasks: Vec<PlannedResource> = kinds.iter().map(task).collect();
        let mut examined: Vec<ExamineResult> = kinds
            .iter()
            .map(|_| Ok(Some(Change::new(Action::Create))))
            .collect();
        let answers =
            HostAnswers::default().with(Query::docker("/info"), QueryAnswer::Engine(engine));
        note_missing_engine(&tasks, &mut examined, &answers);
        let notes = |result: &ExamineResult| result.as_ref().unwrap().as_ref().unwrap().notes.len();
        examined.iter().map(notes).collect()
    }

    #[test]
    fn the_first_change_without_an_engine_has_a_note() {
        let absent = || DockerAnswer::Absent;
        assert_eq!(
            noted(&["file", "swarm_member", "network"], absent()),
            [0, 1, 0]
        );
        assert_eq!(noted(&["package", "swarm_member"], absent()), [0, 0]);
        assert_eq!(noted(&["command", "swarm_member"], absent()), [0, 0]);
        assert_eq!(noted(&["swarm_member", "package"], absent()), [1, 0]);
        let down = DockerAnswer::Down("stopped".into());
        assert_eq!(noted(&["swarm_member"], down), [0]);
    }
}
