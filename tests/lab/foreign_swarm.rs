//! A host that is a member of another swarm is refused and left as it was; a swarm does not end by
//! a hint, and no new one starts over it.

use std::time::Duration;

use crate::skep::skep;
use crate::test_lab::TestLab;

const SWARM: &str = "playbooks/swarm.toml";
const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// The only manager restarts while it is planned: no hint lets it leave its swarm.
fn restarting_manager_is_not_told_to_leave(lab: &TestLab) {
    lab.on(
        "docker01",
        "systemctl reset-failed docker docker.socket; systemctl restart --no-block docker",
    );
    for _ in 0..5 {
        lab.run("plan", SWARM, &[])
            .does_not_say("swarm leave")
            .does_not_say("another swarm");
    }
    lab.until("docker01", "docker node ls", WAIT_LIMIT);
}

/// The inventory exchanges the only manager and a worker at once.
fn replaced_managers_are_not_told_to_leave(lab: &TestLab) {
    let mut table: toml::Table = std::fs::read_to_string(lab.inventory())
        .unwrap()
        .parse()
        .unwrap();
    let groups = |table: &toml::Table, host: &str| table["hosts"][host]["groups"].clone();
    let (first, second) = (groups(&table, "docker01"), groups(&table, "docker02"));
    table["hosts"]["docker01"]["groups"] = second;
    table["hosts"]["docker02"]["groups"] = first;
    let swapped = lab.write("swapped.toml", &table.to_string());
    skep(&["apply", "-i", &swapped, "--yes", SWARM])
        .exits(1)
        .says("docker01 manages the swarm of this inventory")
        .says("docker02 is a node of the swarm that docker01 manages")
        .does_not_say("swarm leave")
        .does_not_say("another swarm");
    lab.on("docker01", "docker node ls");
}

/// The folder of the only manager is empty, as after a change of `data-root`.
fn new_swarm_needs_consent(lab: &TestLab) {
    let cluster =
        "docker info --format '{{.Swarm.LocalNodeState}} {{with .Swarm.Cluster}}{{.ID}}{{end}}'";
    let before = lab.on("docker01", cluster);
    let with_docker_stopped = |script: &str| {
        lab.on(
            "docker01",
            &format!(
                "systemctl reset-failed docker docker.socket; systemctl stop docker.socket docker; cd /var/lib/docker && {script} && \
                 systemctl start docker.socket docker"
            ),
        );
    };
    with_docker_stopped("mv swarm away");
    lab.run("apply", SWARM, &["--yes"])
        .exits(1)
        .says("still known as a manager of a swarm to docker02, docker03")
        .says("skep apply --new-cluster");
    assert!(lab.on("docker01", cluster).starts_with("inactive"));
    with_docker_stopped("rm -rf swarm && mv away swarm");
    lab.until("docker01", "docker node ls", WAIT_LIMIT);
    assert_eq!(lab.on("docker01", cluster), before);
    lab.run("apply", SWARM, &["--yes"]).exits(0);

    with_docker_stopped("rm -rf swarm");
    for node in ["docker02", "docker03"] {
        lab.on(node, "docker swarm leave");
    }
    lab.run("apply", SWARM, &["--yes"])
        .exits(1)
        .says("the record of the last apply says that it was in one");
    lab.run("apply", SWARM, &["--yes", "--new-cluster"])
        .exits(0);
    lab.run("check", SWARM, &[]).exits(0).says("In sync");
    assert_ne!(lab.on("docker01", cluster), before);
}

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
    restarting_manager_is_not_told_to_leave(&lab);
    replaced_managers_are_not_told_to_leave(&lab);
    new_swarm_needs_consent(&lab);
}
