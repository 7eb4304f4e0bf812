//! `skep apply`: the plan, the lines of the run and the recap.

use super::docker::{self, set, swarm};
use super::golden_at_both_widths;
use super::plan::{FILES, SWARM};
use super::stage::Stage;

/// Restores the first state of the hosts.
fn empty(stage: &Stage) {
    for number in 1..=stage.hosts.len() {
        stage.on(number, "rm -rf /srv/* /var/lib/skep/*");
    }
}

#[test]
fn create() {
    let stage = Stage::new(2);
    stage.playbook(FILES);
    golden_at_both_widths("apply_create", |width| {
        empty(&stage);
        stage.verb(width, "apply", &["--yes"])
    });
    golden_at_both_widths("apply_nothing_to_do", |width| {
        stage.verb(width, "apply", &["--yes"])
    });
    golden_at_both_widths("apply_without_terminal", |width| {
        stage.verb(width, "apply", &[])
    });
}

#[test]
fn verbose() {
    let stage = Stage::new(1);
    stage.playbook(FILES);
    golden_at_both_widths("apply_verbose", |width| {
        empty(&stage);
        stage.verb(width, "apply", &["--yes", "-vv"])
    });
}

#[test]
fn failed_and_unreachable_hosts() {
    let mut stage = Stage::new(3);
    stage.playbook(
        "  { file = { path = '/srv/before', content = 'x' } },
  { command = { name = 'migrate', run = 'test -e /srv/ready || { echo \"the database is locked by another process\" >&2; exit 7; }', always = true } },
  { file = { path = '/srv/after', content = 'x' } },
  { file = { path = '/srv/later', content = 'x' } },",
    );
    stage.hosts[2].stop();
    golden_at_both_widths("apply_failed_and_unreachable_hosts", |width| {
        for number in [1, 2] {
            stage.on(number, "rm -rf /srv/*");
        }
        stage.on(1, "touch /srv/ready");
        stage.verb(width, "apply", &["--yes"])
    });
}

#[test]
fn refused_changes() {
    let stage = Stage::new(1);
    stage.playbook(
        "  { file = { path = '/srv/before', content = 'x' } },
  { file = { path = '/srv/folder', content = 'x' } },",
    );
    golden_at_both_widths("apply_refused_change", |width| {
        empty(&stage);
        stage.on(1, "mkdir /srv/folder");
        stage.verb(width, "apply", &["--yes"])
    });
    stage.playbook("  { file = { path = '/srv/app/settings', content = 'x' } },");
    golden_at_both_widths("apply_parent_of_another_account", |width| {
        empty(&stage);
        stage.on(1, "mkdir /srv/app && chown nobody /srv/app");
        stage.verb(width, "apply", &["--yes"])
    });
}

#[test]
fn foreign_swarm() {
    let stage = Stage::new(2);
    stage.docker(
        1,
        swarm(docker::manager(1), vec![docker::voter(1, true)], Vec::new()),
    );
    let foreign = set(
        docker::manager(2),
        "/Swarm/Cluster/ID",
        "q9foreign0cluster8w2e5r7t",
    );
    stage.docker(2, swarm(foreign, vec![docker::voter(2, true)], Vec::new()));
    let (members, _) = SWARM.split_once("[[plays]]\nname = 'Networks'").unwrap();
    stage.write("site.toml", members);
    golden_at_both_widths("apply_foreign_swarm", |width| {
        stage.verb(width, "apply", &["--yes"])
    });
}

#[test]
fn lost_majority() {
    let stage = Stage::new(2);
    let silent = set(
        docker::voter(3, false),
        "/ManagerStatus/Reachability",
        "unreachable",
    );
    let nodes = vec![docker::voter(1, true), docker::voter(2, false), silent];
    for number in [1, 2] {
        stage.docker(
            number,
            swarm(docker::manager(number), nodes.clone(), Vec::new()),
        );
    }
    stage.write(
        "site.toml",
        "[[plays]]\nname = 'Workers'\nhosts = 'workers'\nresources = [{ swarm_member = { role = 'worker' } }]\n",
    );
    golden_at_both_widths("apply_lost_majority", |width| {
        stage.verb(width, "apply", &["--yes", "--limit", "docker02"])
    });
}

#[test]
fn locked_host() {
    let stage = Stage::new(1);
    stage.playbook(FILES);
    golden_at_both_widths("apply_locked_host", |width| {
        empty(&stage);
        stage.on(
            1,
            "mkdir -p /run/skep.lock && read -r now _ </proc/uptime &&
             printf '%s\\n' token bob@desk 4711 '2026-03-01 12:00:00 UTC' \"${now%.*}\" >/run/skep.lock/owner",
        );
        stage.verb(width, "apply", &["--yes"])
    });
}
