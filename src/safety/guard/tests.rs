//! Tests of the guard with lists of answers in place of Engines: changes that it allows, refuses,
//! and waits for.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::HashMap;
use std::sync::Mutex;

use base64ct::Encoding as _;
use serde_json::json;

use super::*;
use crate::inventory::{Roster, RosterEntry};
use crate::model::{Action, DockerAnswer, DockerCall, GeneratedValue, Operation, Step};
use crate::swarm::samples::*;

/// Answers by `host path`. Several answers to one query are given in turn; the last one is
/// repeated.
#[derive(Default)]
struct ScriptedDocker(Mutex<HashMap<String, Vec<DockerAnswer>>>);

impl ScriptedDocker {
    fn with(self, name: &str, path: &str, answers: impl IntoIterator<Item = DockerAnswer>) -> Self {
        self.0
            .lock()
            .unwrap()
            .insert(format!("{name} {path}"), answers.into_iter().collect());
        self
    }
}

#[async_trait]
impl DockerReader for ScriptedDocker {
    async fn get(&self, host: &HostName, path: &str) -> DockerAnswer {
        match self.0.lock().unwrap().get_mut(&format!("{host} {path}")) {
            Some(answers) if answers.len() > 1 => answers.remove(0),
            Some(answers) => answers[0].clone(),
            None => DockerAnswer::Absent,
        }
    }

    /// Reads a file from the answers: its content is the text of the body.
    async fn content(&self, host: &HostName, path: &str) -> Option<Vec<u8>> {
        match self.get(host, path).await {
            DockerAnswer::Response { body, .. } => Some(body.as_str().unwrap().into()),
            _ => None,
        }
    }

    fn hosts(&self) -> Vec<HostName> {
        ["docker01", "docker02", "docker03"].map(host).into()
    }
}

fn restart() -> Change {
    Change::new(Action::Update).disturbing(Disruption::EngineRestart)
}

/// An inventory whose hosts have the addresses 10.0.0.1 to 10.0.0.3, or names.
fn addresses(written: [&str; 3]) -> HostAddresses {
    let names = ["docker01", "docker02", "docker03"].map(host);
    let entry = |address: &str| RosterEntry {
        address: address.into(),
        ..RosterEntry::default()
    };
    HostAddresses::of(&Roster {
        hosts: names.into_iter().zip(written.map(entry)).collect(),
    })
}

fn guard(force: bool) -> SwarmGuard {
    SwarmGuard {
        unlocks: false,
        force,
        addresses: addresses(["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        managers: ["docker01", "docker02", "docker03"].map(host).into(),
        patience: Duration::from_millis(60),
        pause: Duration::from_millis(5),
    }
}

fn two(second: &str) -> DockerAnswer {
    good(json!([
        voter(node("n1", "docker01", "10.0.0.1"), true, "reachable"),
        voter(node("n2", "docker02", "10.0.0.2"), false, second)
    ]))
}

fn first() -> DockerAnswer {
    good(manager("docker01", "n1", "10.0.0.1", "c1"))
}

fn second() -> DockerAnswer {
    good(manager("docker02", "n2", "10.0.0.2", "c1"))
}

#[tokio::test]
async fn restart_that_loses_the_majority_is_refused_unless_forced() {
    let engines = || {
        ScriptedDocker::default()
            .with("docker01", "/info", [first()])
            .with("docker01", "/nodes", [two("reachable")])
            .with("docker02", "/info", [second()])
    };
    let refusal = guard(false)
        .before(&host("docker01"), &restart(), &engines())
        .await
        .unwrap_err();
    assert!(
        refusal.why.contains("below the majority of 2"),
        "{}",
        refusal.why
    );
    let notes = guard(true)
        .before(&host("docker01"), &restart(), &engines())
        .await
        .unwrap();
    assert!(notes[0].contains("force-new-cluster"), "{notes:?}");
    let reload = Change::new(Action::Update).disturbing(Disruption::Reload);
    assert!(
        guard(false)
            .before(&host("docker01"), &reload, &engines())
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn silent_manager_counts_as_lost_before_the_swarm_notices() {
    let three = good(json!([
        voter(node("n1", "docker01", "10.0.0.1"), true, "reachable"),
        voter(node("n2", "docker02", "10.0.0.2"), false, "reachable"),
        voter(node("n3", "docker03", "10.0.0.3"), false, "reachable")
    ]));
    for (third, allowed) in [
        (good(manager("docker03", "n3", "10.0.0.3", "c1")), true),
        (DockerAnswer::Unreachable("no route to host".into()), false),
        (DockerAnswer::Down("stopped".into()), false),
    ] {
        let engines = ScriptedDocker::default()
            .with("docker01", "/info", [first()])
            .with("docker01", "/nodes", [three.clone()])
            .with("docker02", "/info", [second()])
            .with("docker03", "/info", [third]);
        let verdict = guard(false)
            .before(&host("docker01"), &restart(), &engines)
            .await;
        assert_eq!(verdict.is_ok(), allowed, "{verdict:?}");
        if let Err(refusal) = verdict {
            assert!(
                refusal.why.contains("leaves 1 of 3 managers reachable"),
                "{}",
                refusal.why
            );
            assert!(
                refusal.why.contains("docker03 does not answer: "),
                "{}",
                refusal.why
            );
        }
    }
}

#[tokio::test]
async fn workers_and_bare_hosts_may_restart_but_unknown_hosts_may_not() {
    let info = worker("docker03", "n3", "10.0.0.3", ("n1", "10.0.0.1:2377"));
    for (answer, allowed) in [
        (good(info), true),
        (good(inactive("docker03")), true),
        (DockerAnswer::Absent, true),
        (DockerAnswer::Down("stopped".into()), true),
        (DockerAnswer::Unreachable("no route".into()), false),
    ] {
        let engines = ScriptedDocker::default().with("docker03", "/info", [answer.clone()]);
        let verdict = guard(false)
            .before(&host("docker03"), &restart(), &engines)
            .await;
        assert_eq!(verdict.is_ok(), allowed, "{answer:?}");
    }
    // No manager lists the nodes of this manager: the number of other managers is unknown.
    let blind = DockerAnswer::Response {
        status: 503,
        body: json!({"message": "The swarm does not have a leader."}),
    };
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker01", "/nodes", [blind]);
    let refusal = guard(false)
        .before(&host("docker01"), &restart(), &engines)
        .await
        .unwrap_err();
    assert!(
        refusal.why.contains("does not have a leader"),
        "{}",
        refusal.why
    );
}

#[tokio::test]
async fn guard_waits_until_the_restarted_manager_is_reachable() {
    let down = DockerAnswer::Down("starting".into());
    let engines = ScriptedDocker::default()
        .with("docker02", "/info", [down.clone(), second()])
        .with("docker02", "/nodes", [two("unreachable"), two("reachable")]);
    guard(false)
        .after(&host("docker02"), &restart(), &engines)
        .await
        .unwrap();

    for (info, nodes, word) in [
        (down, two("reachable"), "starting"),
        (second(), two("unreachable"), "cannot reach it"),
        (second(), good(json!([])), "not listed"),
        (
            second(),
            good(json!([voter(
                node("n2", "docker02", "10.0.0.2"),
                false,
                "reachable"
            )])),
            "no leader",
        ),
    ] {
        let engines = ScriptedDocker::default()
            .with("docker02", "/info", [info])
            .with("docker02", "/nodes", [nodes]);
        let refusal = guard(false)
            .after(&host("docker02"), &restart(), &engines)
            .await
            .unwrap_err();
        assert!(refusal.why.contains(word), "{}", refusal.why);
    }
}

#[tokio::test]
async fn worker_is_back_when_a_manager_reports_ready() {
    let info = worker("docker03", "n3", "10.0.0.3", ("n1", "10.0.0.1:2377"));
    let leader = voter(node("n1", "docker01", "10.0.0.1"), true, "reachable");
    let list = |state: &str| {
        good(json!([
            leader,
            set(node("n3", "docker03", "10.0.0.3"), "/Status/State", state)
        ]))
    };
    let engines = |lists: Vec<DockerAnswer>| {
        ScriptedDocker::default()
            .with("docker03", "/info", [good(info.clone())])
            .with("docker01", "/info", [first()])
            .with("docker01", "/nodes", lists)
    };
    guard(false)
        .after(
            &host("docker03"),
            &restart(),
            &engines(vec![list("down"), list("ready")]),
        )
        .await
        .unwrap();
    assert!(
        guard(false)
            .after(&host("docker03"), &restart(), &engines(vec![list("down")]))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn guard_waits_for_a_decision_of_the_others_after_a_demotion() {
    let lost = Change::new(Action::Update).disturbing(Disruption::ManagerLoss);
    let one = good(json!([voter(
        node("n1", "docker01", "10.0.0.1"),
        true,
        "reachable"
    )]));
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker01", "/nodes", [two("unreachable"), one]);
    guard(false)
        .after(&host("docker02"), &lost, &engines)
        .await
        .unwrap();
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker01", "/nodes", [two("unreachable")]);
    assert!(
        guard(false)
            .after(&host("docker02"), &lost, &engines)
            .await
            .is_err()
    );
}

/// Three managers whose machines have other host names than the inventory.
fn three(reachable: [&str; 3]) -> DockerAnswer {
    good(json!([
        voter(node("n1", "web1", "10.0.0.1"), true, reachable[0]),
        voter(node("n2", "web2", "10.0.0.2"), false, reachable[1]),
        voter(node("n3", "web3", "10.0.0.3"), false, reachable[2])
    ]))
}

fn third() -> DockerAnswer {
    good(manager("web3", "n3", "10.0.0.3", "c1"))
}

/// The Engines of three managers, with this answer of docker03.
fn managers(third: DockerAnswer) -> ScriptedDocker {
    let nodes = || three(["reachable"; 3]);
    let info = |name, id, address| good(manager(name, id, address, "c1"));
    ScriptedDocker::default()
        .with("docker01", "/info", [info("web1", "n1", "10.0.0.1")])
        .with("docker02", "/info", [info("web2", "n2", "10.0.0.2")])
        .with("docker03", "/info", [third])
        .with("docker01", "/nodes", [nodes()])
        .with("docker02", "/nodes", [nodes()])
        .with("docker03", "/nodes", [nodes()])
}

async fn before(
    guard: &SwarmGuard,
    name: &str,
    change: &Change,
    engines: &ScriptedDocker,
) -> Result<Vec<String>, Refusal> {
    guard.before(&host(name), change, engines).await
}

#[tokio::test]
async fn silent_managers_are_known_by_node_id_then_by_address() {
    let silent = || DockerAnswer::Unreachable("no route to host".into());
    let mut other = manager("web3", "n7", "10.0.0.3", "c1");
    other["Swarm"]["ControlAvailable"] = true.into();
    let pending = set(
        manager("web3", "n3", "10.0.0.3", "c1"),
        "/Swarm/ControlAvailable",
        false,
    );
    for (third, allowed, word) in [
        (third(), true, ""),
        (
            silent(),
            false,
            "docker03 does not answer: no route to host",
        ),
        (
            DockerAnswer::Down("stopped".into()),
            false,
            "docker03 does not answer: stopped",
        ),
        (
            good(other),
            false,
            "docker03 does not say that it is node n3",
        ),
        (
            good(pending),
            false,
            "docker03 does not manage the swarm now",
        ),
    ] {
        let verdict = before(
            &guard(false),
            "docker01",
            &restart(),
            &managers(third.clone()),
        )
        .await;
        assert_eq!(verdict.is_ok(), allowed, "{third:?}: {verdict:?}");
        if let Err(refusal) = verdict {
            assert!(refusal.why.contains(word), "{}", refusal.why);
        }
    }
    // The inventory has names in place of addresses: any manager may be the silent host.
    let named = SwarmGuard {
        addresses: addresses(["one.lan", "two.lan", "three.lan"]),
        ..guard(false)
    };
    let refusal = before(&named, "docker01", &restart(), &managers(silent()))
        .await
        .unwrap_err();
    assert!(
        refusal
            .why
            .contains("docker03 does not answer: no route to host; it may be node n3"),
        "{}",
        refusal.why
    );
    assert!(
        before(&named, "docker01", &restart(), &managers(third()))
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn guard_waits_for_a_manager_that_was_just_promoted() {
    let pending = || {
        let info = manager("web3", "n3", "10.0.0.3", "c1");
        good(set(info, "/Swarm/ControlAvailable", false))
    };
    let promoted = managers(pending()).with("docker03", "/info", [pending(), pending(), third()]);
    let verdict = before(&guard(false), "docker01", &restart(), &promoted).await;
    assert!(verdict.is_ok(), "{verdict:?}");
}

#[tokio::test]
async fn worker_that_claims_a_silent_manager_does_not_hide_it() {
    // docker03 is a manager and silent; docker02, a worker, says that it is docker03.
    let liar = good(manager("web3", "n3", "10.0.0.2", "c1"));
    let nodes = good(json!([
        voter(node("n1", "web1", "10.0.0.1"), true, "reachable"),
        node("n2", "web2", "10.0.0.2"),
        voter(node("n3", "web3", "10.0.0.3"), false, "reachable"),
        voter(node("n4", "web4", "10.0.0.4"), false, "unreachable")
    ]));
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker01", "/nodes", [nodes])
        .with("docker02", "/info", [liar])
        .with("docker03", "/info", [DockerAnswer::Down("stopped".into())]);
    let guard = SwarmGuard {
        managers: vec![host("docker01"), host("docker03")],
        ..guard(false)
    };
    let refusal = before(&guard, "docker01", &restart(), &engines)
        .await
        .unwrap_err();
    assert!(
        refusal.why.contains("docker03 does not answer"),
        "{}",
        refusal.why
    );
    // Its own restart is refused as well: the node that it claims is not at its address.
    let refusal = before(&guard, "docker02", &restart(), &engines)
        .await
        .unwrap_err();
    assert!(
        refusal.why.contains("the address of docker03"),
        "{}",
        refusal.why
    );
}

#[tokio::test]
async fn host_that_denies_to_be_a_manager_is_judged_by_its_address() {
    // Two managers remain: a restart of docker03 would leave one of two.
    let nodes = good(json!([
        voter(node("n1", "web1", "10.0.0.1"), true, "reachable"),
        voter(node("n3", "web3", "10.0.0.3"), false, "reachable")
    ]));
    let stranger = worker("web3", "x7", "10.0.0.3", ("n1", "10.0.0.1:2377"));
    for answer in [
        good(inactive("web3")),
        good(stranger),
        DockerAnswer::Down("no socket".into()),
    ] {
        let engines = ScriptedDocker::default()
            .with("docker01", "/info", [first()])
            .with("docker01", "/nodes", [nodes.clone()])
            .with("docker03", "/info", [answer.clone()]);
        let refusal = before(&guard(false), "docker03", &restart(), &engines)
            .await
            .unwrap_err();
        assert!(
            refusal.why.contains("leaves 1 of 2 managers reachable"),
            "{answer:?}: {}",
            refusal.why
        );
    }
    // An Engine that has stopped: the managers notice it a little later, and it may start.
    let noticed = good(json!([
        voter(node("n1", "web1", "10.0.0.1"), true, "reachable"),
        voter(node("n3", "web3", "10.0.0.3"), false, "unreachable")
    ]));
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker01", "/nodes", [nodes, noticed])
        .with("docker03", "/info", [DockerAnswer::Down("stopped".into())]);
    assert!(
        before(&guard(false), "docker03", &restart(), &engines)
            .await
            .is_ok()
    );
}

/// A change with one request to a node.
fn request(method: &'static str, node_id: &str, role: &str) -> Change {
    Change::new(Action::Update).step(Step {
        summary: "request".into(),
        act: Operation::DockerApi(DockerCall {
            managers: vec![host("docker01")],
            method,
            path: format!("/nodes/{node_id}/update?version=17"),
            body: Some(json!({"Role": role})),
            late: Vec::new(),
            made: GeneratedValue::Nothing,
            timeout: Duration::from_secs(1),
        }),
    })
}

#[tokio::test]
async fn host_changes_only_its_own_node() {
    let ghost = set(node("old", "web2", "10.0.0.2"), "/Status/State", "down");
    let moved = set(node("gone", "web2", "10.0.0.9"), "/Status/State", "down");
    let nodes = good(json!([
        voter(node("n1", "web1", "10.0.0.1"), true, "reachable"),
        node("n2", "web2", "10.0.0.2"),
        voter(node("n3", "web3", "10.0.0.3"), false, "reachable"),
        node("n9", "web9", "10.0.0.9"),
        ghost,
        moved
    ]));
    let engines = |own: &str| {
        let own = worker("web2", own, "10.0.0.2", ("n1", "10.0.0.1:2377"));
        ScriptedDocker::default()
            .with("docker01", "/info", [first()])
            .with("docker01", "/nodes", [nodes.clone()])
            .with("docker02", "/info", [good(own)])
            .with("docker03", "/info", [third()])
    };
    for (own, method, node_id, allowed, word) in [
        ("n2", "POST", "n2", true, ""),
        ("n2", "DELETE", "old", true, ""),
        ("n2", "DELETE", "gone", true, ""),
        // The docker02 of these cases lies about its node, or asks for the node of another host.
        (
            "n3",
            "POST",
            "n3",
            false,
            "docker02 and docker03 both say that they are node n3",
        ),
        (
            "n1",
            "POST",
            "n1",
            false,
            "docker02 and docker01 both say that they are node n1",
        ),
        (
            "n2",
            "POST",
            "n3",
            false,
            "node n3 (web3) belongs to docker03",
        ),
        (
            "",
            "DELETE",
            "n3",
            false,
            "node n3 (web3) belongs to docker03",
        ),
        (
            "",
            "POST",
            "n1",
            false,
            "node n1 (web1) belongs to docker01",
        ),
    ] {
        for force in [false, true] {
            let change = request(method, node_id, "worker");
            let verdict = before(&guard(force), "docker02", &change, &engines(own)).await;
            assert_eq!(verdict.is_ok(), allowed, "{own} {node_id}: {verdict:?}");
            if let Err(refusal) = verdict {
                assert!(refusal.why.contains(word), "{}", refusal.why);
            }
        }
    }
    // docker03 is silent: the inventory still tells its address.
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker01", "/nodes", [nodes.clone()])
        .with(
            "docker02",
            "/info",
            [good(worker(
                "web3",
                "n3",
                "10.0.0.3",
                ("n1", "10.0.0.1:2377"),
            ))],
        )
        .with(
            "docker03",
            "/info",
            [DockerAnswer::Unreachable("no route".into())],
        );
    let change = request("POST", "n3", "worker");
    let refusal = before(&guard(true), "docker02", &change, &engines)
        .await
        .unwrap_err();
    assert!(
        refusal.why.contains("the address of docker03"),
        "{}",
        refusal.why
    );
}

#[tokio::test]
async fn one_host_claims_a_node_where_the_inventory_has_names() {
    let named = SwarmGuard {
        addresses: addresses(["one.lan", "two.lan", "three.lan"]),
        managers: vec![host("docker01")],
        ..guard(false)
    };
    let nodes = good(json!([
        voter(node("n1", "web1", "10.0.0.1"), true, "reachable"),
        node("n3", "web3", "10.0.0.3")
    ]));
    let info = |name: &str| good(worker(name, "n3", "10.0.0.3", ("n1", "10.0.0.1:2377")));
    let engines = |second: DockerAnswer| {
        ScriptedDocker::default()
            .with("docker01", "/info", [first()])
            .with("docker01", "/nodes", [nodes.clone()])
            .with("docker02", "/info", [second])
            .with("docker03", "/info", [info("web3")])
    };
    let change = request("POST", "n3", "worker");
    let alone = engines(good(inactive("web2")));
    assert!(before(&named, "docker03", &change, &alone).await.is_ok());
    // A copy of the machine, or a worker that lies about its host name, too.
    for name in ["docker02", "docker03"] {
        let refusal = before(&named, name, &change, &engines(info("web3")))
            .await
            .unwrap_err();
        assert!(
            refusal.why.contains("both say that they are node n3"),
            "{}",
            refusal.why
        );
    }
}

#[tokio::test]
async fn restart_and_promotion_wait_for_the_end_of_a_role_change() {
    let listed = |role: &str, vote: bool| {
        let mut own = node("n3", "web3", "10.0.0.3");
        if vote {
            own = voter(own, false, "reachable");
        }
        own = set(own, "/Spec/Role", role);
        good(json!([
            voter(node("n1", "web1", "10.0.0.1"), true, "reachable"),
            voter(node("n2", "web2", "10.0.0.2"), false, "reachable"),
            own
        ]))
    };
    let own = |control: bool| {
        good(set(
            manager("web3", "n3", "10.0.0.3", "c1"),
            "/Swarm/ControlAvailable",
            control,
        ))
    };
    let promotion = request("POST", "n3", "manager");
    for (lists, reports, settles) in [
        // A demotion that ends: first among the voters, then on the Engine itself.
        (
            vec![listed("worker", true), listed("worker", false)],
            vec![own(true), own(true), own(true), own(false)],
            true,
        ),
        (vec![listed("worker", false)], vec![own(true)], false),
        (vec![listed("worker", true)], vec![own(false)], false),
        (vec![listed("worker", false)], vec![own(false)], true),
    ] {
        for change in [&restart(), &promotion] {
            let engines = ScriptedDocker::default()
                .with("docker01", "/info", [first()])
                .with("docker02", "/info", [second()])
                .with("docker03", "/info", reports.clone())
                .with("docker01", "/nodes", lists.clone());
            let verdict = before(&guard(false), "docker03", change, &engines).await;
            assert_eq!(
                verdict.is_ok(),
                settles,
                "{lists:?} {reports:?}: {verdict:?}"
            );
            if let Err(refusal) = verdict {
                assert!(refusal.why.contains("has not settled"), "{}", refusal.why);
                assert!(
                    refusal.hint.contains("skep node rebuild docker03"),
                    "{}",
                    refusal.hint
                );
            }
        }
    }
    // The certificate changes last.
    let certificate = |role: &str| {
        let body = base64ct::Base64::encode_string(format!("swarm-{role}").as_bytes());
        good(json!(format!(
            "-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n"
        )))
    };
    for (certificates, settles) in [
        (vec![certificate("manager"), certificate("worker")], true),
        (vec![certificate("manager")], false),
    ] {
        let mut info = worker("web3", "n3", "10.0.0.3", ("n1", "10.0.0.1:2377"));
        info["DockerRootDir"] = "/srv/docker".into();
        let engines = ScriptedDocker::default()
            .with("docker01", "/info", [first()])
            .with("docker02", "/info", [second()])
            .with("docker03", "/info", [good(info)])
            .with(
                "docker03",
                "/srv/docker/swarm/certificates/swarm-node.crt",
                certificates,
            )
            .with("docker01", "/nodes", [listed("worker", false)]);
        let verdict = before(&guard(false), "docker03", &restart(), &engines).await;
        assert_eq!(verdict.is_ok(), settles, "{verdict:?}");
        if let Err(refusal) = verdict {
            let word = "its certificate is still that of a manager";
            assert!(refusal.why.contains(word), "{}", refusal.why);
        }
    }
    // A promotion that is under way, before a restart.
    let engines = ScriptedDocker::default()
        .with("docker01", "/info", [first()])
        .with("docker02", "/info", [second()])
        .with("docker03", "/info", [own(false), own(false), own(true)])
        .with("docker01", "/nodes", [listed("manager", true)]);
    assert!(
        before(&guard(false), "docker03", &restart(), &engines)
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn managers_of_an_autolocked_swarm_stay_locked() {
    let autolocked = |name: &str, id: &str, address: &str| {
        let mut info = manager(name, id, address, "c1");
        info["Swarm"]["Cluster"]["Spec"] = json!({"EncryptionConfig": {"AutoLockManagers": true}});
        good(info)
    };
    let engines = managers(autolocked("web3", "n3", "10.0.0.3"))
        .with("docker01", "/info", [autolocked("web1", "n1", "10.0.0.1")])
        .with("docker02", "/info", [autolocked("web2", "n2", "10.0.0.2")]);
    let notes = guard(false).forecast(&host("docker01"), &engines).await;
    assert!(
        notes[0].contains("stays locked until `docker swarm unlock`"),
        "{notes:?}"
    );
    let refusal = before(&guard(false), "docker01", &restart(), &engines)
        .await
        .unwrap_err();
    assert!(
        refusal
            .why
            .contains("stays locked until `docker swarm unlock`")
            && refusal.hint.contains("--autolock=false"),
        "{} {}",
        refusal.why,
        refusal.hint
    );
    let notes = before(&guard(true), "docker01", &restart(), &engines)
        .await
        .unwrap();
    assert!(notes[0].contains("stays locked"), "{notes:?}");
    // With a key that is kept, the restart is like that of any other manager.
    let unlocks = SwarmGuard {
        unlocks: true,
        ..guard(false)
    };
    let notes = unlocks.forecast(&host("docker01"), &engines).await;
    assert!(notes[0].contains("skep unlocks it"), "{notes:?}");
    let notes = before(&unlocks, "docker01", &restart(), &engines).await;
    assert!(notes.unwrap()[0].contains("leaves 2 of 3 managers"));
    let locked = set(inactive("web1"), "/Swarm/LocalNodeState", "locked");
    let engines = ScriptedDocker::default().with("docker01", "/info", [good(locked)]);
    let refusal = guard(true)
        .after(&host("docker01"), &restart(), &engines)
        .await
        .unwrap_err();
    assert!(
        refusal.why.contains("docker swarm unlock"),
        "{}",
        refusal.why
    );
    // An ordinary swarm.
    assert!(
        guard(false)
            .forecast(&host("docker01"), &managers(third()))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn owners_are_found_by_node_id() {
    let nodes = ["n3".to_owned(), "n9".to_owned()].into();
    let hosts = ["docker01", "docker02", "docker03"].map(host);
    let owners = guard(false)
        .owners(&hosts, &nodes, &managers(third()))
        .await;
    assert_eq!(owners, [host("docker03")]);
}
