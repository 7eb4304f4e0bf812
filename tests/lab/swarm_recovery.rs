//! Recovery of a swarm that has lost the majority of its managers, on real nodes.

use std::time::{Duration, Instant};

use crate::renamed_site::{LIMIT, RenamedSite};
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
}
