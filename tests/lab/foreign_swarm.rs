//! A host that is a member of another swarm is refused and left as it was.

use crate::test_lab::TestLab;

#[test]
fn host_in_foreign_swarm_is_refused() {
    let lab = TestLab::with_docker("foreign", &[]);
    let docker = "playbooks/docker.toml";
    lab.run("apply", docker, &["--yes"]).exits(0);
    lab.on("docker03", "docker swarm init --advertise-addr eth0");
    let state = "docker info --format '{{.Swarm.NodeID}} {{.Swarm.Cluster.ID}}'; sha256sum /etc/docker/daemon.json /etc/hosts; ls -A /srv /home/vagrant";
    let before = lab.on("docker03", state);
    let said = lab.web2py("apply", &["--yes"]).exits(1);
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
    assert_eq!(before, lab.on("docker03", state), "left as it was");
    let nodes = lab.on(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.Status}}'",
    );
    assert_eq!(
        nodes.lines().filter(|line| line.contains("Ready")).count(),
        2,
        "the others are a swarm: {nodes}"
    );
    lab.on("docker03", "docker swarm leave --force");
    lab.web2py("apply", &["--yes"]).exits(0);
    lab.web2py("check", &[]).exits(0).says("In sync");
}
