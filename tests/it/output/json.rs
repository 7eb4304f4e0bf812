//! `--json`: one object per line, shown here over several lines.

use super::docker::{self, swarm};
use super::stage::Stage;
use super::{golden, redact};

/// Compares the output, which is the same on every terminal.
#[track_caller]
fn golden_json(name: &str, transcript: &str) {
    let (command, rest) = transcript.split_once('\n').unwrap();
    let (json, rest) = rest.split_once("----").unwrap();
    golden(
        name,
        &format!("{command}\n{}----{rest}", redact::indent_json(json)),
    );
}

fn one_file() -> Stage {
    let stage = Stage::new(1);
    stage.playbook("  { file = { path = '/srv/motd', content = \"first\\n\" } },");
    stage
}

#[test]
fn plan() {
    golden_json("json_plan", &one_file().verb(80, "plan", &["--json"]));
}

#[test]
fn apply() {
    golden_json(
        "json_apply",
        &one_file().verb(80, "apply", &["--json", "--yes"]),
    );
}

#[test]
fn check() {
    golden_json("json_check", &one_file().verb(80, "check", &["--json"]));
}

#[test]
fn unreachable_host() {
    let mut stage = one_file();
    stage.hosts[0].stop();
    golden_json(
        "json_unreachable_host",
        &stage.verb(80, "check", &["--json"]),
    );
}

#[test]
fn status() {
    let stage = Stage::new(1);
    stage.docker(
        1,
        swarm(
            docker::manager(1),
            vec![docker::voter(1, true)],
            vec![docker::service("web", "web:1", 0, 1)],
        ),
    );
    golden_json(
        "json_status",
        &stage.skep(80, &["status", "-i", "inventory.toml", "--json"]),
    );
}

#[test]
fn validate() {
    let stage = Stage::new(0);
    stage.write(
        "inventory.toml",
        "[hosts.docker01]\naddress = '192.168.56.11'\n",
    );
    stage.playbook("  { simlink = { path = '/a', target = '/b' } },\n  { symlink = { path = '/{{ nme }}', target = '/b' } },");
    golden_json("json_validate", &stage.verb(80, "validate", &["--json"]));
}
