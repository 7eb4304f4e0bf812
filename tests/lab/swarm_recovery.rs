//! Recovery of a swarm that has lost the majority of its managers, on real nodes.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::age_keys::age_identity;
use crate::renamed_site::{LIMIT, NODES, RenamedSite};
use crate::skep::{Said, skep};

/// Time for a manager to join the new swarm by itself.
const REJOIN_LIMIT: Duration = Duration::from_secs(120);

fn recover(site: &RenamedSite, more: &[&str]) -> Said {
    let arguments = ["swarm", "recover", "-i", &site.inventory, "--yes"];
    skep(&[&arguments[..], more].concat())
}

#[test]
fn a_lost_majority_is_recovered() {
    let site = RenamedSite::make("recovery");
    let lab = &site.lab;
    site.create(
        "web",
        "--replicas 2 --constraint node.hostname==docker05",
        "sleep 100000",
    );
    lab.on(
        "docker01",
        "docker node update --label-add disk=ssd docker04",
    );
    // Somebody has promoted a worker, so there are four managers, and three of them decide.
    site.node(&["promote", "diamond"]).exits(0);
    let identities = "docker node ls --format '{{.ID}} {{.Hostname}}' | sort";
    let before = lab.on("docker01", identities);
    recover(&site, &[])
        .exits(1)
        .says("the swarm has a leader and 4 of 4 managers, so there is nothing to recover");

    lab.cut_power("docker02");
    lab.on("docker03", "systemctl stop docker.socket docker");
    let lost = "! timeout 5 docker node ls || docker node ls | grep -c Unreachable | grep -q 2";
    lab.until("docker01", lost, LIMIT);
    // The machine of this manager answers, so it is not lost yet.
    recover(&site, &[])
        .exits(1)
        .says("coral is a manager too, and its Docker Engine is stopped: start it with `systemctl start docker`");
    let begun = Instant::now();
    let said = recover(&site, &["--lost", "coral", "--json"]).exits(0);
    assert!(
        begun.elapsed() < Duration::from_secs(240),
        "{:?}",
        begun.elapsed()
    );
    let report: serde_json::Value =
        serde_json::from_str(said.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        report["result"]["managers"].as_array().unwrap().len(),
        1,
        "{report}"
    );
    assert_eq!(report["lost"].as_array().unwrap().len(), 2, "{report}");
    for node in ["docker01", "docker04"] {
        lab.until(node, "docker node ls | grep -q Leader", LIMIT);
    }
    // The nodes are the same as before, and the swarm accepts changes.
    assert_eq!(lab.on("docker01", identities), before);
    assert_eq!(
        lab.on(
            "docker01",
            "docker node inspect -f '{{.Spec.Labels.disk}}' docker04"
        ),
        "ssd"
    );
    lab.until("docker01", "docker service ls | grep 'web.*2/2'", LIMIT);
    site.create(
        "new",
        "--constraint node.hostname==docker05",
        "sleep 100000",
    );
    lab.until("docker01", "docker service ls | grep 'new.*1/1'", LIMIT);
    recover(&site, &[])
        .exits(1)
        .says("there is nothing to recover");

    // A manager that comes back alone joins the new swarm; one that never does is removed.
    lab.on("docker03", "systemctl start docker");
    lab.until(
        "docker01",
        "docker node ls | grep 'docker03 *Ready.*Reachable'",
        REJOIN_LIMIT,
    );
    site.node(&["remove", "beryl"])
        .exits(0)
        .says("is down, and is removed from the list of the managers");
    assert_eq!(
        lab.on("docker01", "docker node ls -f role=manager -q | wc -l"),
        "3"
    );
    skep(&[
        "apply",
        "playbooks/swarm.toml",
        "-i",
        &site.inventory,
        "--yes",
        "--limit",
        "!beryl",
    ])
    .exits(0);

    // Docker Engine forgets the key of an autolocked swarm when it starts it anew.
    lab.on("docker01", "docker swarm update --autolock=true");
    lab.cut_power("docker03");
    lab.until(
        "docker01",
        "! timeout 5 docker node ls || docker node ls | grep -q Unreachable",
        LIMIT,
    );
    recover(&site, &[])
        .exits(1)
        .says("amber: the swarm is autolocked");
    assert_eq!(
        lab.on("docker01", "docker info -f '{{.Swarm.LocalNodeState}}'"),
        "active"
    );
}

#[test]
fn a_swarm_is_restored_from_its_backup() {
    let site = RenamedSite::make("backup");
    let lab = &site.lab;
    site.create("web", "--replicas 2", "sleep 100000");
    site.create(
        "alone",
        "--constraint node.hostname==docker05",
        "sleep 100000",
    );
    lab.on("docker01", "printf hunter2 | docker secret create password - && docker network create -d overlay inner");
    let (identity, key) = age_identity(lab, "identity.txt");
    let file = lab.path("swarm.age");
    let backup = |more: &[&str]| {
        let first = [
            "swarm",
            "backup",
            "-i",
            &site.inventory,
            "--to",
            &file,
            "--yes",
        ];
        skep(&[&first[..], more].concat())
    };
    backup(&[]).exits(2).says("no recipient is given");
    backup(&["--recipient", "age1wrong"])
        .exits(2)
        .says("the file cannot be encrypted");
    lab.on("docker01", "docker swarm update --autolock=true");
    backup(&["--recipient", &key])
        .exits(1)
        .says("the swarm is autolocked");
    lab.on("docker01", "docker swarm update --autolock=false");
    let said = backup(&["--recipient", &key]);
    said.exits(0)
        .says("5 nodes, 2 services")
        .does_not_say("hunter2");
    assert_eq!(
        lab.on(
            "docker01",
            "docker node ls --format '{{.Availability}} {{.Status}}' | sort -u"
        ),
        "Active Ready"
    );
    for node in ["docker01", "docker02", "docker03"] {
        lab.until(
            "docker01",
            &format!("docker node ls | grep '{node} .*\\(Reachable\\|Leader\\)'"),
            LIMIT,
        );
        assert_eq!(
            lab.on(node, "ls -d /run/skep-backup.* 2>/dev/null || :"),
            ""
        );
    }
    let opened = Command::new("sh")
        .args([
            "-c",
            "age --decrypt -i \"$1\" \"$2\" | tar -xO manifest.json",
            "sh",
            &identity,
            &file,
        ])
        .output()
        .unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&opened.stdout).unwrap();
    assert_eq!(manifest["nodes"].as_array().unwrap().len(), 5);
    let leader = lab.on(
        "docker01",
        "docker node ls --format '{{.Hostname}} {{.ManagerStatus}}' | sed -n 's/ Leader//p'",
    );
    let names = [
        ("docker01", "amber"),
        ("docker02", "beryl"),
        ("docker03", "coral"),
    ];
    let of_leader = names.iter().find(|(node, _)| *node == leader).unwrap().1;
    assert_ne!(manifest["host"], of_leader, "the leader is not stopped");

    // While the swarm lives, its backup is not restored beside it.
    let restore = |inventory: &str, host: &str, identity: &str| {
        let mut command = crate::skep::command(&[
            "swarm", "restore", &file, "--to", host, "-i", inventory, "--yes",
        ]);
        Said::from(command.env("SKEP_AGE_IDENTITY", identity).output().unwrap())
    };
    restore(&site.inventory, "amber", &identity)
        .exits(1)
        .says("amber is in a swarm already");
    let (other, _) = age_identity(lab, "other.txt");
    restore(&site.inventory, "amber", &other).exits(2);

    // The whole site is lost, and new machines get the addresses of the old ones.
    for node in NODES {
        let container = format!("skep-{}-{node}", lab.name);
        let volume = format!("{container}-docker");
        docker(&["rm", "--force", "--volumes", &container]);
        docker(&["volume", "rm", "--force", &volume]);
    }
    let inventory = lab.inventory();
    let again = [
        "lab",
        "up",
        "--name",
        &lab.name,
        "--inventory",
        &inventory,
        "--user",
        "root",
    ];
    let nodes = ["--with-docker", "--managers", "3", "--workers", "2"];
    skep(&[&again[..], &nodes[..]].concat()).exits(0);
    lab.image("busybox", &NODES);
    let renamed = RenamedSite::renamed_inventory(lab);
    let from = manifest["host"].as_str().unwrap();
    restore(&renamed, of_leader, &identity)
        .exits(1)
        .says(&format!("the backup is that of the manager {from} at"));
    restore(&renamed, from, &identity)
        .exits(0)
        .says(&format!("{from} leads the swarm"))
        .says("with 2 services")
        .says("docker05");
    let place = names.iter().find(|(_, host)| *host == from).unwrap().0;
    assert_eq!(
        lab.on(place, "docker node ls --format '{{.ManagerStatus}}'"),
        "Leader"
    );
    assert_eq!(
        lab.on(place, "docker secret ls --format '{{.Name}}'"),
        "password"
    );
    lab.on(place, "docker network inspect inner");
    skep(&["apply", "playbooks/swarm.toml", "-i", &renamed, "--yes"]).exits(0);
    assert_eq!(lab.on(place, "docker node ls -q | wc -l"), "5");
    for service in ["web.*2/2", "alone.*1/1"] {
        lab.until(
            place,
            &format!("docker service ls | grep '{service}'"),
            LIMIT,
        );
    }
    restore(&renamed, from, &identity)
        .exits(1)
        .says("the swarm of the backup lives");
}

fn docker(arguments: &[&str]) {
    let done = Command::new("docker").args(arguments).output().unwrap();
    assert!(done.status.success(), "{arguments:?}");
}
