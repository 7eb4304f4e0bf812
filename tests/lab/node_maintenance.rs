//! Drain, activate, promote and demote on real nodes, with names in the inventory that differ from
//! the host names.

use std::time::{Duration, Instant};

use crate::drained_apply::restarts_drained_engines;
use crate::renamed_site::{LIMIT, NODES, RenamedSite, balanced_requests, thin_samples};
use crate::skep::skep;

#[test]
fn nodes_are_drained_and_services_rebalanced() {
    let site = site_with_services("drains");
    drains(&site);
    rebalances(&site);
    restarts_drained_engines(&site);
    timeouts_and_interrupts(&site);
    ends_without_a_lease(&site);
}

#[test]
fn nodes_change_roles_reboot_and_are_removed() {
    let site = site_with_services("nodes");
    roles(&site);
    reboots(&site);
    removals(&site);
    ends_without_a_lease(&site);
}

/// Makes a swarm with a balanced service, a global one, and one that can go nowhere.
fn site_with_services(name: &str) -> RenamedSite {
    let site = RenamedSite::make(name);
    site.create(
        "web",
        "--replicas 2 --constraint node.role==worker --publish mode=host,target=80,published=8080 --stop-grace-period 2s",
        "httpd -f -p 80 -h /etc",
    );
    // A manager under load may answer after the deadline of the Engine.
    site.lab.until(
        "docker01",
        "docker service update --quiet --constraint-rm node.role==worker web",
        LIMIT,
    );
    site.create(
        "agent",
        "--mode global --stop-grace-period 1s",
        "sleep 100000",
    );
    site.create(
        "database",
        "--constraint node.hostname==docker05 --mount type=volume,source=data,target=/data --stop-grace-period 1s",
        "sleep 100000",
    );
    site
}

fn ends_without_a_lease(site: &RenamedSite) {
    assert_eq!(
        site.lab.on("docker01", "docker config ls -q"),
        "",
        "the lease is gone"
    );
}

fn drains(site: &RenamedSite) {
    // The database can go nowhere.
    site.node(&["drain", "emerald"])
        .exits(1)
        .says("no other node meets `node.hostname==docker05`")
        .says("draining emerald interrupts database");
    assert_eq!(site.specification("docker05"), "active worker");

    site.node(&["drain", "diamond", "--probe", "http://127.0.0.1:9/x"])
        .exits(2)
        .says("--probe http://127.0.0.1:9/x does not answer before anything is changed");
    assert_eq!(site.specification("docker04"), "active worker");
    let web = site.runs_on("web");
    let stays = web.split(' ').find(|node| *node != "docker04").unwrap();
    let url = format!("http://{}:8080/hostname", site.lab.address(stays));
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (said, (sent, lost)) = std::thread::scope(|scope| {
        let requests = scope.spawn(|| balanced_requests(site, &stop));
        let said = site.node(&["drain", "diamond", "--json", "--probe", &url]);
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        (said, requests.join().unwrap())
    });
    let said = said.exits(0).says(&format!("{url}: 0 of "));
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["nodes"][0]["was_drained"], false);
    assert!(sent > 20, "{sent} requests");
    assert_eq!(lost, 0, "of {sent} requests");
    assert!(!site.runs_on("web").contains("docker04"));
    assert_eq!(site.runs_on("web").split(' ').count(), 2);
    assert_eq!(site.runs_on("agent"), "docker01 docker02 docker03 docker05");
    assert_eq!(
        site.specification("docker04"),
        "drain worker skep.drained-by skep.drained-from"
    );

    // The same command finds nothing to do.
    let said = site.node(&["drain", "diamond", "--json"]).exits(0);
    let report: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(report["nodes"][0]["was_drained"], true);

    let said = site.node(&["drain", "emerald", "--allow-interruption"]);
    said.exits(0).says("1 node drained");
    assert_eq!(site.runs_on("database"), "");
    let said = site.node(&["activate", "workers"]);
    said.exits(0).says("2 nodes activated");
    for node in ["docker04", "docker05"] {
        assert_eq!(site.specification(node), "active worker");
    }
    site.lab.until(
        "docker01",
        "docker service ls | grep 'database.*1/1'",
        LIMIT,
    );
    let said = site.node(&["activate", "workers"]);
    said.exits(0)
        .says("0 nodes activated, 2 nodes active before");
}

fn rebalances(site: &RenamedSite) {
    site.create(
        "pair",
        "--replicas 2 --constraint node.role==worker --update-monitor 2s --stop-grace-period 1s",
        "sleep 100000",
    );
    let state = || {
        let format = "{{.Spec.Mode.Replicated.Replicas}} {{.Spec.Labels}} {{.PreviousSpec.Mode.Replicated.Replicas}}";
        let script = format!("docker service inspect -f '{format}' pair");
        site.lab.on("docker01", &script)
    };
    let rebalance = ["rebalance", "pair", "-i", &site.inventory, "--yes"];
    skep(&rebalance).exits(0).says("In sync");
    let unite = || {
        site.node(&["drain", "diamond"]).exits(0);
        site.node(&["activate", "diamond"]).exits(0);
        assert_eq!(site.runs_on("pair"), "docker05 docker05");
    };
    unite();
    // Two tasks run at each moment.
    let stop = std::sync::atomic::AtomicBool::new(false);
    let (said, fewest) = std::thread::scope(|scope| {
        let samples = scope.spawn(|| {
            let mut fewest = usize::MAX;
            while !stop.load(std::sync::atomic::Ordering::SeqCst) {
                let tasks = site.runs_on("pair");
                fewest = fewest.min(tasks.split_whitespace().count());
                std::thread::sleep(Duration::from_millis(300));
            }
            fewest
        });
        let said = skep(&[&rebalance[..], &["--json"]].concat());
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        (said, samples.join().unwrap())
    });
    let report: serde_json::Value = serde_json::from_str(&said.exits(0).stdout).unwrap();
    assert_eq!(report["services"][0]["moved"], 1);
    assert_eq!(fewest, 2);
    assert_eq!(site.runs_on("pair"), "docker04 docker05");
    assert_eq!(state(), "2 map[] 2");

    // A run that dies leaves a service that the same command finishes.
    unite();
    let mut child = crate::skep::command(&rebalance)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let begun = Instant::now();
    while !state().contains("skep.rebalanced-from:2") {
        assert!(begun.elapsed() < LIMIT, "{}", state());
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    skep(&rebalance)
        .exits(0)
        .says("a rebalance before this one has added tasks; it is finished");
    assert_eq!(site.runs_on("pair"), "docker04 docker05");
    assert_eq!(state(), "2 map[] 2");

    // All tasks are on the node that is drained.
    unite();
    let emerald = ["drain", "emerald", "--allow-interruption"];
    site.node(&emerald)
        .exits(0)
        .says("is spread first, then moves");
    assert_eq!(site.runs_on("pair"), "docker04 docker04");
    site.node(&["activate", "emerald"]).exits(0);
    site.lab.on("docker01", "docker service rm pair");
    site.lab.until(
        "docker01",
        "docker service ls | grep 'database.*1/1'",
        LIMIT,
    );
}

fn timeouts_and_interrupts(site: &RenamedSite) {
    // The first process of a container ignores SIGTERM, so this task ends after its grace period.
    site.create(
        "slow",
        "--mode global --constraint node.hostname==docker04 --stop-grace-period 12s",
        "sleep 100000",
    );
    let drain = ["drain", "diamond", "--allow-interruption"];
    site.node(&[&drain[..], &["--timeout", "3s"]].concat())
        .exits(1)
        .says("diamond was not drained within 3s: slow: 1 task not stopped yet; it is active again, as before");
    assert_eq!(site.specification("docker04"), "active worker");
    site.lab
        .until("docker01", "docker service ls | grep 'slow.*1/1'", LIMIT);

    // A run that dies leaves a node that the same command finishes.
    let mut child = site.start(&drain);
    site.wait_for("docker04", "drain");
    child.kill().unwrap();
    child.wait().unwrap();
    let begun = Instant::now();
    site.node(&drain).exits(0).says("1 node drained");
    assert!(
        begun.elapsed() > Duration::from_secs(5),
        "it waited for the task"
    );
    site.node(&["activate", "diamond"]).exits(0);
    site.lab
        .until("docker01", "docker service ls | grep 'slow.*1/1'", LIMIT);

    let child = site.start(&drain);
    site.wait_for("docker04", "drain");
    let process = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(process, rustix::process::Signal::INT).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert_eq!(
        site.specification("docker04"),
        "drain worker skep.drained-by skep.drained-from"
    );
    site.node(&["activate", "diamond"]).exits(0);
    site.lab.on("docker01", "docker service rm slow");
}

fn roles(site: &RenamedSite) {
    site.node(&["promote", "diamond"])
        .exits(0)
        .says("1 node changed to manager");
    assert_eq!(site.specification("docker04"), "active manager");
    site.node(&["promote", "diamond"]).exits(0).says("In sync");
    site.node(&["demote", "diamond"])
        .exits(0)
        .says("demoting diamond leaves 3 of 3 managers reachable");
    // All managers at once would end the swarm.
    site.node(&["demote", "managers"])
        .exits(1)
        .says("promote another node to manager first");
    assert_eq!(
        site.lab
            .on("docker01", "docker node ls -f role=manager -q | wc -l"),
        "3"
    );
    // With one manager away, the demotion of another one is refused.
    site.lab
        .on("docker03", "systemctl stop docker.socket docker");
    site.lab.until(
        "docker01",
        "docker node ls | grep 'docker03.*Unreachable'",
        LIMIT,
    );
    site.node(&["demote", "beryl"])
        .exits(1)
        .says("below the majority");
    site.node(&["demote", "coral"])
        .exits(4)
        .says("coral cannot be read");
    site.lab.on("docker03", "systemctl start docker");
    site.lab.until(
        "docker01",
        "docker node ls | grep 'docker03.*Reachable'",
        LIMIT,
    );
    // The leader goes last, and the others elect a new one.
    site.node(&["demote", "amber"]).exits(0);
    site.lab
        .until("docker02", "docker node ls | grep -q Leader", LIMIT);
    site.node(&["promote", "amber"]).exits(0);
    site.lab.until(
        "docker01",
        "docker node ls | grep 'docker01.*Reachable'",
        LIMIT,
    );
}

fn reboots(site: &RenamedSite) {
    // The identity of a boot: nodes of the lab share a kernel.
    let boot = |node: &str| {
        let script = "read -r line </proc/1/stat; set -- ${line##*)}; echo ${20}";
        site.lab.on(node, script)
    };
    let before = NODES.map(boot);
    site.node(&["reboot", "emerald"])
        .exits(1)
        .says("draining emerald interrupts database");
    assert_eq!(boot("docker05"), before[4]);

    // A worker with a task that can go nowhere, and a manager that was drained before.
    site.node(&["drain", "beryl"]).exits(0);
    let said = site.node(&["reboot", "emerald", "beryl", "--allow-interruption"]);
    said.exits(0)
        .says("emerald: rebooted and active again")
        .says("beryl: rebooted and drain again")
        .says("2 nodes rebooted");
    for (number, node) in NODES.iter().enumerate() {
        let same = boot(node) == before[number];
        assert_eq!(same, ![1, 4].contains(&number), "{node}");
    }
    assert_eq!(site.runs_on("database"), "docker05");
    assert_eq!(site.specification("docker05"), "active worker");
    assert_eq!(
        site.specification("docker02"),
        "drain manager skep.drained-by skep.drained-from"
    );
    site.node(&["activate", "beryl"]).exits(0);

    // All managers, the leader last: a majority is reachable all the time.
    let before = NODES.map(boot);
    let stop = std::sync::atomic::AtomicBool::new(false);
    let thin = std::thread::scope(|scope| {
        let samples = scope.spawn(|| thin_samples(site, &stop));
        site.node(&["reboot", "managers"])
            .exits(0)
            .says("3 nodes rebooted");
        stop.store(true, std::sync::atomic::Ordering::SeqCst);
        samples.join().unwrap()
    });
    assert_eq!(thin, 0, "samples with fewer than two managers");
    for (number, node) in NODES.iter().enumerate().take(3) {
        assert_ne!(boot(node), before[number], "{node}");
        assert_eq!(site.specification(node), "active manager");
    }
}

/// A machine that is in no swarm takes the place of a worker with a label and data.
fn replacements(site: &RenamedSite) {
    site.lab.on(
        "docker01",
        "docker node update --label-add disk=ssd docker04 &&
         docker service update --detach --quiet --constraint-rm node.hostname==docker05 --constraint-add node.labels.disk==ssd database",
    );
    let runs = |node: &str| {
        let script = format!(
            "docker service ps database --filter desired-state=running | grep '{node} .*Running'"
        );
        site.lab.until("docker01", &script, LIMIT);
    };
    runs("docker04");
    let replace = |more: &[&str]| site.node(&[&["replace", "diamond", "emerald"], more].concat());
    site.lab.on("docker05", "docker volume rm data");
    replace(&["--allow-interruption"])
        .exits(1)
        .says("tasks of diamond have their data in its volumes data, which emerald does not have");
    site.lab.on("docker05", "docker volume create data");
    replace(&[])
        .exits(1)
        .says("draining diamond interrupts database");
    site.node(&["replace", "amber", "emerald"])
        .exits(1)
        .says("amber is a manager, and emerald is not in the group `managers`");
    site.node(&["replace", "diamond", "beryl"])
        .exits(1)
        .says("beryl is a node of the swarm already, a manager with other duties");
    replace(&["--allow-interruption"])
        .exits(0)
        .says("emerald: joins as worker, active, labels disk=ssd")
        .says("emerald has taken the place of diamond");
    assert_eq!(site.specification("docker05"), "active worker disk");
    runs("docker05");
    let state = "docker info -f '{{.Swarm.LocalNodeState}}'; docker volume ls -q";
    assert_eq!(site.lab.on("docker04", state), "inactive\ndata");
}

/// A playbook takes a worker out of the swarm, and back again.
fn absent_member(site: &RenamedSite) {
    let playbook = |file: &str, member: &str| {
        let text = format!(
            "[[plays]]\nhosts = \"emerald\"\nresources = [{{ swarm_member = {{ {member} }} }}]\n"
        );
        site.lab.write(file, &text)
    };
    let absent = playbook("absent.toml", "state = \"absent\"");
    let worker = playbook("worker.toml", "role = \"worker\"");
    let run = |verb: &str, file: &str, more: &[&str]| {
        skep(&[&[verb, "-i", &site.inventory, file], more].concat())
    };
    run("plan", &absent, &[])
        .exits(0)
        .says("swarm_member[absent]  (REMOVES THE NODE)")
        .says("its node is drained first");
    run("apply", &absent, &["--yes"])
        .exits(0)
        .says("emerald: note: draining its node");
    let state = "docker info -f '{{.Swarm.LocalNodeState}}'";
    assert_eq!(site.lab.on("docker05", state), "inactive");
    let listed = "docker node ls --format '{{.Hostname}}' | grep -c docker05 || :";
    assert_eq!(site.lab.on("docker01", listed), "0");
    run("apply", &absent, &["--yes"]).exits(0).says("In sync");
    run("check", &absent, &[]).does_not_say("membership");
    run("apply", &worker, &["--yes"]).exits(0);
    assert_eq!(site.specification("docker05"), "active worker");
}

/// A worker that is not in the inventory any more, and is a node still.
fn unlisted_nodes(site: &RenamedSite) {
    let whole = std::fs::read_to_string(&site.inventory).unwrap();
    let (without, _) = whole.split_once("[hosts.emerald]").unwrap();
    let inventory = site.lab.write("without.toml", without);
    let unread = without.replace(&site.lab.address("docker04"), "127.0.0.3");
    let unread = site.lab.write("unread.toml", &unread);
    let remove = |inventory: &str, more: &[&str]| {
        let verb = ["node", "remove", "--unlisted", "--yes", "-i", inventory];
        skep(&[&verb[..], more].concat())
    };
    remove(&site.inventory, &[])
        .exits(0)
        .says("In sync: each node of the swarm is a host of the inventory");
    remove(&unread, &[]).exits(4).says("diamond cannot be read");
    remove(&inventory, &[])
        .exits(1)
        .says("no host of the inventory is this node; it is drained and removed")
        .says("interrupts database");
    assert_eq!(site.specification("docker05"), "active worker disk");
    remove(&inventory, &["--allow-interruption"])
        .exits(0)
        .says("skep has no connection to its machine")
        .says("1 node removed from the swarm.");
    let nodes = "docker node ls --format '{{.Hostname}}' | sort | tr '\\n' ' '";
    assert_eq!(
        site.lab.on("docker01", nodes).trim(),
        "docker01 docker02 docker03"
    );
    let token = site.lab.on("docker01", "docker swarm join-token -q worker");
    let manager = site.lab.address("docker01");
    let join = format!("docker swarm leave --force; docker swarm join --token {token} {manager}");
    site.lab.on("docker05", &join);
}

fn removals(site: &RenamedSite) {
    let count = || site.lab.on("docker01", "docker node ls -q | wc -l");
    site.node(&["remove", "emerald"])
        .exits(1)
        .says("draining emerald interrupts database");
    assert_eq!(site.specification("docker05"), "active worker");
    site.node(&["remove", "emerald", "--allow-interruption"])
        .exits(0)
        .says("emerald: Docker Engine remains, and the volumes data with their data")
        .says("1 node removed from the swarm");
    assert_eq!(count(), "4");
    let state = "docker info -f '{{.Swarm.LocalNodeState}}'; docker volume ls -q";
    assert_eq!(site.lab.on("docker05", state), "inactive\ndata");
    site.node(&["remove", "emerald"])
        .exits(1)
        .says("emerald is in no swarm");

    replacements(site);
    assert_eq!(count(), "4");

    unlisted_nodes(site);
    assert_eq!(count(), "4");
    absent_member(site);
    assert_eq!(count(), "4");

    // A dead worker, and a dead manager.
    let dead = [("docker05", "emerald", "3"), ("docker03", "coral", "2")];
    for (node, ..) in dead {
        site.lab.cut_power(node);
    }
    for (node, host, managers) in dead {
        site.lab.until(
            "docker01",
            &format!("docker node ls | grep '{node} *Down'"),
            LIMIT,
        );
        site.node(&["remove", host])
            .exits(0)
            .says("is down, and is removed from the list of the managers")
            .says(&format!("{host}: its disk was not looked at"));
        let voters = "docker node ls -f role=manager -q | wc -l";
        assert_eq!(site.lab.on("docker01", voters), managers);
    }
    // The last but one leaves alive; the last one stays.
    site.node(&["remove", "beryl"])
        .exits(0)
        .says("the remaining manager must not be lost");
    assert_eq!(count(), "1");
    site.node(&["remove", "amber"])
        .exits(1)
        .says("would remove the only manager, and the swarm with it");
}
