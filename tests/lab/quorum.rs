//! Disruption: Engines of a swarm restart one at a time, and never below a majority.

use std::time::Duration;

use crate::skep::skep;
use crate::test_lab::TestLab;

const RESTART: &str = r#"[[plays]]
name = "restart"
hosts = "all"
resources = [{ daemon_json = { insecure-registries = ["docker01:5000"], log-driver = "json-file", log-opts = { max-size = "11m", max-file = "3" } } }]
"#;

#[test]
fn engine_restarts_keep_quorum() {
    let lab = TestLab::with_docker("quorum", &["--managers", "3", "--workers", "1"]);
    lab.web2py("apply", &["--yes"]).exits(0);
    let managers = lab.on(
        "docker01",
        "docker node ls --filter role=manager --format '{{.Hostname}} {{.ManagerStatus}}' | sort",
    );
    assert_eq!(managers.lines().count(), 3, "{managers}");
    let playbook = lab.write("restart.toml", RESTART);
    lab.run("plan", &playbook, &[])
        .exits(0)
        .says("RESTARTS THE ENGINE");
    lab.run("apply", &playbook, &["--yes"]).exits(0);
    // The stop of one Engine and the start of the next must not overlap.
    let mut spans: Vec<(u64, u64)> = ["docker01", "docker02", "docker03", "docker04"]
        .iter()
        .map(|node| {
            let text = lab.on(
                node,
                "systemctl show -p InactiveExitTimestampMonotonic,InactiveEnterTimestampMonotonic --value docker",
            );
            let times: Vec<u64> = text.lines().map(|line| line.trim().parse().unwrap()).collect();
            (*times.iter().min().unwrap(), *times.iter().max().unwrap())
        })
        .collect();
    spans.sort_unstable();
    for pair in spans.windows(2) {
        assert!(
            pair[0].1 <= pair[1].0,
            "two Engines were away at once: {spans:?}"
        );
    }
    lab.run("check", &playbook, &[]).exits(0);

    // With one of three managers stopped, a restart of another would leave one of three: refused,
    // and --force names the risk.
    lab.fault("stop", "docker03");
    let again = lab.write("again.toml", &RESTART.replace("11m", "12m"));
    let started = lab.on(
        "docker02",
        "systemctl show -p ExecMainStartTimestamp docker",
    );
    let said = lab
        .run("apply", &again, &["--yes", "--limit", "docker02"])
        .exits(1);
    let text = format!("{}{}", said.stdout, said.stderr);
    assert!(
        text.contains("majority") && text.contains("--force"),
        "{text}"
    );
    assert_eq!(
        started,
        lab.on(
            "docker02",
            "systemctl show -p ExecMainStartTimestamp docker"
        ),
        "not restarted"
    );
    lab.until(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.ManagerStatus}}' | grep -x 'docker03 Unreachable'",
        Duration::from_secs(60),
    );
    lab.web2py("check", &[])
        .exits(4)
        .says("manager docker03 (")
        .says("): unreachable -> reachable");
    // A rebuild of one of the two remaining managers is refused as well.
    let identity = lab.on("docker02", "cat /etc/machine-id");
    let rebuild = [
        "node",
        "rebuild",
        "-i",
        &lab.inventory(),
        "--yes",
        "docker02",
        "playbooks/web2py.toml",
    ];
    skep(&rebuild).exits(2).says("majority");
    assert_eq!(lab.on("docker02", "cat /etc/machine-id"), identity);
    lab.fault("start", "docker03");
    lab.run("apply", &again, &["--yes"]).exits(0);
}

#[test]
fn changed_roles_are_repaired() {
    let lab = TestLab::with_docker("roles", &["--managers", "3", "--workers", "1"]);
    lab.web2py("apply", &["--yes"]).exits(0);
    // Each change of role is awaited at the node itself: an Engine that still searches its peers is
    // not the subject here.
    let is = |node: &str, control: bool| {
        let state = format!(
            "docker info --format '{{{{.Swarm.LocalNodeState}}}} {{{{.Swarm.ControlAvailable}}}}' | grep -x 'active {control}'"
        );
        lab.until(node, &state, Duration::from_secs(120));
    };
    lab.on("docker01", "docker node promote docker04");
    is("docker04", true);
    lab.web2py("check", &[])
        .exits(3)
        .says("managers: 4 -> an odd number");
    lab.on("docker01", "docker node demote docker03");
    is("docker03", false);
    is("docker04", true);
    let said = lab.web2py("check", &[]).exits(3);
    assert!(
        said.stdout.contains("role: worker -> manager")
            && said.stdout.contains("role: manager -> worker"),
        "{}",
        said.stdout
    );
    lab.web2py("apply", &["--yes"]).exits(0);
    lab.web2py("check", &[]).exits(0).says("In sync");
    let managers = lab.on(
        "docker01",
        "docker node ls --filter role=manager --format '{{.Hostname}}' | sort",
    );
    assert_eq!(managers, "docker01\ndocker02\ndocker03");
}
