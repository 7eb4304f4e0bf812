//! Rotation of join tokens, certificate authority and unlock key, and the unlock of managers.

use std::time::Duration;

use crate::age_keys::age_identity;
use crate::skep::{Said, command};
use crate::test_lab::TestLab;

/// Limit for a state that the swarm reaches by itself.
const LIMIT: Duration = Duration::from_secs(60);

const MANAGERS: [&str; 3] = ["docker01", "docker02", "docker03"];

fn swarm(lab: &TestLab, more: &[&str], environment: &[(&str, &str)]) -> Said {
    let inventory = lab.inventory();
    let arguments = [&["swarm"], more, &["-i", &inventory]].concat();
    let output = command(&arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    Said::from(output)
        .does_not_say("SWMTKN-")
        .does_not_say("SWMKEY-")
}

#[test]
fn keys_of_a_swarm_are_rotated() {
    let lab = TestLab::with_docker("keys", &["--managers", "3", "--workers", "1"]);
    let playbooks = ["playbooks/swarm.toml", "--yes", "--limit", "managers"];
    lab.run("apply", "playbooks/docker.toml", &playbooks)
        .exits(0);
    tokens(&lab);
    authority(&lab);
    unlock_key(&lab);
}

fn tokens(lab: &TestLab) {
    let token = |role: &str| lab.on("docker02", &format!("docker swarm join-token -q {role}"));
    let before = (token("worker"), token("manager"));
    swarm(lab, &["rotate", "tokens", "--worker", "--yes"], &[])
        .exits(0)
        .says("3 managers have new tokens");
    assert_ne!(token("worker"), before.0);
    assert_eq!(token("manager"), before.1);
    let join = |token: &str| {
        let manager = lab.address("docker01");
        let script = format!("docker swarm join --token {token} {manager}:2377 2>&1");
        lab.try_on("docker04", &script)
    };
    let (status, said) = join(&before.0);
    assert_ne!(status, 0);
    assert!(said.contains("valid join token is necessary"), "{said}");
    assert_eq!(join(&token("worker")).0, 0);
    swarm(lab, &["rotate", "tokens", "--yes"], &[]).exits(0);
    assert_ne!(token("manager"), before.1);
}

fn authority(lab: &TestLab) {
    let root = |node: &str| lab.on(node, "docker swarm ca");
    let before = root("docker01");
    lab.on("docker04", "systemctl stop docker.socket docker");
    lab.until("docker01", "docker node ls | grep 'docker04 *Down'", LIMIT);
    swarm(lab, &["rotate", "ca", "--yes"], &[])
        .exits(1)
        .says("the node docker04 is down, and the rotation would wait for it");
    assert_eq!(root("docker01"), before);
    lab.on("docker04", "systemctl start docker");
    lab.until("docker01", "docker node ls | grep 'docker04 *Ready'", LIMIT);
    swarm(lab, &["rotate", "ca", "--yes"], &[])
        .exits(0)
        .says("4 nodes trust the new authority only");
    let after = root("docker01");
    assert_ne!(after, before);
    for node in MANAGERS {
        assert_eq!(root(node), after);
    }
    for node in ["docker01", "docker04"] {
        let file = "/var/lib/docker/swarm/certificates/swarm-root-ca.crt";
        assert_eq!(lab.on(node, &format!("cat {file}")).trim(), after.trim());
    }
}

fn unlock_key(lab: &TestLab) {
    let (identity, recipient) = age_identity(lab, "identity.txt");
    let file = lab.path("key.age");
    let rotate = || {
        let arguments = [
            "rotate",
            "unlock-key",
            "--to",
            &file,
            "--recipient",
            &recipient,
            "--yes",
        ];
        swarm(lab, &arguments, &[])
    };
    rotate().exits(1).says("the swarm is not autolocked");
    assert!(!std::path::Path::new(&file).exists());
    lab.on("docker01", "docker swarm update --autolock=true");
    let former = lab.on("docker01", "docker swarm unlock-key -q");
    // A manager that is away would need the former key.
    lab.on("docker03", "systemctl stop docker.socket docker");
    lab.until(
        "docker01",
        "docker node ls | grep 'docker03.*Unreachable'",
        LIMIT,
    );
    rotate().exits(1).says("2 of 3 managers are reachable");
    assert_eq!(lab.on("docker01", "docker swarm unlock-key -q"), former);
    lab.on("docker03", "systemctl start docker");
    let unlock = |more: &[&str], environment: &[(&str, &str)]| {
        swarm(lab, &[&["unlock"], more].concat(), environment)
    };
    unlock(&[], &[("SKEP_UNLOCK_KEY", &former)])
        .exits(0)
        .says("docker03 unlocked");
    lab.until(
        "docker01",
        "docker node ls | grep 'docker03.*Reachable'",
        LIMIT,
    );
    rotate().exits(0).says("the new unlock key");
    assert_ne!(lab.on("docker01", "docker swarm unlock-key -q"), former);
    unlock(&[], &[]).exits(0).says("no manager is locked");

    // All managers restart: each of them waits for a majority once it has the key.
    std::thread::scope(|scope| {
        for node in MANAGERS {
            scope.spawn(move || lab.on(node, "systemctl restart docker"));
        }
    });
    unlock(&[], &[])
        .exits(2)
        .says("the unlock key is not given");
    unlock(&[], &[("SKEP_UNLOCK_KEY", &former)])
        .exits(1)
        .says("invalid key");
    unlock(&["--key", &file], &[("SKEP_AGE_IDENTITY", &identity)])
        .exits(0)
        .says("docker01, docker02, docker03 unlocked");
    lab.until("docker01", "docker node ls | grep -q Leader", LIMIT);
    restarts_with_a_kept_key(lab, &former, &identity);
}

/// Restarts Engines and machines of managers, which get the kept key afterwards.
fn restarts_with_a_kept_key(lab: &TestLab, wrong: &str, identity: &str) {
    lab.until(
        "docker01",
        "[ $(docker node ls -f role=manager | grep -Ec 'Reachable|Leader') = 3 ]",
        LIMIT,
    );
    let hosts = MANAGERS.map(|node| {
        let address = lab.address(node);
        let host = format!(
            "address = {address:?}\nuser = \"vagrant\"\nbecome = true\ngroups = [\"managers\"]"
        );
        (node, host)
    });
    let hosts = hosts.each_ref().map(|(node, host)| (*node, host.as_str()));
    let vars = "[vars]\nswarm_unlock_key = { age = \"key.age\" }";
    let kept = lab.inventory_of("kept.toml", vars, &hosts);
    let none = lab.inventory_of("none.toml", "", &hosts);
    let playbook = lab.write(
        "restart.toml",
        "[[plays]]\nname = \"Engines\"\nhosts = \"docker02\"\nresources = [{ daemon_json = { log-driver = \"json-file\", log-opts = { max-size = \"7m\", max-file = \"3\" } } }]",
    );
    let run = |inventory: &str, more: &[&str], environment: &[(&str, &str)]| {
        let output = command(&[more, &["-i", inventory]].concat())
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        Said::from(output).does_not_say("SWMKEY-")
    };
    let apply = ["apply", &playbook, "--yes"];
    let started = "systemctl show -p ActiveEnterTimestampMonotonic docker";
    let before = lab.on("docker02", started);
    run(&none, &apply, &[])
        .exits(1)
        .says("stays locked until `docker swarm unlock`");
    run(&none, &apply, &[("SKEP_UNLOCK_KEY", wrong)])
        .exits(1)
        .says("the environment variable SKEP_UNLOCK_KEY is not the unlock key of the swarm")
        .says("the Engine was not restarted");
    run(&kept, &apply, &[])
        .exits(1)
        .says("key.age does not give the unlock key");
    assert_eq!(lab.on("docker02", started), before);
    let identity = [("SKEP_AGE_IDENTITY", identity)];
    run(&kept, &["plan", &playbook], &identity).says("skep unlocks it after the restart");
    run(&kept, &apply, &identity)
        .exits(0)
        .says("docker02: note: its manager was locked, and is unlocked");
    assert_ne!(lab.on("docker02", started), before);
    run(&kept, &["node", "reboot", "docker03", "--yes"], &identity)
        .exits(0)
        .says("docker03: unlocked")
        .says("docker03: rebooted and active again");
    lab.until(
        "docker01",
        "[ $(docker node ls -f role=manager | grep -Ec 'Reachable|Leader') = 3 ]",
        LIMIT,
    );
}
