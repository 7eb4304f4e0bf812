//! Step 4: what was changed behind our back is named with before and after, mended, and gone.

use std::time::Duration;

use crate::lot::Lot;

pub fn drift_is_named_and_mended(lot: &Lot) {
    lot.on(
        "docker01",
        "docker node update --label-rm web2py.tier.db docker02",
    );
    lot.on("docker03", r#"printf '{"insecure-registries": ["elsewhere:1"], "debug": true}' >/etc/docker/daemon.json"#);
    lot.on("docker02", "ln -sfn /tmp /home/vagrant/web2py/apache2/conf");
    lot.on("docker01", "gpasswd -d vagrant docker");
    let said = lot.web2py("check", &[]).exits(3).says("DRIFT");
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
    lot.web2py("apply", &["--yes"]).exits(0);
    lot.web2py("check", &[]).exits(0).says("In sync");
    let json = lot.on("docker03", "cat /etc/docker/daemon.json");
    assert!(
        json.contains("docker01:5000") && json.contains("debug"),
        "ours is back, a foreign key is kept: {json}"
    );

    lot.on("docker03", "docker swarm leave");
    lot.until(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}}' | grep 'docker03 Down'",
        Duration::from_secs(60),
    );
    lot.web2py("check", &[]).exits(3).says("swarm_member");
    lot.web2py("apply", &["--yes"]).exits(0);
    lot.web2py("check", &[]).exits(0).says("In sync");
    let nodes = lot.on(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}}'",
    );
    assert_eq!(
        nodes.lines().filter(|line| line.contains("Ready")).count(),
        3,
        "{nodes}"
    );
    assert_eq!(nodes.lines().count(), 3, "no ghost is left: {nodes}");

    // The only manager's Engine is off: nothing is known of the others, and one apply brings all back.
    lot.on("docker01", "systemctl stop docker.socket docker");
    lot.web2py("check", &[])
        .exits(1)
        .says("whether docker01 holds the swarm cannot be known");
    lot.web2py("apply", &["--yes"]).exits(0);
    // A manager that was away takes the others for `unknown` until they have called, some seconds later; check says so, too.
    lot.until(
        "docker01",
        "! docker node ls --format '{{.Status}}' | grep -qv Ready",
        Duration::from_secs(60),
    );
    lot.web2py("check", &[]).exits(0).says("In sync");
}
