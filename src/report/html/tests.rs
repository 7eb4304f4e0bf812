//! Tests of the page: text from a host never becomes markup, and the page loads nothing.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::SystemTime;

use super::html_text;
use crate::drift::report::{
    ReportCluster, ReportDrift, ReportField, ReportHost, ReportMember, ReportProblem, ReportValue,
};
use crate::drift::{CheckMetadata, CheckReport, FilteredRun, HostState, IgnoreRules, assemble};
use crate::runner::DriftCause;

const EVIL: &str =
    "</script><script>alert(1)</script><img src=x onerror='alert(2)'>\"'{{ 7 * 7 }}\u{1b}[31m";

pub(in crate::report) fn report(text: &str) -> CheckReport {
    let rules = IgnoreRules::default();
    let (inventory, playbooks) = (vec![text.into()], vec![text.into()]);
    let about = CheckMetadata {
        started: SystemTime::UNIX_EPOCH,
        inventory,
        playbooks,
        exit_code: 1,
        rules: &rules,
        cluster: None,
    };
    let mut report = assemble(&FilteredRun::default(), &about);
    let drift = ReportDrift {
        play: text.into(),
        resource: format!("file[{text}]"),
        kind: "file".into(),
        action: "update".into(),
        disturbs: "nothing".into(),
        cause: DriftCause::ChangedBehindOurBack,
        since: Some("2026-01-01T00:00:00Z".into()),
        last_applied: None,
        fields: vec![
            ReportField {
                field: text.into(),
                before: ReportValue::Lines(format!("{text}\nb\n")),
                after: ReportValue::Lines("a\nb\n".into()),
            },
            ReportField {
                field: "owner".into(),
                before: ReportValue::Text(text.into()),
                after: ReportValue::Secret,
            },
        ],
        notes: vec![text.into()],
    };
    report.hosts = vec![ReportHost {
        host: "docker01".into(),
        state: HostState::Drift,
        failure: None,
        unreachable: Some(ReportProblem {
            why: text.into(),
            hint: text.into(),
        }),
        notes: vec![text.into()],
        resources: 1,
        drift: vec![drift],
        ignored: Vec::new(),
        failed: Vec::new(),
    }];
    let member = |host: Option<&str>| ReportMember {
        host: host.map(str::to_owned),
        hostname: text.into(),
        node_id: "n1".into(),
        role: "manager".into(),
        state: text.into(),
        leader: true,
        labels: BTreeMap::from([(text.to_owned(), text.to_owned())]),
        engine_version: text.into(),
        ..ReportMember::default()
    };
    let members = vec![member(Some("docker01")), member(None)];
    report.cluster = Some(ReportCluster {
        members,
        managers: 2,
        voters: 1,
        problems: vec![text.into()],
    });
    report
}

#[test]
fn text_from_a_host_is_escaped() {
    let page = html_text(&report(EVIL)).unwrap();
    let harmless = html_text(&report("harmless")).unwrap();
    for tag in ["<script", "</script", "<img", "<li", "<span", "<td"] {
        assert_eq!(
            page.matches(tag).count(),
            harmless.matches(tag).count(),
            "{tag}"
        );
    }
    assert!(
        !page.contains("onerror='") && !page.contains('\u{1b}'),
        "quotes are escaped, control characters are made visible"
    );
    assert!(
        page.contains("{{ 7 * 7 }}") && !page.contains("49m"),
        "text is not evaluated as a template"
    );
}

#[test]
fn the_page_loads_nothing_and_runs_its_own_script_only() {
    let page = html_text(&report("x")).unwrap();
    for forbidden in [
        "http://",
        "https://",
        "src=",
        "@import",
        "url(",
        "innerHTML",
    ] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let policy = page
        .split("Content-Security-Policy")
        .nth(1)
        .unwrap()
        .split('>')
        .next()
        .unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    let nonce = policy
        .split("script-src 'nonce-")
        .nth(1)
        .unwrap()
        .split('\'')
        .next()
        .unwrap();
    assert!(nonce.len() == 32 && page.contains(&format!("<script nonce=\"{nonce}\">")));
    assert_ne!(
        html_text(&report("x")).unwrap(),
        page,
        "the nonce is new each time"
    );
}

#[test]
fn page_shows_the_swarm_the_findings_and_the_diff() {
    let page = html_text(&report("x")).unwrap();
    for expected in [
        "changed behind our back",
        "<span class=\"del\">- x</span>",
        "<span class=\"add\">+ a</span>",
        "(secret)",
        "x=x",
        "in no inventory",
        "1/2",
        "prefers-color-scheme: dark",
    ] {
        assert!(page.contains(expected), "{expected} in\n{page}");
    }
}
