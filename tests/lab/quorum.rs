//! Disruption: Engines of a swarm restart one at a time, and never below a majority.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

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
    no_two_away(&lab);
    lab.run("check", &playbook, &[]).exits(0);
    parallel_runs_take_turns(&lab);
    interrupt_ends_the_wait_for_the_turn(&lab);
    lease_of_dead_run_is_taken_over(&lab);
    hung_manager_costs_its_time_once(&lab);

    // With one of three managers stopped, a restart of another would leave one of three: refused,
    // and --force names the risk.
    lab.fault("stop", "docker03");
    let again = lab.write("again.toml", &RESTART.replace("11m", "19m"));
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

/// The stop of one Engine and the start of the next must not overlap.
fn no_two_away(lab: &TestLab) {
    let mut spans: Vec<(u64, u64)> = ["docker01", "docker02", "docker03", "docker04"]
        .iter()
        .map(|node| {
            let text = lab.on(
                node,
                "systemctl show -p InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic,InactiveEnterTimestampMonotonic --value docker",
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
}

/// Starts an apply of a restart; returns it, and the file with its messages.
fn restart(lab: &TestLab, name: &str, size: &str, more: &[&str]) -> (Child, String) {
    let playbook = lab.write(
        &format!("restart-{name}.toml"),
        &RESTART.replace("11m", size),
    );
    let more = [&["--yes"], more].concat();
    let messages = lab.path(&format!("restart-{name}.txt"));
    let output = std::fs::File::create(&messages).unwrap();
    let run = lab
        .command("apply", &playbook, &more)
        .stdout(Stdio::null())
        .stderr(output)
        .spawn()
        .unwrap();
    (run, messages)
}

/// Runs that know nothing of each other restart one Engine at a time.
fn parallel_runs_take_turns(lab: &TestLab) {
    let slow = "mkdir -p /etc/systemd/system/docker.service.d; \
         printf '[Service]\\nExecStartPre=/bin/sleep 3\\n' >/etc/systemd/system/docker.service.d/slow.conf; systemctl daemon-reload";
    let nodes = ["docker01", "docker02", "docker03", "docker04"];
    for node in nodes {
        lab.on(node, slow);
    }
    let runs: Vec<(Child, String)> = nodes
        .iter()
        .map(|node| restart(lab, node, "12m", &["--limit", node, "--lock-wait", "5m"]))
        .collect();
    for (mut run, messages) in runs {
        let code = run.wait().unwrap().code();
        let said = std::fs::read_to_string(messages).unwrap();
        assert_eq!(code, Some(0), "{said}");
    }
    no_two_away(lab);
    for node in nodes {
        lab.on(
            node,
            "rm /etc/systemd/system/docker.service.d/slow.conf; systemctl daemon-reload",
        );
    }
    let configs = lab.on("docker01", "docker config ls --format '{{.Name}}'");
    assert!(
        !configs.contains("lease"),
        "the lease ends with the runs: {configs}"
    );
}

/// After Ctrl-C during the first restart, the Engines that wait for their turn are left alone.
fn interrupt_ends_the_wait_for_the_turn(lab: &TestLab) {
    let (mut run, messages) = restart(lab, "interrupted", "13m", &[]);
    let begun = Instant::now();
    while !std::fs::read_to_string(&messages)
        .unwrap()
        .contains("waiting: another host is being disrupted")
    {
        assert!(begun.elapsed() < Duration::from_secs(60));
        std::thread::sleep(Duration::from_millis(100));
    }
    let interrupt = Command::new("kill")
        .args(["-INT", &run.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    assert_eq!(run.wait().unwrap().code(), Some(130));
    let changed = ["docker01", "docker02", "docker03", "docker04"]
        .iter()
        .filter(|node| lab.try_on(node, "grep -q 13m /etc/docker/daemon.json").0 == 0)
        .count();
    assert!(changed <= 1, "{changed} hosts were changed");
    let configs = lab.on("docker02", "docker config ls --format '{{.Name}}'");
    assert!(!configs.contains("lease"), "{configs}");
}

/// A lease that nobody renews ends after a minute; a lease that somebody renews is respected.
fn lease_of_dead_run_is_taken_over(lab: &TestLab) {
    let create = "printf x | docker config create -l skep.owner=ann@desk -l skep.host=docker01 -l skep.token=dead skep-disruption-lease -";
    lab.on("docker03", create);
    let started = Instant::now();
    let (mut run, messages) = restart(lab, "lease", "14m", &["--limit", "docker04"]);
    assert_eq!(run.wait().unwrap().code(), Some(0));
    assert!(
        started.elapsed() > Duration::from_secs(55),
        "{:?}",
        started.elapsed()
    );
    let said = std::fs::read_to_string(messages).unwrap();
    assert!(
        said.contains("another run disrupts docker01") && said.contains("ann@desk"),
        "{said}"
    );
    let configs = lab.on("docker02", "docker config ls --format '{{.Name}}'");
    assert!(!configs.contains("lease"), "{configs}");
}

/// An Engine that hangs costs its time limit once, and not once for every host.
fn hung_manager_costs_its_time_once(lab: &TestLab) {
    lab.on("docker03", "kill -STOP $(pidof dockerd)");
    let started = Instant::now();
    let said = lab.web2py("check", &[]);
    let elapsed = started.elapsed();
    lab.on("docker03", "kill -CONT $(pidof dockerd)");
    assert!(said.code != 0, "{}", said.stdout);
    assert!(elapsed < Duration::from_secs(75), "{elapsed:?}");
    lab.until(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}} {{.ManagerStatus}}' | grep -x 'docker03 Ready \\(Reachable\\|Leader\\)'",
        Duration::from_secs(60),
    );
}
