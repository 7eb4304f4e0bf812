//! A connection killed in the middle of the package step, a node without power, Ctrl-C, and two
//! runs at once: the run reports it, the other hosts finish, and a new apply converges.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::skep::Said;
use crate::test_lab::TestLab;

/// Ends the sshd processes that serve connections; the listener keeps running.
const KILL_CONNECTIONS: &str = "pkill -KILL -f '^sshd-session' || pkill -KILL -f '^sshd: '";

#[test]
fn connection_lost_during_package_install() {
    let lab = TestLab::up("connection");
    let run = lab
        .command("apply", "playbooks/web2py.toml", &["--yes", "-v"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    lab.until(
        "docker03",
        "pgrep -x dpkg >/dev/null",
        Duration::from_secs(120),
    );
    lab.on("docker03", KILL_CONNECTIONS);
    let said = Said::from(run.wait_with_output().unwrap());
    assert!(
        said.code == 4 || said.code == 1,
        "exit {}\n{}\n{}",
        said.code,
        said.stdout,
        said.stderr
    );
    let recap = |host: &str| {
        said.stdout
            .lines()
            .rfind(|line| line.starts_with(host))
            .unwrap()
            .to_owned()
    };
    assert!(recap("docker03").contains("unreachable"), "{}", said.stdout);
    assert!(
        recap("docker02").contains("changed") && recap("docker01").contains("changed"),
        "the others finished:\n{}",
        said.stdout
    );
    let nodes = lab.on("docker01", "docker node ls --format '{{.Hostname}}'");
    assert!(
        nodes.contains("docker02") && !nodes.contains("docker03"),
        "{nodes}"
    );
    // The lock of the lost connection expires, and the interrupted work of dpkg is finished or
    // repaired.
    lab.web2py("apply", &["--yes", "--lock-wait", "2m"])
        .exits(0);
    lab.web2py("check", &[]).exits(0).says("In sync");
}

#[test]
fn power_loss_during_apply() {
    let lab = TestLab::up("power");
    let run = lab
        .command("apply", "playbooks/web2py.toml", &["--yes", "-v"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    lab.until(
        "docker03",
        "pgrep -x dpkg >/dev/null",
        Duration::from_secs(120),
    );
    lab.cut_power("docker03");
    let said = Said::from(run.wait_with_output().unwrap());
    assert!(
        said.code == 4 || said.code == 1,
        "exit {}\n{}\n{}",
        said.code,
        said.stdout,
        said.stderr
    );
    let said = said.says("docker03: unreachable");
    assert!(
        said.stdout
            .lines()
            .any(|line| line.starts_with("docker02") && line.contains("changed")),
        "{}",
        said.stdout
    );
    // A host without power is never reported as in sync or as removed, and no other host waits long
    // for it.
    let started = Instant::now();
    lab.web2py("check", &[])
        .exits(4)
        .does_not_say("In sync")
        .says("unreachable");
    assert!(
        started.elapsed() < Duration::from_secs(60),
        "a dead host does not hold up the others"
    );
    lab.fault("start", "docker03");
    lab.web2py("apply", &["--yes", "--lock-wait", "2m"])
        .exits(0);
    lab.web2py("check", &[]).exits(0).says("In sync");
}

#[test]
fn ctrl_c_finishes_step_and_releases_locks() {
    let lab = TestLab::up("interrupt");
    let playbook = lab.write(
        "slow.toml",
        r#"[[plays]]
name = "slow"
hosts = "all"
resources = [
  { command = { run = "sleep 4; touch /root/first", creates = "/root/first" } },
  { command = { run = "touch /root/second", creates = "/root/second" } },
]
"#,
    );
    let run = lab
        .command("apply", &playbook, &["--yes"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    lab.until(
        "docker01",
        "test -d /run/skep.lock",
        Duration::from_secs(20),
    );
    send_interrupt(run.id());
    let said = Said::from(run.wait_with_output().unwrap())
        .exits(130)
        .says("interrupted");
    drop(said);
    lab.on("docker01", "test -e /root/first");
    let (second, _) = lab.try_on("docker01", "test -e /root/second");
    assert_ne!(second, 0, "no step begins after the interrupt");
    let (lock, _) = lab.try_on("docker01", "test -e /run/skep.lock");
    assert_ne!(lock, 0, "the lock is released");
    lab.run("apply", &playbook, &["--yes"]).exits(0);
}

fn send_interrupt(process: u32) {
    let status = std::process::Command::new("kill")
        .args(["-INT", &process.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
fn concurrent_apply_waits_for_lock() {
    let lab = TestLab::with_docker("two-runs", &[]);
    let playbook = lab.write(
        "slow.toml",
        r#"[[plays]]
name = "slow"
hosts = "docker01"
resources = [{ command = { run = "sleep 6; touch /root/first", creates = "/root/first" } }]
"#,
    );
    let all = lab.write(
        "other.toml",
        "[[plays]]\nname = \"other\"\nhosts = \"docker01\"\nresources = [{ directory = { path = \"/srv/other\" } }]\n",
    );
    let limit = ["--yes", "--limit", "docker01"];
    let run = lab
        .command("apply", &playbook, &limit)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    lab.until(
        "docker01",
        "test -d /run/skep.lock",
        Duration::from_secs(20),
    );
    lab.run("apply", &all, &limit).exits(1).says("lock");
    lab.run(
        "apply",
        &all,
        &["--yes", "--limit", "docker01", "--lock-wait", "30s"],
    )
    .exits(0);
    Said::from(run.wait_with_output().unwrap()).exits(0);
}
