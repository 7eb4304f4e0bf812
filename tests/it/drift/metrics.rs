//! Checks that metrics are valid, by a strict reading of the exposition format, and by promtool if
//! it is installed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::site::DriftSite;

/// Returns every series by its name with labels. Panics on text that Prometheus or the textfile
/// collector would refuse.
#[track_caller]
fn parse(text: &str) -> BTreeMap<String, f64> {
    let mut series = BTreeMap::new();
    let (mut helped, mut typed) = (BTreeSet::new(), BTreeSet::new());
    let mut current = String::new();
    assert!(text.ends_with('\n'), "the last line is whole");
    let is_name = |name: &str| {
        !name.is_empty()
            && !name.starts_with(|letter: char| letter.is_ascii_digit())
            && name
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
    };
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(
                is_name(name) && !help.is_empty() && helped.insert(name.to_owned()),
                "{line}"
            );
            current = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').expect("a type");
            assert!(
                name == current && kind == "gauge" && typed.insert(name.to_owned()),
                "{line}"
            );
        } else {
            let (name, rest) = line
                .split_once('{')
                .unwrap_or_else(|| panic!("labels: {line}"));
            assert!(
                name == current && typed.contains(name),
                "its metric was declared right before: {line}"
            );
            let (labels, value) = rest
                .rsplit_once("} ")
                .unwrap_or_else(|| panic!("a value: {line}"));
            let mut rest = labels;
            let mut keys = BTreeSet::new();
            while !rest.is_empty() {
                let (key, after) = rest
                    .split_once("=\"")
                    .unwrap_or_else(|| panic!("a label: {line}"));
                assert!(is_name(key) && keys.insert(key), "{line}");
                let mut escaped = false;
                let end = after.find(|letter| {
                    let closes = letter == '"' && !escaped;
                    escaped = letter == '\\' && !escaped;
                    closes
                });
                rest = &after[end.unwrap_or_else(|| panic!("a closing quote: {line}")) + 1..];
                rest = rest.strip_prefix(',').unwrap_or(rest);
            }
            let value: f64 = value.parse().unwrap_or_else(|_| panic!("a number: {line}"));
            assert!(
                series
                    .insert(format!("{name}{{{labels}}}"), value)
                    .is_none(),
                "twice: {line}"
            );
        }
    }
    series
}

fn promtool(what: &str, text: &str) {
    // promtool reads metrics from standard input, and rules from a file.
    let file: &[&str] = if what == "rules" {
        &["/dev/stdin"]
    } else {
        &[]
    };
    let started = Command::new("promtool")
        .args(["check", what])
        .args(file)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    match started {
        Ok(mut child) => {
            child
                .stdin
                .take()
                .unwrap()
                .write_all(text.as_bytes())
                .unwrap();
            let output = child.wait_with_output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(
                output.status.success() && (said.is_empty() || what == "rules"),
                "{said}"
            );
        }
        Err(_) => eprintln!("promtool is not installed: the {what} were not checked by it"),
    }
}

#[test]
fn metrics_are_valid_and_complete() {
    let mut site = DriftSite::new(3);
    site.playbook("{ file = { path = 'HOST/x', content = 'x' } },\n{ file = { path = 'HOST/y', content = 'y' } },");
    site.run("apply", &["--yes"]).exits(0);
    site.run("check", &["--metrics", "m.prom"]).exits(0);
    let text = site.read("m.prom");
    promtool("metrics", &text);
    let series = parse(&text);
    assert_eq!(
        series[r#"skep_hosts{playbook="playbook",state="in_sync"}"#],
        3.0
    );
    let success = series[r#"skep_check_last_success_timestamp_seconds{playbook="playbook"}"#];
    assert_eq!(
        success,
        series[r#"skep_check_timestamp_seconds{playbook="playbook"}"#]
    );

    std::thread::sleep(std::time::Duration::from_millis(1100));
    site.write("host-a/x", "other");
    site.write("host-a/y", "other");
    site.hosts[1].stop();
    site.run("check", &["--metrics", "m.prom"]).exits(4);
    let text = site.read("m.prom");
    promtool("metrics", &text);
    let series = parse(&text);
    for (name, value) in [
        (
            r#"skep_host_state{playbook="playbook",host="a",state="drift"}"#,
            1.0,
        ),
        (
            r#"skep_host_state{playbook="playbook",host="a",state="in_sync"}"#,
            0.0,
        ),
        (
            r#"skep_host_state{playbook="playbook",host="b",state="unreachable"}"#,
            1.0,
        ),
        (
            r#"skep_host_drifted_resources{playbook="playbook",host="a"}"#,
            2.0,
        ),
        (
            r#"skep_drifted_resources{playbook="playbook",kind="file"}"#,
            2.0,
        ),
        (
            r#"skep_drifted_resources{playbook="playbook",kind="package"}"#,
            0.0,
        ),
        (r#"skep_unreachable_hosts{playbook="playbook"}"#, 1.0),
        (r#"skep_check_exit_code{playbook="playbook"}"#, 4.0),
        (
            r#"skep_check_last_success_timestamp_seconds{playbook="playbook"}"#,
            success,
        ),
    ] {
        assert_eq!(series.get(name), Some(&value), "{name} in\n{text}");
    }
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(site.path("m.prom"))
            .unwrap()
            .permissions(),
    );
    assert_eq!(
        mode & 0o777,
        0o644,
        "the node exporter runs under another account"
    );
}

#[test]
#[should_panic(expected = "twice")]
fn the_parser_is_strict() {
    parse("# HELP a b\n# TYPE a gauge\na{x=\"1\"} 1\na{x=\"1\"} 2\n");
}

#[test]
fn documented_metrics_and_alerts_exist() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap();
    let names = |text: &str| -> BTreeSet<String> {
        let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
        words
            .filter(|word| word.starts_with("skep_"))
            .map(str::to_owned)
            .collect()
    };
    let written = names(&read("src/report/metrics.rs"));
    assert!(written.len() > 10, "{written:?}");
    assert_eq!(
        names(&read("docs/drift.md")),
        written,
        "docs/drift.md names exactly the written metrics"
    );
    let alerts = read("docs/examples/alerts.yml");
    let unknown: Vec<String> = names(&alerts).difference(&written).cloned().collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    promtool("rules", &alerts);
}
