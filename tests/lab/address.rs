//! A node whose address changes, as after `vagrant reload`: what `check` says with the inventory's old address and with the new one,
//! and that what it tells to do mends it.

use std::time::Duration;

use crate::lot::Lot;

const PATIENCE: Duration = Duration::from_secs(240);

#[test]
fn a_node_whose_address_changes() {
    let lot = Lot::up("address");
    let swarm = ["playbooks/swarm.toml"];
    lot.run(
        "apply",
        "playbooks/docker.toml",
        &["playbooks/swarm.toml", "--yes"],
    )
    .exits(0);
    let old = lot.address("docker03");
    let new = format!("{}.99", old.rsplit_once('.').unwrap().0);
    lot.move_to("docker03", &new);
    // The managers hear the node from its new place.
    let heard = format!(
        "docker node inspect docker03 -f '{{{{.Status.Addr}}}} {{{{.Status.State}}}}' | grep -qx '{new} ready'"
    );
    lot.until("docker01", &heard, PATIENCE);
    lot.run("check", "playbooks/docker.toml", &swarm)
        .exits(4)
        .says("docker03");

    let text = std::fs::read_to_string(lot.inventory()).unwrap();
    let reached = text.replace(
        &format!("\naddress = \"{old}\""),
        &format!("\naddress = \"{new}\""),
    );
    std::fs::write(lot.inventory(), &reached).unwrap();
    lot.run("check", "playbooks/docker.toml", &swarm).exits(1).says(&format!(
        "docker03 advertises {old} in the swarm and has no such address any more: the managers hear it from {new}"
    ));
    std::fs::write(lot.inventory(), reached.replace(&old, &new)).unwrap();
    lot.run("check", "playbooks/docker.toml", &swarm)
        .exits(1)
        .says(&format!(
            "docker03 advertises {old} in the swarm, not {new}"
        ))
        .says("drain it, run `docker swarm leave` on it and apply again");

    lot.on(
        "docker01",
        "docker node update --availability drain docker03",
    );
    lot.on("docker03", "docker swarm leave");
    lot.run(
        "apply",
        "playbooks/docker.toml",
        &["playbooks/swarm.toml", "--yes"],
    )
    .exits(0);
    lot.run("check", "playbooks/docker.toml", &swarm)
        .exits(0)
        .says("In sync");
    let nodes = "for node in $(docker node ls -q); do docker node inspect $node \
                 -f '{{.Description.Hostname}} {{.Status.State}} {{.Spec.Availability}} {{.Status.Addr}}'; done | grep docker03";
    assert_eq!(
        lot.on("docker01", nodes),
        format!("docker03 ready active {new}"),
        "its old entry is gone"
    );
}
