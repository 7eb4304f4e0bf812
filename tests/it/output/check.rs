//! `skep check`: drift, its causes, and drift that a rule ignores.

use super::docker::{self, set, swarm};
use super::golden_at_both_widths;
use super::plan::{FILES, SWARM};
use super::stage::Stage;

#[test]
fn causes() {
    let stage = Stage::new(2);
    stage.playbook(FILES);
    golden_at_both_widths("check_never_applied", |width| {
        stage.verb(width, "check", &[])
    });
    stage.quietly("apply", &["--yes"]);
    golden_at_both_widths("check_in_sync", |width| stage.verb(width, "check", &[]));
    stage.on(
        1,
        "chmod 755 /srv/app; echo 'edited by hand' >>/srv/app/motd; rm /srv/current",
    );
    stage.playbook(&FILES.replace("'0600'", "'0640'"));
    golden_at_both_widths("check_drift", |width| stage.verb(width, "check", &[]));
}

#[test]
fn ignored() {
    let stage = Stage::new(2);
    stage.playbook(FILES);
    stage.quietly("apply", &["--yes"]);
    stage.on(
        1,
        "chmod 755 /srv/app; echo 'edited by hand' >>/srv/app/motd",
    );
    let rule = |resource: &str, expires: &str| {
        format!(
            "[[ignore]]\nhosts = 'docker01'\nresource = '{resource}'\nreason = 'an audit is under way'\nexpires = '{expires}'\n"
        )
    };
    stage.write(
        "rules.toml",
        &(rule("directory[*]", "2999-12-31") + &rule("file[*/motd]", "2020-12-31")),
    );
    golden_at_both_widths("check_ignored", |width| {
        stage.verb(width, "check", &["--ignore", "rules.toml"])
    });
    stage.on(1, "sed -i '$d' /srv/app/motd");
    golden_at_both_widths("check_ignored_only", |width| {
        stage.verb(width, "check", &["--ignore", "rules.toml"])
    });
}

#[test]
fn unreachable_host() {
    let mut stage = Stage::new(2);
    stage.playbook("  { file = { path = '/srv/motd', content = 'x' } },");
    stage.hosts[1].stop();
    golden_at_both_widths("check_unreachable_host", |width| {
        stage.verb(width, "check", &[])
    });
}

#[test]
fn swarm_drift() {
    let stage = Stage::new(3);
    let labelled = |number| {
        set(
            docker::node(number),
            "/Spec/Labels",
            serde_json::json!({"zone": format!("docker0{number}")}),
        )
    };
    let ghost = set(
        set(docker::node(9), "/Status/State", "down"),
        "/Description/Hostname",
        "docker03",
    );
    let drained = set(labelled(3), "/Spec/Availability", "drain");
    let nodes = vec![docker::voter(1, true), docker::node(2), drained, ghost];
    stage.docker(1, swarm(docker::manager(1), nodes, Vec::new()));
    for number in [2, 3] {
        stage.docker(
            number,
            swarm(docker::worker(number), Vec::new(), Vec::new()),
        );
    }
    stage.write("site.toml", SWARM);
    golden_at_both_widths("check_swarm_drift", |width| stage.verb(width, "check", &[]));
}
