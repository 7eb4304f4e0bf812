//! Plans for networks that exist, are missing, or differ.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;
use crate::model::{DockerAnswer, QueryAnswer};
use crate::swarm::samples::*;

const PATH: &str = "/networks?filters=%7B%22name%22%3A%5B%22back%22%5D%7D";
const WAIT: &str = "docker01 wait /networks/back?scope=swarm /Driver=\"overlay\"";

fn live(network: Value) -> HostAnswers {
    only_manager().with(
        Query::docker(PATH),
        QueryAnswer::Engine(good(json!([network]))),
    )
}

fn back() -> Value {
    json!({"Name": "back", "Id": "net1", "Scope": "swarm", "Driver": "overlay", "Attachable": true, "Internal": false,
        "IPAM": {"Driver": "default", "Config": [{"Subnet": "10.30.0.0/24", "Gateway": "10.30.0.1"}]},
        "Options": {"com.docker.network.driver.overlay.vxlanid_list": "4097", "encrypted": ""}, "Labels": {"a": "1"}})
}

fn planned(table: &str, answers: &HostAnswers) -> Result<Option<Change>, Refusal> {
    let kind: NetworkResource = bound(table, "docker01", &roster(&["docker01"])).unwrap();
    match kind.observe(answers).unwrap() {
        Observation::Known(observed) => kind.plan(&observed),
        Observation::Needs(queries) => panic!("{queries:?}"),
    }
}

#[test]
fn in_sync_network_keeps_other_labels() {
    let table = "name = 'back'\nattachable = true\nencrypted = true\nsubnet = '10.30.0.0/24'";
    assert!(planned(table, &live(back())).unwrap().is_none());
    assert!(
        planned(
            "name = 'back'\nattachable = true\nencrypted = true",
            &live(back())
        )
        .unwrap()
        .is_none()
    );
}

#[test]
fn refuses_a_difference_without_replace() {
    let table = "name = 'back'\nattachable = true\nsubnet = '10.31.0.0/24'";
    let refusal = planned(table, &live(back())).unwrap_err();
    assert_eq!(
        refusal.why,
        "the network back differs (encrypted, subnet), and a network cannot be changed"
    );
    let change = planned(&format!("{table}\nreplace = true"), &live(back()))
        .unwrap()
        .unwrap();
    assert_eq!(
        acts(&change),
        [
            "docker01 DELETE /networks/net1",
            "docker01 POST /networks/create",
            WAIT
        ]
    );
    assert_eq!(change.fields[1].before, DisplayValue::text("10.30.0.0/24"));
}

#[test]
fn ignores_partial_names_and_networks_of_one_node() {
    let mut other = back();
    other["Name"] = "back2".into();
    let change = planned("name = 'back'\nencrypted = true", &live(other))
        .unwrap()
        .unwrap();
    assert_eq!(change.action, Action::Create);
    let Operation::DockerApi(call) = &change.steps[0].act else {
        panic!()
    };
    assert_eq!(
        call.body.as_ref().unwrap()["Options"],
        json!({"encrypted": ""})
    );
    let mut local = back();
    local["Scope"] = "local".into();
    assert!(
        planned("name = 'back'\nstate = 'absent'", &live(local))
            .unwrap()
            .is_none()
    );
    let change = planned("name = 'back'\nstate = 'absent'", &live(back()))
        .unwrap()
        .unwrap();
    assert_eq!(acts(&change), ["docker01 DELETE /networks/net1"]);
}

#[test]
fn plans_creation_before_the_swarm_exists() {
    let answers = own("/info", DockerAnswer::Absent).with(
        Query::docker(PATH),
        QueryAnswer::Engine(DockerAnswer::Absent),
    );
    let change = planned("name = 'back'\nsubnet = '10.31.0.0/24'", &answers)
        .unwrap()
        .unwrap();
    assert_eq!(acts(&change), ["later"]);
    assert_eq!(change.fields.len(), 2);
}

#[test]
fn skips_silent_managers_and_fails_if_no_manager_answers() {
    let roster = roster(&["docker01", "docker02"]);
    let kind: NetworkResource = bound(
        "name = 'back'\nattachable = true\nencrypted = true",
        "docker03",
        &roster,
    )
    .unwrap();
    let leader = voter(node("n1", "docker01", "192.168.56.11"), true, "reachable");
    let second = voter(node("n2", "docker02", "192.168.56.12"), false, "reachable");
    let third = node("n3", "docker03", "192.168.56.13");
    let base = own(
        "/info",
        good(worker(
            "docker03",
            "n3",
            "192.168.56.13",
            ("n1", "192.168.56.11:2377"),
        )),
    );
    let base = and(
        base,
        "docker01",
        "/info",
        good(manager("docker01", "n1", "192.168.56.11", "c1")),
    );
    let base = and(
        base,
        "docker01",
        "/nodes",
        good(json!([leader, second, third])),
    );
    let base = and(
        base,
        "docker02",
        "/info",
        good(manager("docker02", "n2", "192.168.56.12", "c1")),
    );
    let Observation::Needs(first) = kind.observe(&base).unwrap() else {
        panic!()
    };
    assert_eq!(first, [Query::docker_of(host("docker01"), PATH)]);
    let base = and(base, "docker01", PATH, DockerAnswer::Down("stopped".into()));
    let Observation::Needs(second) = kind.observe(&base).unwrap() else {
        panic!()
    };
    assert_eq!(second, [Query::docker_of(host("docker02"), PATH)]);
    let read = and(base.clone(), "docker02", PATH, good(json!([back()])));
    let Observation::Known(observed) = kind.observe(&read).unwrap() else {
        panic!()
    };
    assert!(
        matches!(&observed, ClusterState::Live(Some(_), managers) if managers[0] == host("docker02"))
    );
    let none = and(base, "docker02", PATH, DockerAnswer::Down("stopped".into()));
    assert!(matches!(kind.observe(&none), Err(ProbeError::Elsewhere(_))));
}

#[test]
fn bad_input_is_refused() {
    for table in [
        "name = 'a b'",
        "name = ''",
        "name = 'n'\ngateway = '10.0.0.1'",
        "name = 'n'\nsubnet = '10.0.0.0/24'\ngateway = '10.1.0.1'",
        "name = 'n'\nsubnet = '10.0.0.7/24'",
        "name = 'n'\nmanagers = 'nobody'",
    ] {
        assert!(
            bound::<NetworkResource>(table, "docker01", &roster(&["docker01"])).is_err(),
            "{table}"
        );
    }
}
