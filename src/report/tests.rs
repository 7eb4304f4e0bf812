//! Feeds hostile text through every output: no control character gets through, and no line of a
//! host can pass for a line of skep.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::drift::report::{ReportFailure, ReportIgnored};
use crate::drift::{CheckReport, HistoryRow};
use crate::model::{Action, DisplayValue, Disruption, FieldChange};
use crate::names::HostName;
use crate::runner::outcome::{ChangeView, Problem};
use crate::runner::{DriftCause, HostOutcome, Outcome, ResourceOutcome, RunSummary};

/// Lines that skep itself prints, control characters of every sort, and markup.
const HOSTILE: &str = "broken\nFORGED  12  0  0  0  0  in sync\nFORGED: In sync: 3 hosts\n  + FORGED\n      try: FORGED\r\nFORGED\u{1b}[2J\u{1b}]0;x\u{7}\u{9b}31m\u{85}FORGED\u{2028}FORGED\u{202e}\u{2066}\u{200f}\u{61c}\u{0}\u{8}\u{7f}<script>FORGED</script>\"'&";

fn summary() -> RunSummary {
    let text = || HOSTILE.to_owned();
    let problem = || Problem {
        why: text(),
        hint: text(),
    };
    let field = |before, after| FieldChange {
        field: text(),
        before,
        after,
    };
    let change = |action| ChangeView {
        action,
        fields: vec![
            field(DisplayValue::Text(text()), DisplayValue::Lines(text())),
            field(
                DisplayValue::Lines(text()),
                DisplayValue::Lines("a\n".into()),
            ),
            field(DisplayValue::Absent, DisplayValue::Text("short".into())),
        ],
        steps: vec![text()],
        disturbs: Disruption::Nothing,
        repeats: false,
        notes: vec![text()],
    };
    let differs = |action| ResourceOutcome {
        change: Some(change(action)),
        ..ResourceOutcome::new(text(), text(), Outcome::Differs)
    };
    let resources = vec![
        differs(Action::Create),
        differs(Action::Update),
        ResourceOutcome::new(text(), text(), Outcome::Unchanged),
        ResourceOutcome::new(
            text(),
            text(),
            Outcome::Failed {
                why: text(),
                hint: text(),
            },
        ),
        ResourceOutcome::new(text(), text(), Outcome::Skipped { because: text() }),
    ];
    let host = HostOutcome {
        resources,
        notes: vec![text()],
        unreachable: Some(problem()),
        failure: Some(problem()),
        ..HostOutcome::default()
    };
    RunSummary {
        hosts: [(HostName::new("docker01"), host)].into(),
        ..RunSummary::default()
    }
}

fn report() -> CheckReport {
    let mut report = html::tests::report(HOSTILE);
    let drift = report.hosts[0].drift[0].clone();
    report.hosts[0].failed = vec![ReportFailure {
        play: HOSTILE.into(),
        resource: HOSTILE.into(),
        kind: "file".into(),
        cause: DriftCause::Unknown,
        why: HOSTILE.into(),
        hint: HOSTILE.into(),
    }];
    report.hosts[0].ignored = vec![ReportIgnored {
        drift,
        reason: HOSTILE.into(),
        expires: "2030-01-01".into(),
    }];
    report
}

/// Returns every output that contains text of hosts, by name.
fn outputs() -> Vec<(&'static str, String)> {
    let (summary, report) = (summary(), report());
    let style = PlanStyle {
        causes: true,
        ..PlanStyle::default()
    };
    let mut table = TextTable::new(&["HOST", "STATE"]);
    table.row(["docker01", HOSTILE]);
    let rows: Vec<HistoryRow> = vec![HistoryRow {
        host: "docker01".into(),
        resource: HOSTILE.into(),
        since: HOSTILE.into(),
        until: None,
        checks: Vec::new(),
    }];
    vec![
        ("plan", plan_text(&summary, style)),
        ("recap", recap_text(&summary, 9)),
        ("totals", plan_totals(&summary)),
        ("ignored", ignored_text(&report)),
        (
            "history",
            history_text(std::slice::from_ref(&report), &rows, true),
        ),
        ("table", table.text()),
        ("html", html_text(&report).unwrap()),
        ("junit", junit_text(&report, &summary)),
        ("metrics", metrics_text(&report)),
        ("document line", document_line(&report)),
        (
            "document",
            literal_document(&serde_json::to_string_pretty(&report).unwrap()),
        ),
        ("note", format!("docker01: {}", literal(HOSTILE))),
        ("line", format!("problem: {}", literal_line(HOSTILE))),
    ]
}

#[test]
fn no_control_character_is_in_any_output() {
    for (name, text) in outputs() {
        let raw = text
            .chars()
            .find(|letter| !matches!(letter, '\n' | '\t') && literal::is_control(*letter));
        assert_eq!(raw, None, "{name}: {text}");
        // Nothing is left for the last check to escape.
        assert_eq!(literal::literal_output(&text), text, "{name}");
    }
}

#[test]
fn no_line_of_a_host_passes_for_a_line_of_skep() {
    for (name, text) in outputs() {
        // Lines of skep are indented by at most six spaces. Lines of a diff and further lines of a
        // text are indented by eight.
        for line in text.lines().filter(|line| !line.starts_with("        ")) {
            let begin = line.trim_start_matches([' ', '+', '-', '~']);
            assert!(
                !begin.starts_with("FORGED") && !begin.starts_with("try: FORGED"),
                "{name}: {line}"
            );
        }
    }
}

#[test]
fn documents_keep_their_meaning() {
    let line = document_line(&report());
    let value: serde_json::Value = serde_json::from_str(&line).unwrap();
    assert_eq!(value["report"]["hosts"][0]["notes"][0], HOSTILE);
    assert_eq!(line.lines().count(), 1);
    let pretty = serde_json::to_string_pretty(&report()).unwrap();
    let read: CheckReport = serde_json::from_str(&literal_document(&pretty)).unwrap();
    assert_eq!(read.hosts[0].notes[0], HOSTILE);
}

/// A text reaches the terminal only through [`Screen`], whose last check escapes what a call has
/// forgotten. This test shows that the check is in both of its outputs.
#[test]
fn the_screen_is_the_last_check() {
    let source = include_str!("screen.rs");
    assert_eq!(
        source.matches("literal_output(").count(),
        2,
        "note and result"
    );
    assert_eq!(source.matches("stdout().lock()").count(), 1);
    assert_eq!(
        source.matches("stderr().lock()").count(),
        2,
        "note and the question of apply"
    );
}
