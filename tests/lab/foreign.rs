//! Step 7: a host that is already in another swarm is refused and left as it was.

use crate::lot::Lot;

#[test]
fn a_host_in_a_foreign_swarm_is_refused_and_left_as_it_was() {
    let lot = Lot::up("foreign");
    let docker = "playbooks/docker.toml";
    lot.run("apply", docker, &["--yes"]).exits(0);
    lot.on("docker03", "docker swarm init --advertise-addr eth0");
    let state = "docker info --format '{{.Swarm.NodeID}} {{.Swarm.Cluster.ID}}'; sha256sum /etc/docker/daemon.json /etc/hosts; ls -A /srv /home/vagrant";
    let before = lot.on("docker03", state);
    let said = lot.web2py("apply", &["--yes"]).exits(1);
    let refused = said
        .stdout
        .lines()
        .chain(said.stderr.lines())
        .find(|line| line.contains("swarm_member") && line.contains("another swarm"));
    assert!(
        refused.is_some(),
        "says why:\n{}\n{}",
        said.stdout,
        said.stderr
    );
    assert!(
        said.stdout.contains("docker swarm leave"),
        "says what to try:\n{}",
        said.stdout
    );
    assert_eq!(before, lot.on("docker03", state), "left as it was");
    let nodes = lot.on(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}}'",
    );
    assert_eq!(
        nodes.lines().filter(|line| line.contains("Ready")).count(),
        2,
        "the others are a swarm: {nodes}"
    );
    lot.on("docker03", "docker swarm leave --force");
    lot.web2py("apply", &["--yes"]).exits(0);
    lot.web2py("check", &[]).exits(0).says("In sync");
}
