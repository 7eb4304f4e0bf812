//! `skep plan`: the changes that `apply` would make.

use super::docker::{self, swarm};
use super::golden_at_both_widths;
use super::stage::Stage;

/// Resources of a small web server.
pub const FILES: &str = "  { directory = { path = '/srv/app', mode = '0750' } },
  { file = { path = '/srv/app/motd', content = \"Welcome to {{ host.name }}\\nAuthorised use only\\n\" } },
  { file = { path = '/srv/app/token', content = 'hunter2', secret = true, mode = '0600' } },
  { symlink = { path = '/srv/current', target = '/srv/app' } },
  { command = { run = 'echo built >/srv/app/built', creates = '/srv/app/built' } },";

#[test]
fn create() {
    let stage = Stage::new(2);
    stage.playbook(FILES);
    golden_at_both_widths("plan_create", |width| stage.verb(width, "plan", &[]));
}

#[test]
fn update_and_delete() {
    let stage = Stage::new(2);
    stage.playbook(
        "  { file = { path = '/srv/motd', content = \"first\\nsecond\\nthird\\n\", mode = '0640', owner = 'nobody' } },
  { file = { path = '/srv/token', content = 'hunter2', secret = true } },
  { file = { path = '/srv/settings.ini', content = 'log=/var/log/application/production.log level=warning rotate=daily keep=30 compress=gzip' } },
  { symlink = { path = '/srv/current', target = '/srv/new' } },
  { file = { path = '/srv/old', state = 'absent' } },
  { command = { run = 'systemctl restart docker', unless = 'false', disturbs = 'engine_restart' } },
  { command = { run = 'true', always = true, disturbs = 'service_restart' } },",
    );
    for number in [1, 2] {
        stage.on(
            number,
            "cd /srv && printf 'first\\nsecond \\nfourth\\n' >motd && echo other >token && ln -s /srv/last current && touch old &&
             echo 'log=/var/log/application/development.log level=debug rotate=daily keep=7' >settings.ini",
        );
    }
    stage.on(2, "rm /srv/old");
    golden_at_both_widths("plan_update_and_delete", |width| {
        stage.verb(width, "plan", &[])
    });
}

#[test]
fn long_difference() {
    let stage = Stage::new(1);
    let lines: String = (1..=70).map(|number| format!("line {number}\\n")).collect();
    stage.playbook(&format!(
        "  {{ file = {{ path = '/srv/long', content = \"{lines}\" }} }},"
    ));
    golden_at_both_widths("plan_long_difference", |width| {
        stage.verb(width, "plan", &[])
    });
    golden_at_both_widths("plan_long_difference_diff", |width| {
        stage.verb(width, "plan", &["--diff"])
    });
}

#[test]
fn nothing_to_do() {
    let stage = Stage::new(2);
    stage.playbook("  { directory = { path = '/srv' , mode = '1777' } },");
    golden_at_both_widths("plan_nothing_to_do", |width| stage.verb(width, "plan", &[]));
}

#[test]
fn failed_and_unreachable_hosts() {
    let mut stage = Stage::new(3);
    stage.playbook(
        "  { file = { path = '/srv/app', content = 'x' } },
  { file = { path = '/srv/app/y', content = 'y' } },",
    );
    stage.on(2, "mkdir /srv/app");
    stage.hosts[2].stop();
    golden_at_both_widths("plan_failed_and_unreachable_hosts", |width| {
        stage.verb(width, "plan", &["--exit-code"])
    });
}

#[test]
fn new_swarm() {
    let stage = Stage::new(3);
    for number in 1..=3 {
        stage.docker(
            number,
            swarm(docker::outside(number), Vec::new(), Vec::new()),
        );
    }
    stage.write("site.toml", SWARM);
    golden_at_both_widths("plan_new_swarm", |width| stage.verb(width, "plan", &[]));
}

/// A swarm of one manager and workers, with labels and a network.
pub const SWARM: &str = "[[plays]]\nname = 'Managers'\nhosts = 'managers'
resources = [{ swarm_member = { role = 'manager', init = true, address_pool = ['10.20.0.0/16'] } }]
[[plays]]\nname = 'Workers'\nhosts = 'workers'
resources = [{ swarm_member = { role = 'worker' } }, { node_labels = { zone = '{{ host.name }}' } }]
[[plays]]\nname = 'Networks'\nhosts = 'managers'
resources = [{ network = { name = 'back', encrypted = true } }]\n";
