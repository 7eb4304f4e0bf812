//! `check` cannot write: a node's sshd and all its descendants are traced while skep checks the
//! node bare, converged and drifted. The trace may only contain reads, and writes of any login.
//! `apply` under the same trace shows that the trace would contain a write.

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
        .filter(|request| !request.starts_with("GET /"))
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
    crate::schedule::timer_runs_check_and_drift_fails_unit(&lab, NODE);
}
