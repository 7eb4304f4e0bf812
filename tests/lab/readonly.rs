//! `check` cannot write: a node's sshd and all its descendants are traced while skep checks the
//! node bare, converged and drifted. The trace may only contain reads, and writes of any login.
//! `apply` under the same trace shows that the trace would contain a write.

use crate::skep::skep;
use crate::test_lab::TestLab;
use crate::trace::{Trace, while_traced};

const NODE: &str = "docker01";

#[track_caller]
fn only_reads(trace: &Trace, programs: &[&str]) {
    for program in programs {
        assert!(
            trace.programs.contains(*program),
            "the trace saw no {program}: {:?}",
            trace.programs
        );
    }
    assert!(
        trace.writes.is_empty(),
        "check wrote:\n{}",
        trace.writes.join("\n")
    );
    let asked: Vec<&String> = trace
        .requests
        .iter()
        // The `docker` command, which relays the requests, pings the Engine.
        .filter(|request| !request.starts_with("GET /") && *request != "HEAD /_ping")
        .collect();
    assert!(asked.is_empty(), "the Engine was asked to act: {asked:?}");
}

#[test]
fn check_writes_nothing() {
    let lab = TestLab::up_with("readonly", &["--managers", "1", "--workers", "0"]);
    lab.on(NODE, "apt-get update && apt-get install --yes strace");

    let bare = while_traced(&lab, NODE, || drop(lab.web2py("check", &[]).exits(3)));
    only_reads(&bare, &["find", "dpkg-query", "getent"]);

    let applied = while_traced(&lab, NODE, || {
        drop(lab.web2py("apply", &["--yes"]).exits(0));
    });
    assert!(
        applied
            .writes
            .iter()
            .any(|line| line.contains("/etc/docker/")),
        "apply's own writes are seen"
    );
    assert!(
        applied
            .requests
            .iter()
            .any(|request| request.starts_with("POST /")),
        "{:?}",
        applied.requests
    );

    let converged = while_traced(&lab, NODE, || drop(lab.web2py("check", &[]).exits(0)));
    only_reads(&converged, &["find", "dpkg-query", "systemctl"]);
    assert!(
        converged
            .requests
            .iter()
            .any(|request| request.ends_with("/info")),
        "{:?}",
        converged.requests
    );

    lab.on(NODE, "printf '{}' >/etc/docker/daemon.json; ln -sfn /tmp /home/vagrant/web2py/apache2/conf; gpasswd -d vagrant docker");
    lab.on(NODE, "docker node update --availability drain docker01");
    let drifted = while_traced(&lab, NODE, || {
        // No resource sets the availability of the node: the cluster check reports it.
        let said = lab
            .web2py("check", &[])
            .exits(3)
            .says("cluster[swarm]")
            .says("availability of docker01: drain -> active");
        // The certificate is new, and the only node is in the inventory.
        assert!(
            !said.stdout.contains("certificate") && !said.stdout.contains("not in the inventory"),
            "{}",
            said.stdout
        );
    });
    only_reads(&drifted, &["find", "dpkg-query", "systemctl"]);
    stopped_engine_stays_stopped(&lab);
    engine_without_socket_is_not_in_sync(&lab);
    crate::schedule::timer_runs_check_and_drift_fails_unit(&lab, NODE);
}

/// An Engine that somebody stopped, whose socket systemd still listens at: no verb that reads may
/// connect to it.
fn stopped_engine_stays_stopped(lab: &TestLab) {
    lab.on(NODE, "systemctl stop docker.service");
    let is_stopped = || {
        let states = lab
            .try_on(NODE, "systemctl is-active docker.service docker.socket")
            .1;
        assert_eq!(states, "inactive\nactive");
    };
    is_stopped();
    let read = while_traced(lab, NODE, || {
        lab.run("check", "playbooks/docker.toml", &[])
            .exits(3)
            .says("running: inactive -> yes");
        is_stopped();
        for (verb, playbook) in [
            ("plan", true),
            ("facts", false),
            ("ping", false),
            ("status", false),
        ] {
            let inventory = lab.inventory();
            let mut arguments = vec![verb, "-i", &inventory];
            arguments.extend(playbook.then_some("playbooks/web2py.toml"));
            let said = skep(&arguments);
            assert!(said.code != 2, "{verb}: {}", said.stderr);
            is_stopped();
        }
    });
    only_reads(&read, &["find", "dpkg-query", "systemctl"]);
    assert!(read.requests.is_empty(), "{:?}", read.requests);
    lab.run("apply", "playbooks/docker.toml", &["--yes"])
        .exits(0);
    assert_eq!(lab.on(NODE, "systemctl is-active docker"), "active");
}

/// An Engine whose units are active and whose socket is gone.
fn engine_without_socket_is_not_in_sync(lab: &TestLab) {
    lab.on(NODE, "rm /run/docker.sock");
    lab.run("check", "playbooks/docker.toml", &[])
        .exits(1)
        .says("docker.sock does not exist");
    lab.run("apply", "playbooks/docker.toml", &["--yes"])
        .exits(1)
        .says("systemctl restart docker.socket docker");
    lab.on(NODE, "systemctl restart docker.socket docker");
    lab.run("check", "playbooks/docker.toml", &[]).exits(0);
}
