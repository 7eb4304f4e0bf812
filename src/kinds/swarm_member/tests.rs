//! Tests of every membership status of a host, with the steps that fix it.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use super::*;
use crate::model::{
    APPLIED_RECORD, DisplayValue, Disruption, DockerAnswer, HostFacts, Operation, PathState,
    PathType, QueryAnswer, ShellQuery,
};
use crate::swarm::samples::*;

const MANAGER: &str = "role = 'manager'\ninit = true\naddress_pool = ['10.20.0.0/16']";
const WORKER: &str = "role = 'worker'";
const IP1: &str = "192.168.56.11";
const IP2: &str = "192.168.56.12";

fn facts(answers: HostAnswers, name: &str) -> HostAnswers {
    let facts = HostFacts {
        hostname: name.into(),
        addresses: vec![IP1.into(), IP2.into()],
        ..HostFacts::default()
    };
    answers
        .with(Query::Shell(ShellQuery::Facts), QueryAnswer::Facts(facts))
        .with(Query::content(APPLIED_RECORD), QueryAnswer::Path(None))
}

/// Adds the `/info` of hosts that are in no swarm.
fn outside(answers: HostAnswers, names: &[&str]) -> HostAnswers {
    names.iter().fold(answers, |answers, name| {
        and(answers, name, "/info", good(inactive(name)))
    })
}

/// Returns the answers for docker02: its own `/info`, the `/info` of docker01, and the nodes that
/// docker01 lists.
fn second(own_info: DockerAnswer, first: DockerAnswer, nodes: Value) -> HostAnswers {
    let answers = and(
        and(own("/info", own_info), "docker01", "/info", first),
        "docker01",
        "/nodes",
        good(nodes),
    );
    facts(answers, "docker02")
}

fn member(table: &str, name: &str) -> SwarmMemberResource {
    bound(table, name, &roster(&["docker01"])).unwrap()
}

fn seen(
    member: &SwarmMemberResource,
    answers: &HostAnswers,
) -> Result<SwarmMemberState, ProbeError> {
    match member.observe(answers)? {
        Observation::Known(seen) => Ok(seen),
        Observation::Needs(queries) => panic!("not answered: {queries:?}"),
    }
}

fn planned(member: &SwarmMemberResource, answers: &HostAnswers) -> Option<Change> {
    member.plan(&seen(member, answers).unwrap()).unwrap()
}

fn refused(member: &SwarmMemberResource, answers: &HostAnswers) -> String {
    let seen = match seen(member, answers) {
        Err(ProbeError::Settling { why, hint }) => return format!("{why} | {hint}"),
        seen => seen.unwrap(),
    };
    let refusal = member.plan(&seen).unwrap_err();
    format!("{} | {}", refusal.why, refusal.hint)
}

fn m1() -> Value {
    manager("docker01", "n1", IP1, "c1")
}

fn w2() -> Value {
    worker("docker02", "n2", IP2, ("n1", "192.168.56.11:2377"))
}

fn leader() -> Value {
    voter(node("n1", "docker01", IP1), true, "reachable")
}

fn body(change: &Change, path: &str) -> Value {
    change
        .steps
        .iter()
        .find_map(|step| match &step.act {
            Operation::DockerApi(call) if call.path == path => call.body.clone(),
            _ => None,
        })
        .unwrap()
}

#[test]
fn bare_first_manager_starts_the_swarm_and_then_is_in_sync() {
    let member = member(MANAGER, "docker01");
    for engine in [DockerAnswer::Absent, good(inactive("docker01"))] {
        let answers = outside(own("/info", engine), &["docker02", "docker03"]);
        let change = planned(&member, &facts(answers, "docker01")).unwrap();
        assert_eq!(change.action, crate::model::Action::Create);
        assert_eq!(
            acts(&change),
            [
                "own POST /swarm/init",
                "own wait /info /Swarm/ControlAvailable=true"
            ]
        );
        assert!(change.fields.iter().any(
            |field| field.field == "cluster ID" && field.after == DisplayValue::KnownAfterApply
        ));
        assert_eq!(
            body(&change, "/swarm/init"),
            json!({"ListenAddr": "0.0.0.0:2377", "AdvertiseAddr": IP1, "ForceNewCluster": false, "Spec": {},
                "DefaultAddrPool": ["10.20.0.0/16"], "SubnetSize": 24})
        );
    }
    let after = own("/info", good(m1())).with(
        Query::docker("/nodes"),
        QueryAnswer::Engine(good(json!([leader()]))),
    );
    assert!(planned(&member, &facts(after, "docker01")).is_none());
}

#[test]
fn worker_joins_with_a_deferred_token_and_then_is_in_sync() {
    let member = member(WORKER, "docker02");
    let change = planned(
        &member,
        &second(DockerAnswer::Absent, good(m1()), json!([leader()])),
    )
    .unwrap();
    assert_eq!(
        acts(&change),
        [
            "own script reach a manager",
            "own POST /swarm/join",
            "own wait /info /Swarm/LocalNodeState=\"active\""
        ]
    );
    let body = body(&change, "/swarm/join");
    assert_eq!(body["RemoteAddrs"], json!(["192.168.56.11:2377"]));
    assert_eq!(
        body["JoinToken"],
        Value::Null,
        "a token is never part of a plan"
    );
    let Operation::DockerApi(call) = &change.steps[1].act else {
        panic!()
    };
    assert_eq!(call.late[0].pointer, "/JoinTokens/Worker");
    assert_eq!(call.late[0].into, "/JoinToken");
    assert_eq!(call.late[0].hosts, [host("docker01")]);

    let after = second(
        good(w2()),
        good(m1()),
        json!([leader(), node("n2", "docker02", IP2)]),
    );
    assert!(planned(&member, &after).is_none());
}

#[test]
fn other_hosts_wait_for_the_first_manager_before_there_is_a_swarm() {
    let second =
        bound::<SwarmMemberResource>(MANAGER, "docker02", &roster(&["docker01", "docker02"]))
            .unwrap();
    let answers = facts(
        and(
            own("/info", good(inactive("docker02"))),
            "docker01",
            "/info",
            DockerAnswer::Absent,
        ),
        "docker02",
    );
    let change = planned(&second, &answers).unwrap();
    assert_eq!(
        acts(&change)[..3],
        [
            "docker01 wait /info /Swarm/ControlAvailable=true",
            "own script reach a manager",
            "own POST /swarm/join"
        ]
    );
    assert!(
        !acts(&change).iter().any(|act| act.contains("init")),
        "two hosts must never start two swarms"
    );
}

#[test]
fn no_swarm_is_started_or_joined_while_a_manager_is_unreadable() {
    let first =
        bound::<SwarmMemberResource>(MANAGER, "docker01", &roster(&["docker01", "docker02"]))
            .unwrap();
    let pending = set(inactive("docker02"), "/Swarm/LocalNodeState", "pending");
    for view in [
        DockerAnswer::Unreachable("no route".into()),
        DockerAnswer::Down("stopped".into()),
        DockerAnswer::Response {
            status: 500,
            body: json!({"message": "boom"}),
        },
        good(pending),
        good(set(m1(), "/Swarm/ControlAvailable", false)),
    ] {
        let answers = facts(
            and(
                own("/info", DockerAnswer::Absent),
                "docker02",
                "/info",
                view.clone(),
            ),
            "docker01",
        );
        let error = seen(&first, &answers).unwrap_err();
        assert!(error.to_string().contains("docker02"), "{view:?}: {error}");
    }
}

#[test]
fn host_of_another_swarm_is_refused_naming_both_swarms() {
    let member = member(WORKER, "docker02");
    let nodes = || json!([leader()]);
    let foreign_worker = worker("docker02", "x2", IP2, ("x9", "10.9.9.9:2377"));
    let text = refused(
        &member,
        &second(good(foreign_worker.clone()), good(m1()), nodes()),
    );
    assert!(
        text.contains("another swarm (node x2, managers 10.9.9.9:2377)"),
        "{text}"
    );
    assert!(
        text.contains("cluster c1") && text.contains("run `docker swarm leave` on it"),
        "{text}"
    );

    let own_swarm = manager("docker02", "x2", IP2, "c9");
    for first in [good(m1()), good(inactive("docker01")), DockerAnswer::Absent] {
        let answers = second(good(own_swarm.clone()), first, nodes()).with(
            Query::docker("/nodes"),
            QueryAnswer::Engine(good(json!([]))),
        );
        assert!(
            refused(&member, &answers).contains("cluster c9"),
            "a swarm of its own"
        );
    }
    // A host that is half-joined to a foreign swarm is foreign, too.
    let half = set(foreign_worker, "/Swarm/LocalNodeState", "pending");
    assert!(refused(&member, &second(good(half), good(m1()), nodes())).contains("another swarm"));
}

#[test]
fn managers_of_two_swarms_are_refused_naming_both_swarms() {
    let roster = roster(&["docker01", "docker02"]);
    let third = bound::<SwarmMemberResource>(WORKER, "docker03", &roster).unwrap();
    let answers = and(
        own("/info", good(inactive("docker03"))),
        "docker01",
        "/info",
        good(m1()),
    );
    let answers = and(
        answers,
        "docker02",
        "/info",
        good(manager("docker02", "x2", IP2, "c9")),
    );
    let text = refused(
        &third,
        &facts(
            and(answers, "docker01", "/nodes", good(json!([leader()]))),
            "docker03",
        ),
    );
    assert!(
        text.contains("docker01 in cluster c1, docker02 in cluster c9"),
        "{text}"
    );
}

#[test]
fn locked_and_leaderless_swarms_are_reported() {
    let second_host = member(WORKER, "docker02");
    let locked = set(inactive("docker02"), "/Swarm/LocalNodeState", "locked");
    assert!(
        refused(
            &second_host,
            &second(good(locked), good(m1()), json!([leader()]))
        )
        .contains("unlock")
    );
    let mut leaderless = set(m1(), "/Swarm/Error", "The swarm does not have a leader.");
    leaderless["Swarm"]
        .as_object_mut()
        .unwrap()
        .remove("Cluster");
    let error = seen(
        &second_host,
        &second(good(w2()), good(leaderless), json!([])),
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("has no leader"), "{error}");
}

#[test]
fn half_joined_and_removed_nodes_leave_and_join_again() {
    let member = member(WORKER, "docker02");
    let mut pending = set(inactive("docker02"), "/Swarm/LocalNodeState", "pending");
    pending = set(pending, "/Swarm/Error", "rpc error: timeout");
    for (info, field) in [(pending, "state"), (w2(), "node ID")] {
        let change = planned(&member, &second(good(info), good(m1()), json!([leader()]))).unwrap();
        assert_eq!(change.fields[0].field, field);
        assert_eq!(
            acts(&change)[..4],
            [
                "own POST /swarm/leave?force=true",
                "own wait /info /Swarm/LocalNodeState=\"inactive\"",
                "own script reach a manager",
                "own POST /swarm/join",
            ]
        );
    }
}

#[test]
fn returning_node_is_awaited() {
    let info = set(w2(), "/Swarm/LocalNodeState", "pending");
    let answers = second(
        good(info),
        good(m1()),
        json!([leader(), node("n2", "docker02", IP2)]),
    );
    let change = planned(&member(WORKER, "docker02"), &answers).unwrap();
    assert_eq!(
        acts(&change),
        ["own wait /info /Swarm/LocalNodeState=\"active\""]
    );
}

#[test]
fn stopped_engine_is_never_treated_as_outside_the_swarm() {
    let answers = second(
        DockerAnswer::Down("stopped".into()),
        good(m1()),
        json!([leader(), node("n2", "docker02", IP2)]),
    );
    let change = planned(&member(WORKER, "docker02"), &answers).unwrap();
    assert_eq!(
        acts(&change),
        ["own wait /info /Swarm/LocalNodeState=\"active\""]
    );
}

#[test]
fn stopped_engine_starts_although_the_swarm_has_no_leader() {
    let member =
        bound::<SwarmMemberResource>(MANAGER, "docker01", &roster(&["docker01", "docker02"]))
            .unwrap();
    let mut leaderless = set(
        manager("docker02", "n2", IP2, "c1"),
        "/Swarm/Error",
        "The swarm does not have a leader.",
    );
    leaderless["Swarm"]
        .as_object_mut()
        .unwrap()
        .remove("Cluster");
    for second in [good(leaderless), DockerAnswer::Down("stopped".into())] {
        let answers = and(
            own("/info", DockerAnswer::Down("stopped".into())),
            "docker02",
            "/info",
            second,
        );
        let blind = DockerAnswer::Response {
            status: 503,
            body: json!({"message": "The swarm does not have a leader."}),
        };
        let answers = and(answers, "docker02", "/nodes", blind);
        let change = planned(&member, &facts(answers, "docker01")).unwrap();
        assert_eq!(
            acts(&change),
            ["own wait /info /Swarm/LocalNodeState=\"active\""]
        );
    }
}

#[test]
fn promotion_and_demotion_go_through_another_manager() {
    let promoted =
        bound::<SwarmMemberResource>("role = 'manager'", "docker02", &roster(&["docker01"]))
            .unwrap();
    let nodes = json!([leader(), node("n2", "docker02", IP2)]);
    let change = planned(&promoted, &second(good(w2()), good(m1()), nodes)).unwrap();
    assert_eq!(
        acts(&change),
        [
            "docker01 POST /nodes/n2/update?version=17",
            "docker01 wait /nodes/n2 /ManagerStatus/Reachability=\"reachable\"",
            "own wait /info /Swarm/ControlAvailable=true",
        ]
    );
    assert_eq!(
        body(&change, "/nodes/n2/update?version=17")["Role"],
        "manager"
    );

    let two = json!([
        leader(),
        voter(node("n2", "docker02", IP2), false, "reachable")
    ]);
    let change = planned(
        &member(WORKER, "docker02"),
        &second(
            good(manager("docker02", "n2", IP2, "c1")),
            good(m1()),
            two.clone(),
        ),
    );
    let change = change.unwrap();
    assert_eq!(change.disturbs, Disruption::ManagerLoss);
    assert_eq!(
        acts(&change),
        [
            "docker01 POST /nodes/n2/update?version=17",
            "docker01 wait /nodes/n2 /ManagerStatus=null",
            "own wait /info /Swarm/ControlAvailable=false",
        ]
    );
    // After the promotion, the same plan is empty.
    assert!(
        planned(
            &promoted,
            &second(good(manager("docker02", "n2", IP2, "c1")), good(m1()), two)
        )
        .is_none()
    );
}

#[test]
fn demotion_of_the_only_manager_is_refused() {
    let only = bound::<SwarmMemberResource>(WORKER, "docker01", &roster(&["docker01"])).unwrap();
    let answers = own("/info", good(m1())).with(
        Query::docker("/nodes"),
        QueryAnswer::Engine(good(json!([leader()]))),
    );
    assert!(refused(&only, &facts(answers, "docker01")).contains("only manager"));
}

#[test]
fn availability_and_the_advertised_address_are_compared() {
    let drained = bound::<SwarmMemberResource>(
        "role = 'worker'\navailability = 'drain'",
        "docker02",
        &roster(&["docker01"]),
    )
    .unwrap();
    let nodes = || json!([leader(), node("n2", "docker02", IP2)]);
    let change = planned(&drained, &second(good(w2()), good(m1()), nodes())).unwrap();
    assert_eq!(
        body(&change, "/nodes/n2/update?version=17")["Availability"],
        "drain"
    );
    let nat = set(w2(), "/Swarm/NodeAddr", "10.0.2.15");
    let text = refused(
        &member(WORKER, "docker02"),
        &second(good(nat), good(m1()), nodes()),
    );
    assert!(text.contains("advertises 10.0.2.15"), "{text}");
}

#[test]
fn lost_advertised_address_is_refused() {
    let member = member(WORKER, "docker02");
    let at = |heard: &str, own: &[&str]| {
        let nodes = json!([leader(), node("n2", "docker02", heard)]);
        let own = HostFacts {
            addresses: own.iter().map(|&address| address.to_owned()).collect(),
            ..HostFacts::default()
        };
        second(good(w2()), good(m1()), nodes)
            .with(Query::Shell(ShellQuery::Facts), QueryAnswer::Facts(own))
    };
    let new = "192.168.56.99";
    let text = refused(&member, &at(new, &["10.0.2.15", new]));
    assert!(
        text.contains("advertises 192.168.56.12 in the swarm but no longer has that address"),
        "{text}"
    );
    assert!(
        text.contains("set its swarm_address to 192.168.56.99"),
        "{text}"
    );
    // The address of a router in front of the host proves nothing until the inventory names it.
    let text = refused(&member, &at("203.0.113.7", &["10.0.0.5"]));
    assert!(
        text.contains("set its swarm_address to 203.0.113.7"),
        "{text}"
    );
    // Cases without a refusal: seen at another address while the advertised address still exists;
    // the address of the inventory; no known addresses.
    for (heard, own) in [
        (new, vec![IP2, new]),
        (IP2, vec!["10.0.0.5"]),
        (new, vec![]),
    ] {
        assert!(
            planned(&member, &at(heard, &own)).is_none(),
            "{heard} {own:?}"
        );
    }
}

#[test]
fn interface_that_may_have_the_nat_address_is_noted() {
    let notes = |advertise: &str, addresses: &[&str]| {
        let table = format!("{MANAGER}\nadvertise = '{advertise}'");
        let facts = HostFacts {
            hostname: "docker01".into(),
            addresses: addresses
                .iter()
                .map(|address| (*address).to_owned())
                .collect(),
            ..HostFacts::default()
        };
        let answers = own("/info", DockerAnswer::Absent)
            .with(Query::Shell(ShellQuery::Facts), QueryAnswer::Facts(facts));
        planned(&member(&table, "docker01"), &answers)
            .unwrap()
            .notes
            .join("\n")
    };
    let said = notes("eth0", &["10.0.2.15", IP1]);
    assert!(
        said.contains("docker01 has 10.0.2.15") && said.contains("if eth0 has this address"),
        "{said}"
    );
    assert_eq!(notes("eth0", &[IP1]), "");
    assert_eq!(notes(IP1, &["10.0.2.15", IP1]), "");
    assert!(notes("192.168.56.99", &["10.0.2.15"]).contains("has no address 192.168.56.99"));
}

#[test]
fn ghost_node_is_removed_and_other_nodes_stay() {
    let member = member(WORKER, "docker02");
    let down =
        |id: &str, address: &str| set(node(id, "docker02", address), "/Status/State", "down");
    let nodes = json!([leader(), down("old", IP2), down("other", "10.0.0.7")]);
    // A host that left joins again, and its ghost is removed afterwards. After an interruption,
    // only the ghost is removed.
    let change = planned(
        &member,
        &second(good(inactive("docker02")), good(m1()), nodes.clone()),
    )
    .unwrap();
    assert_eq!(acts(&change).last().unwrap(), "docker01 DELETE /nodes/old");
    assert!(
        change
            .fields
            .iter()
            .any(|field| field.field == "ghost node old")
    );
    assert!(
        change.notes.iter().any(|note| note.contains("other")),
        "{:?}",
        change.notes
    );
    let mut after = nodes.as_array().unwrap().clone();
    after.push(node("n2", "docker02", IP2));
    let change = planned(
        &member,
        &second(good(w2()), good(m1()), after.clone().into()),
    )
    .unwrap();
    assert_eq!(acts(&change), ["docker01 DELETE /nodes/old"]);
    after.remove(1);
    assert!(planned(&member, &second(good(w2()), good(m1()), after.into())).is_none());
    // A ghost that is not yet reported as down: the managers get the time to report it.
    let fresh = json!([leader(), node("old", "docker02", IP2)]);
    let change = planned(
        &member,
        &second(good(inactive("docker02")), good(m1()), fresh),
    )
    .unwrap();
    assert!(
        acts(&change)[3..]
            == [
                "docker01 wait /nodes/old /Status/State=\"down\"",
                "docker01 DELETE /nodes/old"
            ]
    );
}

#[test]
fn voting_ghost_is_demoted_before_the_join() {
    let ghost = set(
        voter(node("old", "docker02", IP2), false, "unreachable"),
        "/Status/State",
        "down",
    );
    let third = voter(node("n3", "docker03", "192.168.56.13"), false, "reachable");
    let answers = second(
        good(inactive("docker02")),
        good(m1()),
        json!([leader(), ghost, third]),
    );
    let change = planned(&member("role = 'manager'", "docker02"), &answers).unwrap();
    let acts = acts(&change);
    assert_eq!(
        acts[..4],
        [
            "docker01 POST /nodes/old/update?version=17",
            "docker01 wait /nodes/old /ManagerStatus=null",
            "own script reach a manager",
            "own POST /swarm/join",
        ]
    );
    assert_eq!(acts.last().unwrap(), "docker01 DELETE /nodes/old");
    assert_eq!(acts.iter().filter(|act| act.contains("update")).count(), 1);
}

#[test]
fn host_that_claims_the_node_of_another_host_is_refused() {
    let member = member(WORKER, "docker02");
    let third = || voter(node("n3", "docker03", "192.168.56.13"), false, "reachable");
    let nodes = || json!([leader(), node("n2", "docker02", IP2), third()]);
    // The worker says that it is the leader, which is in the group and answers itself.
    let liar = worker("docker02", "n1", IP2, ("n1", "192.168.56.11:2377"));
    let text = refused(&member, &second(good(liar), good(m1()), nodes()));
    assert!(
        text.contains("docker02 and docker01 both say that they are node n1"),
        "{text}"
    );
    // It says that it is a manager outside the group; its facts and its host name lie as well.
    let liar = worker(
        "docker03",
        "n3",
        "192.168.56.13",
        ("n1", "192.168.56.11:2377"),
    );
    let own = HostFacts {
        hostname: "docker03".into(),
        addresses: vec![IP2.into(), "192.168.56.13".into()],
        ..HostFacts::default()
    };
    let answers = second(good(liar), good(m1()), nodes()).with(
        Query::Shell(ShellQuery::Facts),
        QueryAnswer::Facts(own.clone()),
    );
    let text = refused(&member, &answers);
    assert!(
        text.contains("see that node at 192.168.56.13, the address of docker03"),
        "{text}"
    );
    // It says that it is in no swarm, and has the host name of the manager: that is no ghost.
    let answers = second(good(inactive("docker03")), good(m1()), nodes())
        .with(Query::Shell(ShellQuery::Facts), QueryAnswer::Facts(own));
    let advertised = bound::<SwarmMemberResource>(
        "role = 'worker'\nadvertise = '192.168.56.13'",
        "docker02",
        &roster(&["docker01"]),
    );
    assert!(advertised.is_err(), "two hosts advertise one address");
    let change = planned(&member, &answers).unwrap();
    assert!(
        !acts(&change).iter().any(|act| act.contains("/nodes/")),
        "{:?}",
        acts(&change)
    );
}

#[test]
fn names_of_machines_do_not_matter() {
    // The inventory's names are swapped: the machine of docker02 has the host name docker03.
    let member = member(WORKER, "docker02");
    let info = worker("docker03", "n2", IP2, ("n1", "192.168.56.11:2377"));
    let nodes = json!([
        leader(),
        node("n2", "docker03", IP2),
        node("n3", "docker02", "192.168.56.13")
    ]);
    assert!(planned(&member, &second(good(info), good(m1()), nodes)).is_none());
}

#[test]
fn role_change_that_is_under_way_is_awaited() {
    let wait = [
        "docker01 wait /nodes/n2 /ManagerStatus=null",
        "own wait /info /Swarm/ControlAvailable=false",
    ];
    let promoted =
        bound::<SwarmMemberResource>("role = 'manager'", "docker02", &roster(&["docker01"]))
            .unwrap();
    let nodes = || json!([leader(), node("n2", "docker02", IP2)]);
    let acting = || good(set(w2(), "/Swarm/ControlAvailable", true));
    let change = planned(&promoted, &second(acting(), good(m1()), nodes())).unwrap();
    assert_eq!(acts(&change)[..2], wait);
    assert_eq!(
        acts(&change)[2],
        "docker01 POST /nodes/n2/update?version=17"
    );
    assert!(
        change
            .notes
            .iter()
            .any(|note| note.contains("is being demoted")),
        "{:?}",
        change.notes
    );
    let worker = member(WORKER, "docker02");
    let change = planned(&worker, &second(acting(), good(m1()), nodes())).unwrap();
    assert_eq!(acts(&change), wait);
    assert_eq!(change.disturbs, Disruption::Nothing);
}

#[test]
fn starting_manager_never_leaves() {
    let member =
        bound::<SwarmMemberResource>("role = 'manager'", "docker02", &roster(&["docker01"]))
            .unwrap();
    let nodes = json!([
        leader(),
        voter(node("n2", "docker02", IP2), false, "reachable")
    ]);
    let mut starting = set(inactive("docker02"), "/Swarm/LocalNodeState", "pending");
    starting["Swarm"]["RemoteManagers"] = json!([]);
    for info in [
        starting.clone(),
        set(starting, "/Swarm/LocalNodeState", "error"),
        worker("docker02", "x7", IP2, ("n1", "192.168.56.11:2377")),
    ] {
        let text = refused(&member, &second(good(info), good(m1()), nodes.clone()));
        assert!(
            text.contains("the managers list a reachable manager at its address: node n2"),
            "{text}"
        );
    }
}

/// The only manager, which answers as an Engine in no swarm; the other hosts answer as given.
fn lone(record: Option<&str>, others: [DockerAnswer; 2]) -> HostAnswers {
    let [second, third] = others;
    let answers = and(
        and(
            own("/info", good(inactive("docker01"))),
            "docker02",
            "/info",
            second,
        ),
        "docker03",
        "/info",
        third,
    );
    let record = record.map(|text| PathState {
        kind: PathType::File,
        owner: "root".into(),
        uid: 0,
        group: "root".into(),
        gid: 0,
        mode: 0o600,
        size: text.len() as u64,
        modified: 0,
        target: None,
        content: Some(text.into()),
    });
    facts(answers, "docker01").with(Query::content(APPLIED_RECORD), QueryAnswer::Path(record))
}

#[test]
fn no_swarm_is_started_over_a_former_one() {
    let member = member(MANAGER, "docker01");
    let outside = || good(inactive("docker03"));
    let recorded = r#"{"version":1,"key":"","resources":{"swarm_member[manager]":{}}}"#;
    let text = refused(&member, &lone(Some(recorded), [outside(), outside()]));
    assert!(
        text.contains("the record of the last apply says that it was in one")
            && text.contains("--new-cluster"),
        "{text}"
    );
    let remembers = good(w2());
    let text = refused(&member, &lone(None, [remembers.clone(), outside()]));
    assert!(
        text.contains("known as a manager of a swarm to docker02")
            && text.contains("run `docker swarm leave` on docker02 before that"),
        "{text}"
    );
    // Consent, or no trace of a former swarm.
    let consents = member.accepting(ForeignData::FormerCluster).unwrap();
    assert!(member.accepting(ForeignData::EmptyDirectories).is_none());
    let stranger = good(worker(
        "docker03",
        "x1",
        "10.9.9.2",
        ("x9", "10.9.9.9:2377"),
    ));
    let other = r#"{"version":1,"key":"","resources":{"package[curl]":{}}}"#;
    for (member, answers) in [
        (&consents, lone(Some(recorded), [remembers, outside()])),
        (&member, lone(Some(other), [outside(), stranger])),
        (&member, lone(Some("damaged"), [outside(), outside()])),
        (
            &member,
            lone(
                None,
                [
                    DockerAnswer::Unreachable("no route".into()),
                    DockerAnswer::Down("stopped".into()),
                ],
            ),
        ),
    ] {
        let change = planned(member, &answers).unwrap();
        assert_eq!(acts(&change)[0], "own POST /swarm/init");
    }
}

#[test]
fn swarm_whose_manager_left_the_group_is_not_called_foreign() {
    // The group has docker02 only, a worker of the swarm that docker01 manages.
    let only_second = roster(&["docker02"]);
    let first = bound::<SwarmMemberResource>("role = 'worker'", "docker01", &only_second).unwrap();
    let answers = and(own("/info", good(m1())), "docker02", "/info", good(w2())).with(
        Query::docker("/nodes"),
        QueryAnswer::Engine(good(json!([leader(), node("n2", "docker02", IP2)]))),
    );
    let text = refused(&first, &facts(answers, "docker01"));
    assert!(
        text.contains("docker01 manages the swarm of this inventory (cluster c1)")
            && text.contains("put docker01 back into the group"),
        "{text}"
    );
    let second = bound::<SwarmMemberResource>(MANAGER, "docker02", &only_second).unwrap();
    let text = refused(&second, &facts(own("/info", good(w2())), "docker02"));
    assert!(
        text.contains("docker02 is a node of the swarm that docker01 manages"),
        "{text}"
    );
    assert!(
        !text.contains("another swarm") && !text.contains("leave"),
        "{text}"
    );
}

#[test]
fn last_manager_in_transition_is_never_told_to_leave() {
    let only = bound::<SwarmMemberResource>(MANAGER, "docker01", &roster(&["docker01"])).unwrap();
    let pending = |remotes: Value| {
        let mut info = set(inactive("docker01"), "/Swarm/LocalNodeState", "pending");
        info["Swarm"]["RemoteManagers"] = remotes;
        info
    };
    let itself = json!([{"NodeID": "n1", "Addr": "192.168.56.11:2377"}]);
    let mut starting = m1();
    starting["Swarm"]["ControlAvailable"] = false.into();
    starting["Swarm"].as_object_mut().unwrap().remove("Cluster");
    for info in [
        pending(json!([])),
        pending(Value::Null),
        pending(itself.clone()),
        set(pending(itself), "/Swarm/LocalNodeState", "error"),
        starting.clone(),
        set(starting, "/Swarm/RemoteManagers", json!([])),
    ] {
        let text = refused(&only, &facts(own("/info", good(info.clone())), "docker01"));
        assert!(
            !text.contains("swarm leave") && !text.contains("another swarm"),
            "{info}: {text}"
        );
        assert!(text.contains("wait a minute"), "{info}: {text}");
    }
}

#[test]
fn invalid_fields_are_load_errors() {
    let one = roster(&["docker01"]);
    for (table, name, field) in [
        ("role = 'worker'\ninit = true", "docker02", "init"),
        ("role = 'manager'\ninit = true", "docker02", "init"),
        (
            "role = 'worker'\nmanagers = 'bosses'",
            "docker02",
            "managers",
        ),
        (
            "role = 'worker'\nadvertise = 'docker02.example.org'",
            "docker02",
            "advertise",
        ),
        (
            "role = 'worker'\nadvertise = '127.0.0.1'",
            "docker02",
            "advertise",
        ),
        (
            "role = 'worker'\nadvertise = '10.0.2.15'",
            "docker02",
            "advertise",
        ),
        (
            "role = 'worker'\nadvertise = '192.168.56.11'",
            "docker02",
            "advertise",
        ),
        (
            "role = 'manager'\naddress_pool = ['10.20.1.0/16']",
            "docker01",
            "address_pool",
        ),
        (
            "role = 'manager'\naddress_pool = ['192.168.0.0/16']",
            "docker01",
            "address_pool",
        ),
        (
            "role = 'manager'\naddress_pool = ['10.0.0.0/8', '10.1.0.0/16']",
            "docker01",
            "address_pool",
        ),
        (
            "role = 'manager'\naddress_pool = ['10.0.0.0/26']",
            "docker01",
            "subnet_size",
        ),
    ] {
        let error = bound::<SwarmMemberResource>(table, name, &one).unwrap_err();
        assert_eq!(error.field, field, "{table}: {error}");
        assert!(error.hint.is_some(), "{table}");
    }
    assert!(toml::from_str::<SwarmMemberResource>("role = 'worker'\nadvertize = 'eth1'").is_err());
}

#[test]
fn absent_worker_leaves_and_is_removed() {
    let member = member("state = 'absent'", "docker02");
    let nodes = json!([leader(), node("n2", "docker02", IP2)]);
    let change = planned(&member, &second(good(w2()), good(m1()), nodes)).unwrap();
    assert_eq!(change.disturbs, Disruption::NodeLoss);
    assert!(change.leaves_swarm());
    assert_eq!(
        acts(&change),
        [
            "own POST /swarm/leave?force=false",
            "own wait /info /Swarm/LocalNodeState=\"inactive\"",
            "docker01 wait /nodes/n2 /Status/State=\"down\"",
            "docker01 DELETE /nodes/n2",
        ]
    );
    // Outside of the swarm there is nothing to do, and the node of an interrupted run is removed.
    let inactive = || good(inactive("docker02"));
    let answers = second(inactive(), good(m1()), json!([leader()]));
    assert!(planned(&member, &answers).is_none());
    let mut left = node("n2", "docker02", IP2);
    left["Status"]["State"] = "down".into();
    let answers = second(inactive(), good(m1()), json!([leader(), left]));
    let change = planned(&member, &answers).unwrap();
    assert_eq!(acts(&change), ["docker01 DELETE /nodes/n2"]);
    assert!(!change.leaves_swarm());
    // A stopped Engine cannot leave.
    let down = DockerAnswer::Down("stopped".into());
    let answers = second(down, good(m1()), json!([leader()]));
    assert!(refused(&member, &answers).contains("cannot leave the swarm: stopped"));
    assert!(member.expected_member().is_none());
}

#[test]
fn absent_manager_is_demoted_first_and_the_last_one_stays() {
    let absent = |name| member("state = 'absent'", name);
    let nodes = json!([
        leader(),
        voter(node("n2", "docker02", IP2), false, "reachable"),
        voter(node("n3", "docker03", "192.168.56.13"), false, "reachable"),
    ]);
    let own = good(manager("docker02", "n2", IP2, "c1"));
    let listed = QueryAnswer::Engine(good(nodes.clone()));
    let answers = second(own, good(m1()), nodes).with(Query::docker("/nodes"), listed);
    let change = planned(&absent("docker02"), &answers).unwrap();
    assert_eq!(change.disturbs, Disruption::ManagerLoss);
    assert!(change.leaves_swarm());
    let steps = acts(&change);
    assert!(
        steps[0].starts_with("docker01 POST /nodes/n2/update?version="),
        "{steps:?}"
    );
    assert_eq!(steps.len(), 7, "{steps:?}");
    assert_eq!(steps[6], "docker01 DELETE /nodes/n2");

    let listed = QueryAnswer::Engine(good(json!([leader()])));
    let answers = own_info(m1()).with(Query::docker("/nodes"), listed);
    let said = refused(&absent("docker01"), &facts(answers, "docker01"));
    assert!(said.contains("would remove the only manager"), "{said}");
}

fn own_info(info: Value) -> HostAnswers {
    own("/info", good(info))
}

#[test]
fn state_and_role_belong_together() {
    let error = |table: &str| {
        let bound = bound::<SwarmMemberResource>(table, "docker02", &roster(&["docker01"]));
        bound.unwrap_err()
    };
    assert!(format!("{:?}", error("")).contains("the role of the node is missing"));
    for surplus in ["role = 'worker'", "init = true", "availability = 'drain'"] {
        let said = format!("{:?}", error(&format!("state = 'absent'\n{surplus}")));
        assert!(
            said.contains("a host that leaves the swarm has no such field"),
            "{said}"
        );
    }
}
