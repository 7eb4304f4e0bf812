//! A node whose address changes, as after `vagrant reload`: the messages of `check` with the
//! inventory's old address and with the new one, and the repair that they suggest.

use std::time::Duration;

use crate::test_lab::TestLab;

const WAIT_LIMIT: Duration = Duration::from_secs(240);

#[test]
fn node_address_change() {
    let lab = TestLab::with_docker("address", &[]);
    let swarm = ["playbooks/swarm.toml"];
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["playbooks/swarm.toml", "--yes"],
    )
    .exits(0);
    let old = lab.address("docker03");
    let new = format!("{}.99", old.rsplit_once('.').unwrap().0);
    lab.change_address("docker03", &new);
    // The managers see the node at its new address.
    let heard = format!(
        "docker node inspect docker03 -f '{{{{.Status.Addr}}}} {{{{.Status.State}}}}' | grep -qx '{new} ready'"
    );
    lab.until("docker01", &heard, WAIT_LIMIT);
    lab.run("check", "playbooks/docker.toml", &swarm)
        .exits(4)
        .says("docker03");

    let text = std::fs::read_to_string(lab.inventory()).unwrap();
    let reached = text.replace(
        &format!("\naddress = \"{old}\""),
        &format!("\naddress = \"{new}\""),
    );
    std::fs::write(lab.inventory(), &reached).unwrap();
    lab.run("check", "playbooks/docker.toml", &swarm).exits(1).says(&format!(
        "docker03 advertises {old} in the swarm but no longer has that address: the managers see it at {new}"
    ));
    std::fs::write(lab.inventory(), reached.replace(&old, &new)).unwrap();
    lab.run("check", "playbooks/docker.toml", &swarm)
        .exits(1)
        .says(&format!(
            "docker03 advertises {old} in the swarm, not {new}"
        ))
        .says("drain it, run `docker swarm leave` on it and apply again");

    lab.on(
        "docker01",
        "docker node update --availability drain docker03",
    );
    lab.on("docker03", "docker swarm leave");
    lab.run(
        "apply",
        "playbooks/docker.toml",
        &["playbooks/swarm.toml", "--yes"],
    )
    .exits(0);
    lab.run("check", "playbooks/docker.toml", &swarm)
        .exits(0)
        .says("In sync");
    let nodes = "for node in $(docker node ls -q); do docker node inspect $node \
                 -f '{{.Description.Hostname}} {{.Status.State}} {{.Spec.Availability}} {{.Status.Addr}}'; done | grep docker03";
    assert_eq!(
        lab.on("docker01", nodes),
        format!("docker03 ready active {new}"),
        "its old entry is gone"
    );
}
