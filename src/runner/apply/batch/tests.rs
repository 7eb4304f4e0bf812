//! Tables of changes: which of them travel together.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::sync::Arc;

use super::*;
use crate::model::{
    Action, DisplayValue, ExamineError, PathState, PathType, QueryAnswer, Resource, ShellQuery,
    Step, WriteFile,
};

type TestPlan = Box<dyn Fn(&HostAnswers) -> Option<Change> + Send + Sync>;

/// A resource whose change is made from the answers.
struct TestResource {
    id: String,
    queries: Vec<Query>,
    plan: TestPlan,
}

impl Resource for TestResource {
    fn id(&self) -> String {
        self.id.clone()
    }
    fn kind(&self) -> &'static str {
        "test"
    }
    fn queries(&self) -> Vec<Query> {
        self.queries.clone()
    }
    fn examine(&self, answers: &HostAnswers) -> Result<Examination, ExamineError> {
        for query in &self.queries {
            if !answers.contains(query) {
                return Ok(Examination::Needs(vec![query.clone()]));
            }
        }
        Ok((self.plan)(answers).map_or(Examination::InSync, Examination::Differs))
    }
}

fn change(name: &str) -> Change {
    Change::new(Action::Update).field(name, DisplayValue::Absent, DisplayValue::text("x"))
}

fn script(name: &str) -> Change {
    change(name).step(Step::script("run", "true", [name]))
}

fn task(
    query: Query,
    plan: impl Fn(&HostAnswers) -> Option<Change> + Send + Sync + 'static,
    answers: &HostAnswers,
) -> PlannedResource {
    let change = plan(answers);
    PlannedResource {
        play: 0,
        playbook: "".into(),
        resource: Arc::new(TestResource {
            id: format!("test[{query:?}]"),
            queries: vec![query],
            plan: Box::new(plan),
        }),
        change,
        follow_ups: Vec::new(),
    }
}

/// A resource at a path whose script alters the path.
fn at(path: &'static str, answers: &HostAnswers) -> PlannedResource {
    let plan = move |_: &HostAnswers| Some(script(path).altering(path));
    task(Query::path(path), plan, answers)
}

fn directory(path: &'static str, answers: &HostAnswers) -> PlannedResource {
    let plan = move |_: &HostAnswers| Some(script(path).keeping_content_of(path));
    task(Query::path(path), plan, answers)
}

fn in_sync(path: &'static str, answers: &HostAnswers) -> PlannedResource {
    task(Query::path(path), |_| None, answers)
}

fn answers() -> HostAnswers {
    let paths = ["/a", "/a/f", "/b", "/c", "/d"];
    paths
        .into_iter()
        .fold(HostAnswers::default(), |answers, path| {
            answers.with(Query::path(path), QueryAnswer::Path(None))
        })
}

/// Returns the changes that travel together; `None` if the first one travels alone without a
/// reading.
fn travelling(tasks: &[PlannedResource], answers: &HostAnswers) -> Option<Vec<bool>> {
    let change = tasks[0].change.clone().unwrap();
    let batch = plan_batch(tasks, &change, answers)?;
    Some(batch.changes.iter().map(Option::is_some).collect())
}

#[test]
fn independent_changes_travel_together() {
    let known = answers();
    let tasks = [
        directory("/a", &known),
        at("/a/f", &known),
        at("/b", &known),
    ];
    assert_eq!(travelling(&tasks, &known), Some(vec![true; 3]));
    // What is in sync travels between two changes, and not at the end.
    let tasks = [
        at("/b", &known),
        in_sync("/c", &known),
        at("/d", &known),
        in_sync("/a", &known),
    ];
    assert_eq!(travelling(&tasks, &known), Some(vec![true, false, true]));
}

#[test]
fn a_change_of_a_path_that_an_earlier_one_alters_is_planned_after_it() {
    let known = answers();
    for (first, second) in [("/a", "/a/f"), ("/a/f", "/a"), ("/b", "/b")] {
        let tasks = [at(first, &known), at(second, &known)];
        assert_eq!(
            travelling(&tasks, &known),
            Some(vec![true]),
            "{first} {second}"
        );
        let tasks = [at(first, &known), in_sync(second, &known), at("/d", &known)];
        assert_eq!(
            travelling(&tasks, &known),
            Some(vec![true]),
            "{first} {second}"
        );
    }
}

#[test]
fn nothing_travels_behind_an_unknown_effect() {
    let known = answers();
    let unknown = task(Query::path("/b"), |_| Some(script("b")), &known);
    let tasks = [at("/a", &known), unknown.clone(), at("/c", &known)];
    assert_eq!(travelling(&tasks, &known), Some(vec![true, true]));
    assert_eq!(
        travelling(&[unknown, at("/c", &known)], &known),
        Some(vec![true])
    );
    // The condition of a command may read anything.
    let test = Query::Shell(ShellQuery::Test {
        script: "true".into(),
    });
    let known = known.with(test.clone(), QueryAnswer::Test(0));
    let tasks = [at("/a", &known), task(test, |_| Some(script("x")), &known)];
    assert_eq!(travelling(&tasks, &known), Some(vec![true]));
}

#[test]
fn disruptions_and_requests_do_not_travel() {
    let known = answers();
    let with = |disturbs: Disruption| {
        let plan = move |_: &HostAnswers| Some(script("b").altering("/b").disturbing(disturbs));
        task(Query::path("/b"), plan, &known)
    };
    for disturbs in [Disruption::Reload, Disruption::ServiceRestart] {
        let tasks = [at("/a", &known), with(disturbs)];
        assert_eq!(travelling(&tasks, &known), Some(vec![true]), "{disturbs:?}");
        // It travels with its reading, and nothing behind it.
        let tasks = [with(disturbs), at("/a", &known)];
        assert_eq!(travelling(&tasks, &known), Some(vec![true]), "{disturbs:?}");
    }
    for disturbs in [Disruption::EngineRestart, Disruption::ManagerLoss] {
        assert_eq!(travelling(&[with(disturbs)], &known), None, "{disturbs:?}");
    }
    let later = |_: &HostAnswers| Some(change("x").step(Step::known_after_apply("wait")));
    assert_eq!(
        travelling(&[task(Query::path("/b"), later, &known)], &known),
        None
    );
    let tasks = [at("/a", &known), task(Query::path("/b"), later, &known)];
    assert_eq!(travelling(&tasks, &known), Some(vec![true]));
}

#[test]
fn a_change_that_differs_from_the_forecast_travels_alone() {
    let known = answers();
    let mut other = at("/b", &known);
    other.change = None;
    let tasks = [at("/a", &known), other.clone(), at("/c", &known)];
    assert_eq!(travelling(&tasks, &known), Some(vec![true]));
    let change = script("/b").altering("/b");
    let batch = plan_batch(&[other, at("/c", &known)], &change, &known).unwrap();
    assert_eq!(batch.changes.len(), 1);
    // A resource that needs a further reading is planned after it.
    let needs = task(Query::path("/not-read"), |_| Some(script("x")), &known);
    let tasks = [at("/a", &known), needs, at("/c", &known)];
    assert_eq!(travelling(&tasks, &known), Some(vec![true]));
}

#[test]
fn lines_of_one_file_are_planned_from_the_file_that_the_earlier_change_writes() {
    let file = |content: &str| PathState {
        kind: PathType::File,
        owner: "root".into(),
        uid: 0,
        group: "root".into(),
        gid: 0,
        mode: 0o644,
        size: content.len() as u64,
        modified: 0,
        target: None,
        content: Some(content.into()),
    };
    let known = HostAnswers::default().with(
        Query::content("/etc/hosts"),
        QueryAnswer::Path(Some(file("a\n"))),
    );
    let line = |line: &'static str| {
        let plan = move |answers: &HostAnswers| {
            let before = answers.path("/etc/hosts").unwrap()?.content.clone()?;
            let before = String::from_utf8(before).unwrap();
            if before.contains(line) {
                return None;
            }
            let after = format!("{before}{line}\n");
            let change = Change::new(Action::Update).field(
                "/etc/hosts",
                DisplayValue::Lines(before),
                DisplayValue::Lines(after.clone()),
            );
            Some(change.step(Step {
                summary: "write".into(),
                act: Operation::WriteFile(WriteFile {
                    path: "/etc/hosts".into(),
                    content: after.into_bytes(),
                    owner: "0".into(),
                    group: "0".into(),
                    mode: 0o644,
                }),
            }))
        };
        task(Query::content("/etc/hosts"), plan, &known)
    };
    let tasks = [line("b"), line("c"), line("a"), line("d")];
    let change = tasks[0].change.clone().unwrap();
    let batch = plan_batch(&tasks, &change, &known).unwrap();
    let written: Vec<Option<Vec<u8>>> = batch
        .changes
        .iter()
        .map(|change| match &change.as_ref()?.steps[0].act {
            Operation::WriteFile(file) => Some(file.content.clone()),
            _ => None,
        })
        .collect();
    let expected = ["a\nb\n", "a\nb\nc\n", "", "a\nb\nc\nd\n"];
    for (written, expected) in written.iter().zip(expected) {
        assert_eq!(written.as_deref().unwrap_or_default(), expected.as_bytes());
    }
    assert_eq!(written.len(), 4);
}

#[test]
fn a_batch_has_room_for_some_changes_and_some_input() {
    let known = answers();
    let many: Vec<PlannedResource> = (0..200).map(|_| at("/a", &known)).collect();
    // The same path would depend on the change before it, so each has a path of its own.
    let paths: Vec<String> = (0..200).map(|index| format!("/x/{index}")).collect();
    let mut known = known;
    for path in &paths {
        known.insert(Query::path(path), Ok(QueryAnswer::Path(None)));
    }
    let tasks: Vec<PlannedResource> = many
        .into_iter()
        .zip(&paths)
        .map(|(_, path)| {
            let path = path.clone();
            let plan = move |_: &HostAnswers| Some(script(&path).keeping_content_of(&path));
            task(
                Query::path(
                    plan(&HostAnswers::default()).unwrap().fields[0]
                        .field
                        .clone(),
                ),
                plan,
                &known,
            )
        })
        .collect();
    assert_eq!(travelling(&tasks, &known).unwrap().len(), MOST_CHANGES);
    let large = |path: &'static str| {
        let plan = move |_: &HostAnswers| {
            let step = Step::script("run", "cat", [path]).with_stdin(vec![0; MOST_INPUT / 2 + 1]);
            Some(change(path).altering(path).step(step))
        };
        task(Query::path(path), plan, &known)
    };
    assert_eq!(
        travelling(&[large("/b"), large("/c")], &known),
        Some(vec![true])
    );
}
