//! `skep apply`: the plan, the lines of the run and the recap.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

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

/// The Engine of a manager reports an error while it changes its role. `apply` waits for the end of
/// that state, and `check` reports it at once.
#[test]
fn manager_in_transition() {
    let stage = Stage::new(2);
    let nodes = vec![docker::voter(1, true), docker::voter(2, false)];
    stage.docker(1, swarm(docker::manager(1), nodes.clone(), Vec::new()));
    let joining = set(docker::worker(2), "/Swarm/LocalNodeState", "error");
    let joining = set(
        joining,
        "/Swarm/Error",
        "rpc error: code = Unavailable desc = not a manager yet",
    );
    let before = swarm(joining, Vec::new(), Vec::new());
    let after = swarm(docker::manager(2), nodes, Vec::new());
    let readings_before = Arc::new(AtomicUsize::new(0));
    let left = readings_before.clone();
    stage.docker(
        2,
        Arc::new(move |request: &str| {
            let is_info = request == "GET /info";
            let next = |count: usize| count.checked_sub(usize::from(is_info));
            match left.fetch_update(SeqCst, SeqCst, next) {
                Ok(0) | Err(_) => after(request),
                Ok(_) => before(request),
            }
        }),
    );
    stage.write(
        "site.toml",
        "[[plays]]\nname = 'Members'\nhosts = 'managers'\nresources = [{ swarm_member = { role = 'manager' } }]\n",
    );
    let inventory = std::fs::read_to_string(stage.path("inventory.toml")).unwrap();
    stage.write(
        "inventory.toml",
        &inventory.replace("'workers'", "'managers'"),
    );
    golden_at_both_widths("apply_manager_in_transition", |width| {
        readings_before.store(2, SeqCst);
        stage.verb(width, "apply", &["--yes"])
    });
    golden_at_both_widths("check_manager_in_transition", |width| {
        readings_before.store(1000, SeqCst);
        stage.verb(width, "check", &[])
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
