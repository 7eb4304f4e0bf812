//! Tables of plans, and the real swap script with fake dockerd and systemctl.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::*;
use crate::model::{DockerAnswer, Operation, QueryAnswer, ShellQuery, UnitState};
use crate::swarm::samples::{bound, good, roster};

const TABLE: &str = "insecure-registries = ['docker01:5000']\nlog-driver = 'json-file'\nlog-opts = { max-size = '10m' }";

fn file(content: &str) -> QueryAnswer {
    QueryAnswer::Path(Some(PathState {
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
    }))
}

fn answers(live: Option<&str>, last: Option<&str>, engine: DockerAnswer) -> HostAnswers {
    let running = !matches!(engine, DockerAnswer::Absent);
    let state = if running { "active" } else { "inactive" };
    let unit = UnitState {
        properties: [("ActiveState".to_owned(), state.to_owned())].into(),
    };
    UNFINISHED
        .iter()
        .fold(HostAnswers::default(), |answers, path| {
            answers.with(Query::path(*path), QueryAnswer::Path(None))
        })
        .with(
            Query::content(PATH),
            live.map_or(QueryAnswer::Path(None), file),
        )
        .with(
            Query::content(RECORD),
            last.map_or(QueryAnswer::Path(None), file),
        )
        .with(
            Query::Shell(ShellQuery::Unit("docker".into())),
            QueryAnswer::Unit(unit),
        )
        .with(
            Query::Shell(ShellQuery::Program("dockerd".into())),
            QueryAnswer::Program(running.then(|| "/usr/bin/dockerd".into())),
        )
        .with(Query::docker("/info"), QueryAnswer::Engine(engine))
}

/// Returns the `/info` of an Engine that runs with these insecure registries.
fn engine(registries: &[&str]) -> DockerAnswer {
    let indexes: serde_json::Map<String, Value> = registries
        .iter()
        .map(|name| ((*name).to_owned(), json!({"Name": name, "Secure": false})))
        .collect();
    good(json!({"LoggingDriver": "json-file", "RegistryConfig": {
        "IndexConfigs": indexes, "InsecureRegistryCIDRs": ["127.0.0.0/8"], "Mirrors": []}}))
}

fn plan(table: &str, answers: &HostAnswers) -> Result<Option<Change>, Refusal> {
    let kind: DaemonJsonResource = bound(table, "docker01", &roster(&["docker01"])).unwrap();
    match kind.observe(answers).unwrap() {
        Observation::Known(seen) => kind.plan(&seen),
        Observation::Needs(_) => panic!(),
    }
}

fn script(change: &Change) -> (Vec<String>, String) {
    let Operation::Script(script) = &change.steps[0].act else {
        panic!()
    };
    let length: usize = script.arguments[3].parse().unwrap();
    (
        script.arguments.clone(),
        String::from_utf8(script.stdin[..length].to_vec()).unwrap(),
    )
}

#[test]
fn writes_the_file_before_the_engine_is_installed() {
    let change = plan(TABLE, &answers(None, None, DockerAnswer::Absent))
        .unwrap()
        .unwrap();
    assert_eq!(
        (change.action, change.disturbs),
        (Action::Create, Disruption::Nothing)
    );
    let (arguments, content) = script(&change);
    assert_eq!(arguments[2], "none");
    assert!(
        content
            .starts_with("{\n    \"insecure-registries\": [\n        \"docker01:5000\"\n    ],\n"),
        "{content}"
    );
    // The same content read back is in sync, whatever its format.
    assert!(
        plan(
            TABLE,
            &answers(Some(&content), None, engine(&["docker01:5000"]))
        )
        .unwrap()
        .is_none()
    );
    let compact = r#"{"log-opts":{"max-size":"10m"},"log-driver":"json-file","x":1,"insecure-registries":["docker01:5000"]}"#;
    assert!(
        plan(
            TABLE,
            &answers(Some(compact), None, engine(&["docker01:5000"]))
        )
        .unwrap()
        .is_none()
    );
}

#[test]
fn reloads_if_possible_and_restarts_otherwise() {
    for (table, live, last, disturbs) in [
        (
            "insecure-registries = ['docker01:5000']",
            "{}",
            "{}",
            Disruption::Reload,
        ),
        (
            "debug = true",
            r#"{"debug": false}"#,
            "{}",
            Disruption::Reload,
        ),
        (
            "log-driver = 'journald'",
            "{}",
            "{}",
            Disruption::EngineRestart,
        ),
        (
            "debug = true\nlog-level = 'warn'",
            "{}",
            "{}",
            Disruption::EngineRestart,
        ),
        (
            "debug = true",
            r#"{"debug": true, "labels": ["a=b"]}"#,
            r#"{"labels": ["a=b"]}"#,
            Disruption::EngineRestart,
        ),
    ] {
        let change = plan(table, &answers(Some(live), Some(last), engine(&[])))
            .unwrap()
            .unwrap();
        assert_eq!(change.disturbs, disturbs, "{table}");
    }
}

#[test]
fn merges_three_ways() {
    for (last, live, wanted, document, note) in [
        // A key that is no longer wanted is removed; a foreign key stays in its place.
        (
            r#"{"a-a": 1, "debug": true}"#,
            r#"{"z": 9, "debug": true, "a-a": 1}"#,
            "a-a = 1",
            r#"{"z":9,"a-a":1}"#,
            None,
        ),
        // A key that was changed outside skep is kept and named.
        (
            r#"{"debug": true}"#,
            r#"{"debug": false}"#,
            "x = 1",
            r#"{"debug":false,"x":1}"#,
            Some("changed outside skep"),
        ),
        // In shared lists, elements of skep are removed and foreign elements stay.
        (
            r#"{"insecure-registries": ["old:1"]}"#,
            r#"{"insecure-registries": ["hand:2", "old:1"]}"#,
            "insecure-registries = ['new:3']",
            r#"{"insecure-registries":["hand:2","new:3"]}"#,
            None,
        ),
        (
            r#"{"registry-mirrors": ["https://m"]}"#,
            r#"{"registry-mirrors": ["https://m"]}"#,
            "x = 1",
            r#"{"registry-mirrors":[],"x":1}"#,
            None,
        ),
    ] {
        let wanted: DaemonJsonResource = toml::from_str(wanted).unwrap();
        let read = |text: &str| document::read(text.as_bytes()).unwrap();
        let merged = merge::merge(&read(last), &read(live), &wanted.wanted);
        assert_eq!(serde_json::to_string(&merged.document).unwrap(), document);
        assert_eq!(
            merged.notes.is_empty(),
            note.is_none(),
            "{:?}",
            merged.notes
        );
        assert!(note.is_none_or(|note| merged.notes[0].contains(note)));
        // A second merge finds no difference.
        assert!(
            merge::merge(&wanted.wanted, &merged.document, &wanted.wanted)
                .differences
                .is_empty()
        );
    }
}

#[test]
fn invalid_json_is_named_by_line_and_kept() {
    for (content, place) in [
        (
            "{\"debug\": true}\n{\"debug\": false}\n",
            "line 2, column 1: the document ends before this",
        ),
        ("{\n  \"debug\": true,\n}\n", "line 3, column 1"),
        (
            "{\"debug\": true,\n \"debug\": false}",
            "line 2, column 8: the key `debug` appears twice",
        ),
        ("[]", "not an object"),
        ("{\"a\": {\"b\": 1, \"b\": 2}}", "the key `b` appears twice"),
    ] {
        let answers = answers(Some(content), None, engine(&[]));
        let refusal = plan("debug = true", &answers).unwrap_err();
        assert!(refusal.why.contains(place), "{content:?}: {}", refusal.why);
        assert!(refusal.hint.contains("replace_invalid"));
        let change = plan("debug = true\nreplace_invalid = true", &answers)
            .unwrap()
            .unwrap();
        assert_eq!(change.fields[0].field, "content");
        let (arguments, content) = script(&change);
        assert!(
            arguments[4].starts_with("/etc/docker/daemon.json.skep-invalid-"),
            "{arguments:?}"
        );
        assert_eq!(content, "{\n    \"debug\": true\n}\n");
    }
    assert!(
        plan("debug = true", &answers(Some(" \n"), None, engine(&[])))
            .unwrap()
            .is_some(),
        "empty is an empty object"
    );
}

#[test]
fn reloads_an_engine_that_runs_with_an_older_file() {
    let live =
        r#"{"insecure-registries": ["docker01:5000"], "registry-mirrors": ["https://m.lan"]}"#;
    let table = "insecure-registries = ['docker01:5000']";
    let change = plan(table, &answers(Some(live), None, engine(&[])))
        .unwrap()
        .unwrap();
    assert_eq!(change.disturbs, Disruption::Reload);
    assert_eq!(
        change.fields[0].field,
        "insecure-registries (in the running Engine)"
    );
    let network = r#"{"insecure-registries": ["127.0.0.5/8"]}"#;
    assert!(
        plan(
            "insecure-registries = ['127.0.0.5/8']",
            &answers(Some(network), None, engine(&[]))
        )
        .unwrap()
        .is_none()
    );
    assert!(
        plan(
            "registry-mirrors = ['https://m.lan']",
            &answers(Some(live), None, engine(&[]))
        )
        .unwrap()
        .is_some()
    );
    let journald = r#"{"log-driver": "journald"}"#;
    let change = plan(
        "log-driver = 'journald'",
        &answers(Some(journald), None, engine(&[])),
    )
    .unwrap()
    .unwrap();
    assert_eq!(change.disturbs, Disruption::EngineRestart);
    assert_eq!(
        change.preparation.len(),
        1,
        "the new file is validated first"
    );
}

#[test]
fn keys_that_would_stop_the_engine_are_refused_at_load() {
    for table in [
        "hosts = ['tcp://0.0.0.0:2375']",
        "insecure_registries = ['a:1']",
        "insecure-registries = 'a:1'",
        "registry-mirrors = [1]",
        "log-opts = { max-file = 3 }",
    ] {
        let error =
            bound::<DaemonJsonResource>(table, "docker01", &roster(&["docker01"])).unwrap_err();
        assert!(error.hint.is_some(), "{table}");
    }
    assert!(toml::from_str::<DaemonJsonResource>("replace_invalid = 'yes'").is_err());
    assert!(toml::from_str::<DaemonJsonResource>("since = 2026-01-01").is_err());
}

/// Runs the swap with a fake Engine that is the node `n1` of the cluster `c1`. The Engine only
/// comes back while daemon.json does not contain `bad`, is in no swarm if it contains `moved`, is
/// another node if it contains `other`, does not answer while the file `hung` exists, refuses a
/// file that contains `wrong`, and reports a reload at the third query, unless the file contains
/// `lost`. Returns success and standard error.
fn run_swap(
    folder: &Path,
    mode: &str,
    content: &str,
    keep: &str,
    validates: bool,
) -> (bool, String) {
    let output = start_swap(folder, mode, content, keep, validates)
        .wait_with_output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

fn start_swap(
    folder: &Path,
    mode: &str,
    content: &str,
    keep: &str,
    validates: bool,
) -> std::process::Child {
    let programs = folder.join("bin");
    std::fs::create_dir_all(&programs).unwrap();
    let path = folder.join("etc/docker/daemon.json");
    let (json, log) = (
        path.display().to_string(),
        folder.join("log").display().to_string(),
    );
    let help = if validates {
        "  --validate   Validate"
    } else {
        "  --config-file"
    };
    for (name, text) in [
        (
            "dockerd",
            format!(
                "[ \"$1\" != --help ] || {{ echo '{help}'; exit 0; }}\nfor last; do :; done\n! grep -q wrong \"${{last#--config-file=}}\" || {{ echo 'unknown key wrong'; exit 1; }}"
            ),
        ),
        (
            "systemctl",
            format!(
                "case \"$1 $2\" in\n\
                 'show --property=InvocationID') grep -c restart '{log}' 2>/dev/null; exit 0 ;;\n\
                 'show --property=ActiveState') if grep -q bad '{json}'; then echo failed; else echo active; fi; exit 0 ;;\n\
                 'show '*) exit 0 ;;\n\
                 esac\n\
                 echo \"$1\" >>'{log}'\n\
                 ! grep -q slow '{json}' || sleep 2\n\
                 [ \"$1\" != is-active ] || ! grep -q bad '{json}'"
            ),
        ),
        (
            "docker",
            format!(
                "[ \"$1 $3\" = '--config -H' ] || exit 9\nshift 4\n\
                 [ ! -e '{}' ] || exit 1\n\
                 case $1 in\n\
                 info) if grep -q moved '{json}'; then echo 'inactive  '; elif grep -q other '{json}'; then echo 'pending n2 '; else echo 'active n1 c1'; fi ;;\n\
                 events) echo asked >>'{log}'; grep -q lost '{json}' || [ $(grep -c asked '{log}') -lt 3 ] || echo reload ;;\n\
                 *) echo 20.10 ;;\n\
                 esac",
                folder.join("hung").display()
            ),
        ),
        ("journalctl", "echo 'bad configuration'".into()),
    ] {
        let file = programs.join(name);
        std::fs::write(&file, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let record = folder.join("var/skep/daemon.json");
    let mut child = Command::new("sh")
        .args([
            "-euc",
            &format!("umask 022\ntrap 'exit 1' TERM\n{}", path_script(SWAP)),
            "sh",
        ])
        .args([
            &json,
            record.to_str().unwrap(),
            mode,
            &content.len().to_string(),
            keep,
            "1",
            "2",
            "n1",
            "c1",
        ])
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .env("DOCKER_HOST", "tcp://elsewhere:2375")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let input = format!("{content}RECORD");
    let mut stdin = child.stdin.take().unwrap();
    std::io::Write::write_all(&mut stdin, input.as_bytes()).unwrap();
    child
}

fn files_of(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn swap_leaves_only_file_and_record() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc/docker");
    let (done, said) = run_swap(folder.path(), "none", "{\"a\": \"ü\"}\n", "", true);
    assert!(done, "{said}");
    assert_eq!(
        std::fs::read_to_string(etc.join("daemon.json")).unwrap(),
        "{\"a\": \"ü\"}\n"
    );
    let record = folder.path().join("var/skep/daemon.json");
    assert_eq!(std::fs::read_to_string(&record).unwrap(), "RECORD");
    assert_eq!(
        std::fs::metadata(&record).unwrap().permissions().mode() & 0o777,
        0o600
    );
    assert_eq!(
        std::fs::metadata(etc.join("daemon.json"))
            .unwrap()
            .permissions()
            .mode()
            & 0o777,
        0o644
    );
    assert!(
        !folder.path().join("log").exists(),
        "an Engine that does not run is left alone"
    );

    let keep = etc.join("kept").display().to_string();
    let (done, said) = run_swap(folder.path(), "reload", "{\"b\": 1}\n", &keep, false);
    assert!(done, "{said}");
    assert_eq!(files_of(&etc), ["daemon.json", "kept"]);
    assert_eq!(std::fs::read_to_string(&keep).unwrap(), "{\"a\": \"ü\"}\n");
    assert_eq!(
        std::fs::read_to_string(folder.path().join("log")).unwrap(),
        "reload\nasked\nasked\nasked\nis-active\n"
    );
}

#[test]
fn lost_reload_restores_the_old_file_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    run_swap(folder.path(), "none", "{}\n", "", true);
    let (done, said) = run_swap(folder.path(), "reload", "{\"lost\": 1}\n", "", true);
    assert!(
        !done && said.contains("did not load the new") && said.contains("the Engine still runs"),
        "{said}"
    );
    assert_eq!(
        std::fs::read_to_string(folder.path().join("etc/docker/daemon.json")).unwrap(),
        "{}\n"
    );
    assert!(
        !std::fs::read_to_string(folder.path().join("log"))
            .unwrap()
            .contains("restart")
    );
}

/// Before a restart, a step of its own validates: nothing stands between the quorum check and the
/// restart.
#[test]
fn a_restart_is_prepared_by_a_validation() {
    let folder = tempfile::tempdir().unwrap();
    // Makes the fake programs.
    run_swap(folder.path(), "none", "{}\n", "", true);
    let validate = |content: &str, length: usize| {
        let path = format!("{}/bin:/usr/bin:/bin", folder.path().display());
        let mut child = Command::new("sh")
            .args(["-euc", VALIDATE, "sh", PATH, &length.to_string(), "60"])
            .env("PATH", path)
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::io::Write::write_all(&mut stdin, content.as_bytes()).unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        (
            output.status.success(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    assert_eq!(validate("{}\n", 3), (true, String::new()));
    let (good, said) = validate("{\"wrong\": 1}\n", 13);
    assert!(
        !good
            && said.contains("refuses the new /etc/docker/daemon.json")
            && said.contains("unknown key wrong"),
        "{said}"
    );
    assert!(!validate("{", 3).0, "a part of the content");
}

#[test]
fn refused_file_is_never_installed() {
    let folder = tempfile::tempdir().unwrap();
    run_swap(folder.path(), "none", "{}\n", "", true);
    let (done, said) = run_swap(folder.path(), "reload", "{\"wrong\": 1}\n", "", true);
    assert!(!done && said.contains("unknown key wrong"), "{said}");
    assert_eq!(
        std::fs::read_to_string(folder.path().join("etc/docker/daemon.json")).unwrap(),
        "{}\n"
    );
    assert_eq!(files_of(&folder.path().join("etc/docker")), ["daemon.json"]);
    assert!(
        !folder.path().join("log").exists(),
        "the Engine was not touched"
    );
}

#[test]
fn failed_restart_restores_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc/docker");
    run_swap(folder.path(), "none", "{}\n", "", true);
    let (done, said) = run_swap(folder.path(), "restart", "{\"bad\": 1}\n", "", false);
    assert!(
        !done && said.contains("the old file was restored, and the Engine runs: bad configuration"),
        "{said}"
    );
    assert_eq!(
        std::fs::read_to_string(etc.join("daemon.json")).unwrap(),
        "{}\n"
    );
    assert_eq!(files_of(&etc), ["daemon.json"]);
    assert_eq!(
        std::fs::read_to_string(folder.path().join("var/skep/daemon.json")).unwrap(),
        "RECORD"
    );

    // If there was no file before, there is no file afterwards.
    let fresh = tempfile::tempdir().unwrap();
    let (done, _) = run_swap(fresh.path(), "restart", "{\"bad\": 1}\n", "", false);
    assert!(!done);
    assert!(files_of(&fresh.path().join("etc/docker")).is_empty());
}

#[test]
fn engine_that_comes_back_as_another_node_gets_its_old_file() {
    for content in ["{\"moved\": 1}\n", "{\"other\": 1}\n"] {
        let folder = tempfile::tempdir().unwrap();
        let etc = folder.path().join("etc/docker");
        run_swap(folder.path(), "none", "{}\n", "", true);
        let (done, said) = run_swap(folder.path(), "restart", content, "", true);
        assert!(
            !done
                && said.contains("no longer the node n1 of its swarm; the old file was restored")
                && said.contains("runs as that node again"),
            "{said}"
        );
        assert_eq!(
            std::fs::read_to_string(etc.join("daemon.json")).unwrap(),
            "{}\n"
        );
        assert_eq!(files_of(&etc), ["daemon.json"]);
        let log = std::fs::read_to_string(folder.path().join("log")).unwrap();
        assert_eq!(log.matches("restart").count(), 2, "{log}");
    }
    let folder = tempfile::tempdir().unwrap();
    let (done, said) = run_swap(folder.path(), "restart", "{\"same\": 1}\n", "", true);
    assert!(done, "{said}");
}

#[test]
fn hung_engine_gets_its_old_file_in_time_and_is_not_restarted() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc/docker");
    run_swap(folder.path(), "none", "{}\n", "", true);
    std::fs::write(folder.path().join("hung"), "").unwrap();
    let started = std::time::Instant::now();
    let (done, said) = run_swap(folder.path(), "reload", "{\"a\": 1}\n", "", true);
    assert!(
        !done
            && said.contains("does not answer")
            && said.contains("the old file was restored, and the Engine was not restarted"),
        "{said}"
    );
    assert!(started.elapsed().as_secs() < 20);
    assert_eq!(
        std::fs::read_to_string(etc.join("daemon.json")).unwrap(),
        "{}\n"
    );
    assert_eq!(files_of(&etc), ["daemon.json"]);
    assert!(
        !std::fs::read_to_string(folder.path().join("log"))
            .unwrap()
            .contains("restart")
    );
}

#[test]
fn swap_leaves_no_file_behind_if_the_record_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc/docker");
    run_swap(folder.path(), "none", "{}\n", "", true);
    let record = folder.path().join("var/skep/daemon.json");
    std::fs::remove_file(&record).unwrap();
    std::fs::create_dir_all(record.join("in the way")).unwrap();
    std::fs::write(etc.join("daemon.json.skep-old"), "of a killed swap").unwrap();
    let (done, said) = run_swap(folder.path(), "restart", "{\"a\": 1}\n", "", true);
    assert!(!done, "{said}");
    assert_eq!(files_of(&etc), ["daemon.json"]);
    assert_eq!(files_of(&folder.path().join("var/skep")), ["daemon.json"]);
}

#[test]
fn interrupted_swap_restores_the_old_file() {
    let folder = tempfile::tempdir().unwrap();
    let etc = folder.path().join("etc/docker");
    run_swap(folder.path(), "none", "{}\n", "", true);
    let child = start_swap(folder.path(), "reload", "{\"slow\": 1}\n", "", true);
    let new = |text: &str| {
        std::fs::read_to_string(etc.join("daemon.json")).is_ok_and(|now| now.contains(text))
    };
    while !new("slow") {
        std::thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    Command::new("kill").args(["-TERM", &pid]).status().unwrap();
    assert!(!child.wait_with_output().unwrap().status.success());
    assert!(new("{}"));
    assert_eq!(files_of(&etc), ["daemon.json"]);
}

#[test]
fn second_swap_waits_for_the_first() {
    let folder = tempfile::tempdir().unwrap();
    run_swap(folder.path(), "none", "{}\n", "", true);
    let records = folder.path().join("var/skep");
    let mut first = Command::new("flock")
        .args(["--no-fork", records.to_str().unwrap(), "sleep", "5"])
        .spawn()
        .unwrap();
    std::thread::sleep(Duration::from_millis(300));
    let (done, said) = run_swap(folder.path(), "none", "{\"b\": 1}\n", "", true);
    assert!(!done && said.contains("another change of"), "{said}");
    first.kill().unwrap();
    first.wait().unwrap();
    assert_eq!(
        std::fs::read_to_string(folder.path().join("etc/docker/daemon.json")).unwrap(),
        "{}\n"
    );
}

/// Returns the `/info` of an Engine with more fields.
fn info(more: Value) -> DockerAnswer {
    let mut body = json!({"LoggingDriver": "json-file", "DockerRootDir": "/var/lib/docker",
        "Swarm": {"LocalNodeState": "active", "NodeID": "n1", "Cluster": {"ID": "c1"}}});
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    good(body)
}

fn in_no_swarm() -> DockerAnswer {
    info(json!({"Swarm": {"LocalNodeState": "inactive", "NodeID": ""}}))
}

fn state_file(root: &str, exists: bool) -> (Query, QueryAnswer) {
    let answer = if exists {
        file("{}")
    } else {
        QueryAnswer::Path(None)
    };
    (
        Query::path(format!("{root}/swarm/docker-state.json")),
        answer,
    )
}

#[test]
fn settings_that_a_node_of_a_swarm_does_not_survive_are_refused() {
    let moved = "data-root = '/srv/docker'";
    for (table, live, engine, copied, refused) in [
        ("live-restore = true", "{}", info(json!({})), false, true),
        ("live-restore = true", "{}", in_no_swarm(), false, false),
        ("live-restore = false", "{}", info(json!({})), false, false),
        // It is in the file already, and the next start would fail.
        (
            "debug = true",
            r#"{"live-restore": true}"#,
            info(json!({})),
            false,
            true,
        ),
        (
            "live-restore = false",
            r#"{"live-restore": true}"#,
            info(json!({})),
            false,
            false,
        ),
        (
            "firewall-backend = 'nftables'",
            "{}",
            info(json!({})),
            false,
            true,
        ),
        (
            "firewall-backend = 'nftables'",
            "{}",
            in_no_swarm(),
            false,
            false,
        ),
        (moved, "{}", info(json!({})), false, true),
        ("graph = '/srv/docker'", "{}", info(json!({})), false, true),
        (moved, "{}", in_no_swarm(), false, false),
        // The data was copied: the swap proves that it is that of this node.
        (moved, "{}", info(json!({})), true, false),
        // The folder is the present one, under the same or another spelling.
        (
            "data-root = '/var/lib/docker/'",
            "{}",
            info(json!({})),
            false,
            false,
        ),
        (
            moved,
            "{}",
            info(json!({"DockerRootDir": "/srv/docker"})),
            false,
            false,
        ),
        (
            moved,
            "{}",
            info(json!({"DockerRootDir": "/srv/docker/165536.165536"})),
            false,
            false,
        ),
        // Somebody edited the file, and Docker Engine has not started since.
        (
            "debug = true",
            r#"{"data-root": "/srv/docker"}"#,
            info(json!({})),
            false,
            true,
        ),
        (
            "debug = true",
            "{}",
            info(json!({"DockerRootDir": "/srv/by-flag"})),
            false,
            false,
        ),
        (
            "userns-remap = 'default'",
            "{}",
            info(json!({})),
            true,
            true,
        ),
        (
            "userns-remap = 'default'",
            "{}",
            in_no_swarm(),
            false,
            false,
        ),
    ] {
        let (query, answer) = state_file("/srv/docker", copied);
        let answers = answers(Some(live), None, engine).with(query, answer);
        let planned = plan(table, &answers);
        assert_eq!(planned.is_err(), refused, "{table} on {live}: {planned:?}");
        if let Err(refusal) = planned {
            assert!(
                refusal.why.contains("node") && !refusal.hint.is_empty(),
                "{refusal:?}"
            );
            assert!(!refusal.hint.contains("--force"), "{refusal:?}");
        }
    }
    // A removed key moves the data back.
    let last = r#"{"data-root": "/srv/docker"}"#;
    let engine = info(json!({"DockerRootDir": "/srv/docker"}));
    let (query, answer) = state_file("/var/lib/docker", false);
    let answers = answers(Some(last), Some(last), engine).with(query, answer);
    assert!(plan("debug = true", &answers).is_err());
}

#[test]
fn stopped_engine_is_known_as_a_node_by_its_data() {
    for (in_swarm, refused) in [(true, true), (false, false)] {
        let (query, answer) = state_file("/var/lib/docker", in_swarm);
        let (new, empty) = state_file("/srv/docker", false);
        let stopped = answers(Some("{}"), None, DockerAnswer::Absent)
            .with(
                Query::Shell(ShellQuery::Program("dockerd".into())),
                QueryAnswer::Program(Some("/usr/bin/dockerd".into())),
            )
            .with(query, answer)
            .with(new, empty);
        for table in ["data-root = '/srv/docker'", "live-restore = true"] {
            assert_eq!(plan(table, &stopped).is_err(), refused, "{table}");
        }
    }
}

#[test]
fn moved_data_is_planned_with_its_costs() {
    let change = plan(
        "data-root = '/srv/docker'",
        &answers(Some("{}"), None, in_no_swarm()),
    )
    .unwrap()
    .unwrap();
    assert_eq!(change.disturbs, Disruption::EngineRestart);
    assert!(
        change.notes[0].contains("in /var/lib/docker stay there"),
        "{:?}",
        change.notes
    );
    let store = plan(
        "features = { containerd-snapshotter = true }",
        &answers(Some("{}"), None, info(json!({}))),
    )
    .unwrap()
    .unwrap();
    assert_eq!(store.disturbs, Disruption::EngineRestart);
    assert!(store.notes[0].contains("out of use"), "{:?}", store.notes);
    // The swap gets the node that must come back.
    let (arguments, _) = script(&store);
    assert_eq!(arguments[7..], ["n1", "c1"]);
}

#[test]
fn running_engine_that_does_not_answer_is_unknown() {
    let kind: DaemonJsonResource =
        bound("debug = true", "docker01", &roster(&["docker01"])).unwrap();
    for live in [r#"{"debug": true}"#, "{}"] {
        let silent = answers(Some(live), None, DockerAnswer::Down("timed out".into()));
        let error = kind.observe(&silent).err().unwrap().to_string();
        assert!(
            error.contains("timed out") && error.contains("does not respond"),
            "{error}"
        );
    }
}

#[test]
fn only_keys_that_the_engine_takes_from_a_reload_are_reloaded() {
    for (table, disturbs) in [
        ("labels = ['a=b']", Disruption::Reload),
        ("default-shm-size = '1G'", Disruption::Reload),
        ("features = { buildkit = true }", Disruption::EngineRestart),
        ("exec-root = '/run/x'", Disruption::EngineRestart),
        (
            "swarm-default-advertise-addr = 'eth0'",
            Disruption::EngineRestart,
        ),
        ("storage-driver = 'overlay2'", Disruption::EngineRestart),
        ("http-proxy = 'http://p:1'", Disruption::EngineRestart),
    ] {
        let change = plan(table, &answers(Some("{}"), None, info(json!({}))))
            .unwrap()
            .unwrap();
        assert_eq!(change.disturbs, disturbs, "{table}");
    }
}

#[test]
fn no_empty_list_of_insecure_registries_is_written() {
    let empty = "insecure-registries = []\nregistry-mirrors = []";
    assert!(
        plan(empty, &answers(None, None, info(json!({}))))
            .unwrap()
            .is_none()
    );
    let with_driver = format!("{empty}\nlog-driver = 'json-file'");
    let change = plan(&with_driver, &answers(None, None, DockerAnswer::Absent))
        .unwrap()
        .unwrap();
    assert_eq!(
        script(&change).1,
        "{\n    \"log-driver\": \"json-file\"\n}\n"
    );
    // The last registry goes, or an earlier release of skep wrote the empty list.
    for (live, last) in [
        (
            r#"{"insecure-registries": ["a:1"]}"#,
            r#"{"insecure-registries": ["a:1"]}"#,
        ),
        (
            r#"{"insecure-registries": []}"#,
            r#"{"insecure-registries": []}"#,
        ),
    ] {
        let change = plan(empty, &answers(Some(live), Some(last), info(json!({}))))
            .unwrap()
            .unwrap();
        assert_eq!(change.disturbs, Disruption::Reload);
        let (_, content) = script(&change);
        assert!(
            content.contains("127.0.0.0/8") && content.contains("::1/128"),
            "{content}"
        );
        assert!(
            plan(empty, &answers(Some(&content), Some(last), info(json!({}))))
                .unwrap()
                .is_none()
        );
    }
    // A list that somebody else has emptied is theirs.
    let theirs = answers(
        Some(r#"{"insecure-registries": []}"#),
        None,
        info(json!({})),
    );
    assert!(plan(empty, &theirs).unwrap().is_none());
}

#[test]
fn passwords_of_proxies_are_shown_nowhere() {
    let table = "http-proxy = 'http://u:PASSWORD@p:3128'\nhttps-proxy = 'u:PASSWORD@p:3128'\nregistry-mirrors = ['https://u:PASSWORD@m']\nproxies = { http-proxy = 'u:PASSWORD@p:1' }";
    let change = plan(table, &answers(Some("{}"), None, in_no_swarm()))
        .unwrap()
        .unwrap();
    let shown = format!("{:?} {:?}", change.fields, change.notes);
    assert!(
        !shown.contains("PASSWORD") && shown.contains("u:***@p:3128"),
        "{shown}"
    );
    let Operation::Script(run) = &change.steps[0].act else {
        panic!()
    };
    let length: usize = run.arguments[3].parse().unwrap();
    let (content, record) = run.stdin.split_at(length);
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert_eq!(text(content).matches("PASSWORD").count(), 4);
    assert!(!text(record).contains("PASSWORD"), "{}", text(record));
    // The record without passwords still tells that the keys are skep's own.
    let gone = plan(
        "debug = true",
        &answers(Some(&text(content)), Some(&text(record)), in_no_swarm()),
    )
    .unwrap()
    .unwrap();
    assert!(gone.notes.is_empty(), "{:?}", gone.notes);
    assert_eq!(
        script(&gone).1,
        "{\n    \"registry-mirrors\": [],\n    \"debug\": true\n}\n"
    );
    let other = plan(
        "http-proxy = 'http://u:OTHER@p:3128'",
        &answers(
            Some(r#"{"http-proxy": "http://u:PASSWORD@p:3128"}"#),
            None,
            in_no_swarm(),
        ),
    )
    .unwrap()
    .unwrap();
    let shown = format!("{:?}", other.fields);
    assert!(
        shown.contains("with another password") && !shown.contains("OTHER"),
        "{shown}"
    );
}

#[test]
fn utf_16_with_its_mark_is_read() {
    let text = "{\"debug\": true}\n";
    let le: Vec<u8> = std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(u16::to_le_bytes)
        .collect();
    let be: Vec<u8> = std::iter::once(0xfeff)
        .chain(text.encode_utf16())
        .flat_map(u16::to_be_bytes)
        .collect();
    for bytes in [&le, &be] {
        let read = document::read(bytes).unwrap();
        assert_eq!(read["debug"], JsonValue::Scalar(true.into()));
    }
    assert!(
        document::read(&le[..le.len() - 1])
            .unwrap_err()
            .contains("UTF-16")
    );
}

#[test]
fn elements_that_the_engine_takes_for_the_same_are_no_difference() {
    let object = |text: &str| document::read(text.as_bytes()).unwrap();
    let live = object(
        r#"{"registry-mirrors": ["https://m.example/"], "insecure-registries": ["10.0.0.5/24"]}"#,
    );
    let wanted = object(
        r#"{"registry-mirrors": ["https://m.example"], "insecure-registries": ["10.0.0.0/24"]}"#,
    );
    let merged = merge::merge(&JsonObject::new(), &live, &wanted);
    assert!(merged.differences.is_empty(), "{merged:?}");
    // The record has the spelling of the playbook, and the file that of a person.
    let merged = merge::merge(&wanted, &live, &object(r#"{"registry-mirrors": []}"#));
    assert_eq!(merged.differences.len(), 2, "{merged:?}");
}

/// A machine that lost its power during a change keeps its files, and the record lacks the change.
#[test]
fn files_of_an_interrupted_change_are_drift() {
    let live = r#"{"debug": true}"#;
    let answers =
        answers(Some(live), None, engine(&[])).with(Query::path(UNFINISHED[1]), file("{}"));
    let change = plan("debug = true", &answers).unwrap().unwrap();
    assert_eq!(change.fields.len(), 1);
    assert_eq!(change.disturbs, Disruption::Nothing);
    let (arguments, stdin) = script(&change);
    assert_eq!(arguments[2], "none", "{arguments:?}");
    assert!(stdin.contains("debug"), "{stdin}");
}
