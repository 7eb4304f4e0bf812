//! Disturbance: Engines of a swarm restart one at a time, and never below a majority.

use std::time::Duration;

use crate::lot::Lot;
use crate::skep::skep;

const RESTART: &str = r#"[[plays]]
name = "restart"
hosts = "all"
resources = [{ daemon_json = { insecure-registries = ["docker01:5000"], log-driver = "json-file", log-opts = { max-size = "11m", max-file = "3" } } }]
"#;

#[test]
fn engines_of_a_swarm_restart_one_at_a_time() {
    let lot = Lot::up_with("quorum", &["--managers", "3", "--workers", "1"]);
    lot.web2py("apply", &["--yes"]).exits(0);
    let managers = lot.on(
        "docker01",
        "docker node ls --filter role=manager --format '{{.Hostname}} {{.ManagerStatus}}' | sort",
    );
    assert_eq!(managers.lines().count(), 3, "{managers}");
    let playbook = lot.write("restart.toml", RESTART);
    lot.run("plan", &playbook, &[])
        .exits(0)
        .says("RESTARTS THE ENGINE");
    lot.run("apply", &playbook, &["--yes"]).exits(0);
    // Stop of one Engine and start of the next never overlap.
    let mut spans: Vec<(u64, u64)> = ["docker01", "docker02", "docker03", "docker04"]
        .iter()
        .map(|node| {
            let text = lot.on(
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
    lot.run("check", &playbook, &[]).exits(0);

    // With one of three managers gone, a restart of another would leave one of three: refused, and --force says the risk.
    lot.fault("stop", "docker03");
    let again = lot.write("again.toml", &RESTART.replace("11m", "12m"));
    let started = lot.on(
        "docker02",
        "systemctl show -p ExecMainStartTimestamp docker",
    );
    let said = lot
        .run("apply", &again, &["--yes", "--limit", "docker02"])
        .exits(1);
    let text = format!("{}{}", said.stdout, said.stderr);
    assert!(
        text.contains("majority") && text.contains("--force"),
        "{text}"
    );
    assert_eq!(
        started,
        lot.on(
            "docker02",
            "systemctl show -p ExecMainStartTimestamp docker"
        ),
        "not restarted"
    );
    lot.until(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.ManagerStatus}}' | grep -x 'docker03 Unreachable'",
        Duration::from_secs(60),
    );
    lot.web2py("check", &[])
        .exits(4)
        .says("manager docker03 (")
        .says("): unreachable -> reachable");
    // Nor is one of the two that are left destroyed to be made again.
    let identity = lot.on("docker02", "cat /etc/machine-id");
    let rebuild = [
        "node",
        "rebuild",
        "-i",
        &lot.inventory(),
        "--yes",
        "docker02",
        "playbooks/web2py.toml",
    ];
    skep(&rebuild).exits(2).says("majority");
    assert_eq!(lot.on("docker02", "cat /etc/machine-id"), identity);
    lot.fault("start", "docker03");
    lot.run("apply", &again, &["--yes"]).exits(0);
}

#[test]
fn roles_are_mended() {
    let lot = Lot::up_with("roles", &["--managers", "3", "--workers", "1"]);
    lot.web2py("apply", &["--yes"]).exits(0);
    // Each change of role is waited for at the node itself: an Engine that is still finding its peers is another story.
    let is = |node: &str, control: bool| {
        let state = format!(
            "docker info --format '{{{{.Swarm.LocalNodeState}}}} {{{{.Swarm.ControlAvailable}}}}' | grep -x 'active {control}'"
        );
        lot.until(node, &state, Duration::from_secs(120));
    };
    lot.on("docker01", "docker node promote docker04");
    is("docker04", true);
    lot.web2py("check", &[])
        .exits(3)
        .says("managers: 4 -> an odd number");
    lot.on("docker01", "docker node demote docker03");
    is("docker03", false);
    is("docker04", true);
    let said = lot.web2py("check", &[]).exits(3);
    assert!(
        said.stdout.contains("role: worker -> manager")
            && said.stdout.contains("role: manager -> worker"),
        "{}",
        said.stdout
    );
    lot.web2py("apply", &["--yes"]).exits(0);
    lot.web2py("check", &[]).exits(0).says("In sync");
    let managers = lot.on(
        "docker01",
        "docker node ls --filter role=manager --format '{{.Hostname}}' | sort",
    );
    assert_eq!(managers, "docker01\ndocker02\ndocker03");
}
