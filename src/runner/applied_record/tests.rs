//! Tests of the record: its causes, its distrust of foreign content, and its size.
#![allow(clippy::unwrap_used, clippy::panic)]

use super::*;
use crate::model::{DefinedResource, Examination, ExamineError, PathState, PathType, QueryAnswer};

struct SampleResource;

impl Resource for SampleResource {
    fn id(&self) -> String {
        "file[/etc/x]".into()
    }
    fn kind(&self) -> &'static str {
        "file"
    }
    fn queries(&self) -> Vec<Query> {
        Vec::new()
    }
    fn examine(&self, _answers: &HostAnswers) -> Result<Examination, ExamineError> {
        Ok(Examination::InSync)
    }
}

fn definition(content: &str) -> DefinitionDigest {
    DefinitionDigest::of("file", &serde_json::json!({ "content": content }), b"", "")
}

fn thing(content: &str) -> Arc<dyn Resource> {
    DefinedResource::wrap(Arc::new(SampleResource), definition(content))
}

fn answers(mode: u32, content: &[u8]) -> HostAnswers {
    let state = PathState {
        kind: PathType::File,
        owner: "root".into(),
        uid: 0,
        group: "root".into(),
        gid: 0,
        mode,
        size: content.len() as u64,
        modified: 0,
        target: None,
        content: Some(content.to_vec()),
    };
    let mut answers = HostAnswers::default();
    answers.insert(AppliedRecord::query(), Ok(QueryAnswer::Path(Some(state))));
    answers
}

fn entry(id: &str, content: &str, changed: bool) -> AppliedDefinition {
    AppliedDefinition {
        id: id.to_owned(),
        definition: definition(content),
        changed,
        playbook: "site.toml".into(),
    }
}

fn applied(content: &str) -> Vec<u8> {
    AppliedRecord::Absent
        .updated(&[entry("file[/etc/x]", content, false)], 7)
        .unwrap()
}

#[test]
fn record_gives_the_cause_of_a_difference() {
    let record = AppliedRecord::read(&answers(0o600, &applied("old")));
    assert!(record.warning().is_none());
    assert_eq!(
        record.cause(thing("old").as_ref(), false),
        DriftCause::ChangedBehindOurBack
    );
    assert_eq!(
        record.cause(thing("new").as_ref(), false),
        DriftCause::NotYetApplied
    );
    assert_eq!(
        record.cause(thing("old").as_ref(), true),
        DriftCause::NotYetApplied
    );
    assert_eq!(
        AppliedRecord::Absent.cause(thing("old").as_ref(), false),
        DriftCause::NeverApplied
    );
    let mut differs = ResourceOutcome::new("play", "file[/etc/x]", Outcome::Differs);
    record.explain(thing("old").as_ref(), "site.toml", &mut differs);
    assert_eq!(
        (differs.cause, differs.last_applied),
        (Some(DriftCause::ChangedBehindOurBack), Some(7))
    );
    let mut fine = ResourceOutcome::new("play", "file[/etc/x]", Outcome::Unchanged);
    record.explain(thing("old").as_ref(), "site.toml", &mut fine);
    assert_eq!((fine.cause, fine.last_applied), (None, None));
}

#[test]
fn unusable_record_is_reported_and_replaced() {
    let newer = br#"{"version":2,"resources":[]}"#;
    let foreign = br#"{"version":1,"key":"short","resources":{}}"#;
    for (mode, content, why) in [
        (0o600, &newer[..], "version 2"),
        (0o600, b"{\"versi", "damaged"),
        (0o600, b"", "damaged"),
        (0o600, foreign, "damaged"),
        (0o644, &applied("x"), "only root"),
    ] {
        let record = AppliedRecord::read(&answers(mode, content));
        let warning = record.warning().unwrap_or_else(|| panic!("{why}"));
        assert!(warning.contains(why), "{warning}");
        assert_eq!(
            record.cause(thing("x").as_ref(), false),
            DriftCause::Unknown
        );
        let renewed = record
            .updated(&[entry("file[/etc/x]", "x", false)], 9)
            .unwrap();
        assert!(matches!(
            AppliedRecord::parse(&renewed),
            AppliedRecord::Known(_)
        ));
    }
}

#[test]
fn record_is_written_only_when_it_changes() {
    let record = AppliedRecord::parse(&applied("x"));
    let same = |changed| record.updated(&[entry("file[/etc/x]", "x", changed)], 9);
    assert!(same(false).is_none());
    assert!(same(true).is_some(), "the time of a change is new");
    assert!(record.updated(&[], 9).is_none());
    let more = record.updated(&[entry("group[y]", "y", false)], 9).unwrap();
    let AppliedRecord::Known(document) = AppliedRecord::parse(&more) else {
        panic!("the record cannot read its own output")
    };
    assert_eq!(
        document.resources["file[/etc/x]"].applied, 7,
        "resources of other playbooks stay"
    );
}

#[test]
fn digests_are_keyed_by_host_and_the_size_is_bounded() {
    let (one, other) = (applied("hunter2"), applied("hunter2"));
    let digests = |text: &[u8]| match AppliedRecord::parse(text) {
        AppliedRecord::Known(document) => document.resources["file[/etc/x]"].wanted.clone(),
        _ => panic!("the record cannot read its own output"),
    };
    assert_ne!(
        digests(&one),
        digests(&other),
        "two hosts with the same secret have different digests"
    );
    let many: Vec<_> = (0..6000)
        .map(|number| entry(&format!("file[/{number:060}]"), "x", true))
        .collect();
    let text = AppliedRecord::Absent.updated(&many, 1).unwrap();
    assert!(
        text.len() <= SIZE_LIMIT && text.len() > SIZE_LIMIT / 2,
        "{}",
        text.len()
    );
}

#[test]
fn change_of_what_another_playbook_applied_has_a_note() {
    let record = AppliedRecord::parse(&applied("old"));
    let noted = |playbook: &str, content: &str| {
        let change = crate::model::Change::new(crate::model::Action::Update);
        let mut outcome = ResourceOutcome::new("play", "file[/etc/x]", Outcome::Differs);
        outcome.change = Some((&change).into());
        record.explain(thing(content).as_ref(), playbook, &mut outcome);
        outcome.change.unwrap().notes
    };
    let notes = noted("docker.toml", "new");
    assert!(
        notes[0].contains("site.toml applied another definition last"),
        "{notes:?}"
    );
    assert!(noted("site.toml", "new").is_empty());
    // The host was changed; both playbooks have the same definition.
    assert!(noted("docker.toml", "old").is_empty());
}
