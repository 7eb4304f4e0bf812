//! The guard of declared data volumes: a service that a label binds to a directory is deployed only
//! where the directory exists. The label does not move to an empty disk, and does move with the
//! data.

use std::time::Duration;

use crate::path_safety;
use crate::skep::root;
use crate::small_image::make_small_image;
use crate::test_lab::TestLab;

const COMPOSE: &str = r#"version: "3.8"
services:
  db:
    image: tiny:1
    command: sleep 3600
    stop_grace_period: 100ms
    volumes: [{ type: bind, source: /srv/db/data, target: /data }]
    deploy: { endpoint_mode: dnsrr, placement: { constraints: [node.labels.db == true] } }
"#;

/// Writes a playbook with label and volume on one of the workers, and the stack that needs them.
fn playbook(lab: &TestLab, holder: &str, directory: bool) -> String {
    let other = if holder == "docker02" {
        "docker03"
    } else {
        "docker02"
    };
    let directory = if directory {
        "{ directory = { path = \"/srv/db/data\" } },\n  "
    } else {
        ""
    };
    let text = format!(
        "[[plays]]\nname = \"Data\"\nhosts = \"{holder}\"\nresources = [\n  {directory}\
         {{ node_labels = {{ labels = {{ db = \"true\" }}, data = {{ db = \"/srv/db\" }} }} }},\n]\n\
         [[plays]]\nname = \"Elsewhere\"\nhosts = \"{other}\"\nresources = [{{ node_labels = {{ absent = [\"db\"] }} }}]\n{STACK}"
    );
    lab.write(&format!("{holder}.toml"), &text)
}

const STACK: &str = "[[plays]]\nname = \"Stack\"\nhosts = \"all\"\nresources = [{ stack = { name = \"web\", sources = [\"web.yml\"] } }]\n";

/// Tasks move some time after their label did.
fn wait_until_running_on(lab: &TestLab, node: &str) {
    let running = "docker service ps web_db --filter desired-state=running --format '{{.Node}} {{.CurrentState}}'";
    lab.until(
        "docker01",
        &format!("{running} | grep -q '^{node} Running'"),
        Duration::from_secs(120),
    );
}

#[test]
fn data_volume_guard() {
    let lab = TestLab::up("volume");
    let folder = root().join("playbooks");
    let include = format!(
        "include = [\"{0}/docker.toml\", \"{0}/swarm.toml\"]\n",
        folder.display()
    );
    lab.run("apply", &lab.write("swarm.toml", &include), &["--yes"])
        .exits(0);
    make_small_image(&lab, &["docker02", "docker03"], "tiny:1");
    lab.write("web.yml", COMPOSE);

    // A label set by hand without a directory: nothing is deployed, since the tasks would fail.
    let stack = lab.write("stack.toml", STACK);
    lab.on(
        "docker01",
        "docker node update --label-add db=true docker02",
    );
    lab.run("plan", &stack, &[])
        .exits(0)
        .says("web_db mounts /srv/db/data, which is not on docker02");
    lab.run("apply", &stack, &["--yes"])
        .exits(1)
        .says("which is not on docker02")
        .says("nothing was done");
    assert_eq!(
        lab.on(
            "docker01",
            "docker service ls -q; docker network ls -q --filter name=web_"
        ),
        ""
    );
    lab.on("docker01", "docker node update --label-rm db docker02");

    // The volume is declared and does not exist: neither label nor service is created.
    let bare = playbook(&lab, "docker02", false);
    lab.run("apply", &bare, &["--yes"])
        .exits(1)
        .says("the directory /srv/db does not exist")
        .says("no node has the label of web_db (db) to which /srv/db/data is bound");
    assert_eq!(lab.on("docker01", "docker service ls -q"), "");
    assert_eq!(
        lab.on(
            "docker01",
            "docker node inspect docker02 --format '{{.Spec.Labels}}'"
        ),
        "map[]"
    );

    let two = playbook(&lab, "docker02", true);
    lab.run("plan", &two, &[]).exits(0).says("volume db");
    lab.run("apply", &two, &["--yes"]).exits(0);
    lab.run("check", &two, &[]).exits(0).says("In sync");
    wait_until_running_on(&lab, "docker02");
    let cluster = lab.on("docker01", "docker info --format '{{.Swarm.Cluster.ID}}'");
    let marker = lab.on("docker02", "cat /srv/db/.skep-volume");
    assert!(
        marker.contains(&format!("cluster = \"{cluster}\"\nvolume = \"db\"")),
        "{marker}"
    );

    // A label on a second node, set by hand: a task could start there without data.
    lab.on("docker02", "echo precious >/srv/db/data/rows");
    lab.on(
        "docker01",
        "docker node update --label-add db=true docker03",
    );
    lab.run("check", &stack, &[])
        .exits(1)
        .says("web_db may start on docker03")
        .says("the volume db is on docker02");
    lab.on("docker01", "docker node update --label-rm db docker03");

    // The playbook moves the label to an empty disk: refused, with the data that would be lost.
    let three = playbook(&lab, "docker03", true);
    lab.run("apply", &three, &["--yes"])
        .exits(1)
        .says("the volume db is on docker02, in /srv/db (1 file, 9 bytes), and would be left behind")
        .says("docker02 has the volume db, in /srv/db: without the label db=true, the services that use it would stop");
    let labels = |node: &str| {
        lab.on(
            "docker01",
            &format!("docker node inspect {node} --format '{{{{.Spec.Labels}}}}'"),
        )
    };
    assert_eq!(
        (labels("docker02").as_str(), labels("docker03").as_str()),
        ("map[db:true]", "map[]"),
        "nothing was stopped"
    );
    assert_ne!(
        lab.try_on("docker03", "ls /srv/db/.skep-volume").0,
        0,
        "an empty disk was marked"
    );
    lab.run("apply", &two, &["--yes"]).exits(0);
    wait_until_running_on(&lab, "docker02");

    // The disk is not mounted: the marker is missing, so nothing may be deployed.
    lab.on("docker02", "mv /srv/db /srv/away && mkdir -p /srv/db/data");
    lab.run("check", &two, &[])
        .exits(1)
        .says("the volume db of docker02 is gone");
    lab.write("web.yml", &COMPOSE.replace("3600", "7200"));
    lab.run("apply", &stack, &["--yes"])
        .exits(1)
        .says("/srv/db/.skep-volume is not on docker02");
    lab.on(
        "docker02",
        "rmdir /srv/db/data /srv/db && mv /srv/away /srv/db",
    );
    lab.run("apply", &two, &["--yes"]).exits(0);

    // The data moves together with its marker.
    let archive = lab.path("db.tar");
    lab.on("docker02", "tar -C /srv -cf /root/db.tar db");
    lab.fetch("docker02", "/root/db.tar", "db.tar");
    lab.put("docker03", &archive, "/root/db.tar");
    lab.on("docker03", "tar -C /srv -xf /root/db.tar");
    lab.run("apply", &three, &["--yes"])
        .exits(0)
        .says("the data that docker02 still has in /srv/db is no longer the volume db");
    wait_until_running_on(&lab, "docker03");
    lab.run("check", &three, &[]).exits(0);
    path_safety::a_container_does_not_lead_the_marker_away(&lab, "docker03", &three);
}
