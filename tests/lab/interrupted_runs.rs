//! A connection killed in the middle of the package step, a node without power, Ctrl-C, the end of
//! the terminal, two runs at once, and a step that outlives its run: the run reports it, the other
//! hosts finish, and a new apply converges.

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
fn interrupt_finishes_step_and_releases_locks() {
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
    for signal in ["INT", "HUP"] {
        let run = start(&lab, &playbook, &["--yes"]);
        lab.until(
            "docker01",
            "test -d /run/skep.lock",
            Duration::from_secs(20),
        );
        send(signal, run.id());
        if signal == "HUP" {
            // The kernel and the shell may both tell that the terminal is gone.
            send(signal, run.id());
        }
        let said = Said::from(run.wait_with_output().unwrap())
            .exits(130)
            .says("interrupted");
        drop(said);
        lab.on("docker01", "test -e /root/first");
        let (second, _) = lab.try_on("docker01", "test -e /root/second");
        assert_ne!(second, 0, "no step begins after the interrupt");
        let (lock, _) = lab.try_on("docker01", "test -e /run/skep.lock");
        assert_ne!(lock, 0, "the lock is released");
        for node in ["docker01", "docker02", "docker03"] {
            lab.on(node, "rm -f /root/first");
        }
    }
    lab.run("apply", &playbook, &["--yes"]).exits(0);
}

/// Starts an apply.
fn start(lab: &TestLab, playbook: &str, more: &[&str]) -> std::process::Child {
    lab.command("apply", playbook, more)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn send(signal: &str, process: u32) {
    let status = std::process::Command::new("kill")
        .args([&format!("-{signal}"), &process.to_string()])
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
    let run = start(&lab, &playbook, &limit);
    lab.until(
        "docker01",
        "test -d /run/skep.lock",
        Duration::from_secs(20),
    );
    // The host fails before any plan is shown.
    let said = lab.run("apply", &all, &limit).exits(1).says("locked by");
    assert!(!said.stdout.contains("/srv/other"), "{}", said.stdout);
    lab.run("check", &all, &["--limit", "docker01"])
        .exits(3)
        .says("another run of apply is under way: locked by");
    lab.run(
        "apply",
        &all,
        &["--yes", "--limit", "docker01", "--lock-wait", "30s"],
    )
    .exits(0)
    .says("waiting: locked by");
    Said::from(run.wait_with_output().unwrap()).exits(0);
    step_of_killed_run_keeps_host(&lab);
    other_accounts_cannot_lock(&lab, &all);
}

/// The lock of a run that was killed expires, but not before its step has ended.
fn step_of_killed_run_keeps_host(lab: &TestLab) {
    let slow = lab.write(
        "orphan.toml",
        "[[plays]]\nhosts = \"docker01\"\nresources = [{ command = { run = \"sleep 20; printf A >/srv/state\", always = true } }]\n",
    );
    let fast = lab.write(
        "fast.toml",
        "[[plays]]\nhosts = \"docker01\"\nresources = [{ file = { path = \"/srv/state\", content = \"B\" } }]\n",
    );
    let limit = ["--yes", "--limit", "docker01"];
    let mut run = start(lab, &slow, &limit);
    lab.until("docker01", "pgrep -x sleep", Duration::from_secs(20));
    run.kill().unwrap();
    run.wait().unwrap();
    lab.on(
        "docker01",
        "read -r now _ </proc/uptime; sed -i \"5s/.*/$((${now%%.*} - 70))/\" /run/skep.lock/owner",
    );
    lab.run("apply", &fast, &limit)
        .exits(1)
        .says("still works on the host: ");
    // Ctrl-C ends the wait at once, and nothing is changed.
    let waiting = start(
        lab,
        &fast,
        &["--yes", "--limit", "docker01", "--lock-wait", "5m"],
    );
    std::thread::sleep(Duration::from_secs(3));
    let interrupted = Instant::now();
    send("INT", waiting.id());
    Said::from(waiting.wait_with_output().unwrap()).exits(130);
    assert!(interrupted.elapsed() < Duration::from_secs(3));
    lab.on("docker01", "! test -e /srv/state && pgrep -x sleep");
    lab.run(
        "apply",
        &fast,
        &["--yes", "--limit", "docker01", "--lock-wait", "60s"],
    )
    .exits(0);
    lab.on("docker01", "! pgrep -x sleep");
    assert_eq!(lab.on("docker01", "cat /srv/state"), "B");
}

/// No account but root can hold, read or block a lock.
fn other_accounts_cannot_lock(lab: &TestLab, playbook: &str) {
    lab.on(
        "docker01",
        "useradd -m mallory; : >/run/skep.lock.guard; chmod 0644 /run/skep.lock.guard; rm -rf /srv/other",
    );
    lab.on(
        "docker01",
        "setsid runuser -u mallory -- sh -c 'exec 9</run/skep.lock.guard; flock 9; sleep 60' >/dev/null 2>&1 &",
    );
    let (status, said) = lab.try_on(
        "docker01",
        "runuser -u mallory -- sh -c 'cd /run/skep.lock.d || ls /run/skep.lock.d || : </run/skep.lock.d/work'",
    );
    assert_ne!(status, 0, "{said}");
    lab.run("apply", playbook, &["--yes", "--limit", "docker01"])
        .exits(0);
    lab.on("docker01", "pkill -u mallory");
}
