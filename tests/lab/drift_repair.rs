//! Drift by hand: `check` reports it with the values before and after, and `apply` repairs it.

use std::time::Duration;

use crate::test_lab::TestLab;

pub fn drift_is_reported_and_repaired(lab: &TestLab) {
    lab.on(
        "docker01",
        "docker node update --label-rm web2py.tier.db docker02",
    );
    lab.on("docker03", r#"printf '{"insecure-registries": ["elsewhere:1"], "debug": true}' >/etc/docker/daemon.json"#);
    lab.on("docker02", "ln -sfn /tmp /home/vagrant/web2py/apache2/conf");
    lab.on("docker01", "gpasswd -d vagrant docker");
    let said = lab.web2py("check", &[]).exits(3).says("DRIFT");
    for expected in [
        "label web2py.tier.db: (absent) -> true",
        "insecure-registries",
        "target: /tmp -> /srv/web2py/apache2/conf",
        "user_in_group",
    ] {
        assert!(
            said.stdout.contains(expected),
            "check lacks {expected}:\n{}",
            said.stdout
        );
    }
    let drifted = said
        .stdout
        .lines()
        .filter(|line| line.starts_with("  ~ ") || line.starts_with("  + "))
        .count();
    assert_eq!(drifted, 4, "exactly these four:\n{}", said.stdout);
    lab.web2py("apply", &["--yes"]).exits(0);
    lab.web2py("check", &[]).exits(0).says("In sync");
    let json = lab.on("docker03", "cat /etc/docker/daemon.json");
    assert!(
        json.contains("docker01:5000") && json.contains("debug"),
        "ours is back, a foreign key is kept: {json}"
    );

    lab.on("docker03", "docker swarm leave");
    lab.until(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}}' | grep 'docker03 Down'",
        Duration::from_secs(60),
    );
    lab.web2py("check", &[]).exits(3).says("swarm_member");
    lab.web2py("apply", &["--yes"]).exits(0);
    lab.web2py("check", &[]).exits(0).says("In sync");
    let nodes = lab.on(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}}'",
    );
    assert_eq!(
        nodes.lines().filter(|line| line.contains("Ready")).count(),
        3,
        "{nodes}"
    );
    assert_eq!(nodes.lines().count(), 3, "no ghost is left: {nodes}");

    // The only manager's Engine is off: the state of the other nodes is unknown, and one apply
    // restores all.
    lab.on("docker01", "systemctl stop docker.socket docker");
    lab.web2py("check", &[])
        .exits(1)
        .says("cannot determine whether docker01 is in the swarm");
    lab.web2py("apply", &["--yes"]).exits(0);
    // After its absence, a manager reports the others as `unknown` until they have contacted it,
    // some seconds later; `check` reports the same.
    lab.until(
        "docker01",
        "! docker node ls --format '{{.Status}}' | grep -qv Ready",
        Duration::from_secs(60),
    );
    lab.web2py("check", &[]).exits(0).says("In sync");
}
