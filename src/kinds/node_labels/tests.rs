//! Tests of `node_labels`: present, missing, foreign and refused labels.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use super::*;
use crate::model::QueryAnswer;
use crate::swarm::samples::*;

fn labelled(labels: Value) -> HostAnswers {
    let mut own_node = node("n2", "docker02", "192.168.56.12");
    own_node["Spec"]["Labels"] = labels;
    let leader = voter(node("n1", "docker01", "192.168.56.11"), true, "reachable");
    // A second node with the same host name: acting by name would be ambiguous.
    let twin = node("n9", "docker02", "192.168.56.99");
    let info = worker(
        "docker02",
        "n2",
        "192.168.56.12",
        ("n1", "192.168.56.11:2377"),
    );
    let answers = own("/info", good(info)).with(
        Query::docker("/nodes"),
        QueryAnswer::Engine(good(json!([]))),
    );
    let answers = and(
        answers,
        "docker01",
        "/info",
        good(manager("docker01", "n1", "192.168.56.11", "c1")),
    );
    let answers = and(
        answers,
        "docker01",
        "/nodes",
        good(json!([twin, leader, own_node])),
    );
    and(
        answers,
        "docker01",
        &DataVolume::list_path(None),
        good(json!([])),
    )
}

fn planned(table: &str, answers: &HostAnswers) -> Option<Change> {
    let kind: NodeLabelsResource = bound(table, "docker02", &roster(&["docker01"])).unwrap();
    match kind.observe(answers).unwrap() {
        Observation::Known(observed) => kind.plan(&observed).unwrap(),
        Observation::Needs(queries) => panic!("{queries:?}"),
    }
}

fn body(change: &Change) -> Value {
    let Operation::DockerApi(call) = &change.steps[0].act else {
        panic!()
    };
    call.body.clone().unwrap()
}

#[test]
fn missing_label_is_added_by_node_id_and_foreign_labels_stay() {
    let change = planned("'web2py.tier.db' = true", &labelled(json!({"rack": "7"}))).unwrap();
    assert_eq!(change.fields.len(), 1);
    assert_eq!(change.fields[0].field, "label web2py.tier.db");
    assert_eq!(
        (&change.fields[0].before, &change.fields[0].after),
        (&DisplayValue::Absent, &DisplayValue::text("true"))
    );
    assert_eq!(acts(&change), ["docker01 POST /nodes/n2/update?version=17"]);
    assert_eq!(
        body(&change),
        json!({"Labels": {"rack": "7", "web2py.tier.db": "true"}, "Role": "worker", "Availability": "active"})
    );
    assert!(
        planned(
            "'web2py.tier.db' = true",
            &labelled(json!({"rack": "7", "web2py.tier.db": "true"}))
        )
        .is_none()
    );
}

#[test]
fn node_of_another_machine_gets_no_label() {
    let kind: NodeLabelsResource = bound(
        "'web2py.tier.db' = true",
        "docker02",
        &roster(&["docker01"]),
    )
    .unwrap();
    let refused = |node_id: &str, addresses: &[&str]| {
        let info = worker(
            "docker02",
            node_id,
            "192.168.56.12",
            ("n1", "192.168.56.11:2377"),
        );
        let facts = crate::model::HostFacts {
            addresses: addresses.iter().map(ToString::to_string).collect(),
            ..crate::model::HostFacts::default()
        };
        let answers = labelled(json!({}))
            .with(Query::docker("/info"), QueryAnswer::Engine(good(info)))
            .with(Query::Shell(ShellQuery::Facts), QueryAnswer::Facts(facts));
        let Observation::Known(observed) = kind.observe(&answers).unwrap() else {
            panic!("more queries");
        };
        kind.plan(&observed).unwrap_err().why
    };
    // `n9` has the same host name, and is another machine.
    let why = refused("n9", &["192.168.56.12"]);
    assert!(why.contains("see that node at 192.168.56.99"), "{why}");
    let why = refused("n1", &["192.168.56.11", "192.168.56.12"]);
    assert!(why.contains("docker02 and docker01 both say"), "{why}");
}

#[test]
fn exact_mode_removes_foreign_labels_and_absent_removes_named_labels() {
    let live = || labelled(json!({"a": "1", "b": "2", "c": "3"}));
    let change = planned("labels = { a = '1' }\nmode = 'exact'", &live()).unwrap();
    assert_eq!(body(&change)["Labels"], json!({"a": "1"}));
    let change = planned("absent = ['b']", &live()).unwrap();
    assert_eq!(body(&change)["Labels"], json!({"a": "1", "c": "3"}));
    assert!(
        planned(
            "labels = { labels = 'x' }",
            &labelled(json!({"labels": "x"}))
        )
        .is_none()
    );
    assert!(
        planned("labels = 'x'", &labelled(json!({"labels": "x"}))).is_none(),
        "short form with a label of that name"
    );
}

#[test]
fn bare_host_gets_a_forecast() {
    let answers = and(
        own("/info", crate::model::DockerAnswer::Absent),
        "docker01",
        "/info",
        good(inactive("docker01")),
    );
    let change = planned("tier = 'db'", &answers).unwrap();
    assert_eq!(acts(&change), ["later"]);
}

#[test]
fn labels_that_docker_refuses_are_load_errors() {
    for table in [
        "'' = 'x'",
        "'a b' = 'x'",
        "'a=b' = 'x'",
        "a = \"x\\ny\"",
        "labels = { a = 'x' }\nabsent = ['a']",
        "",
    ] {
        assert!(
            bound::<NodeLabelsResource>(table, "docker02", &roster(&["docker01"])).is_err(),
            "{table}"
        );
    }
    for table in [
        "web2py.tier.db = 'x'",
        "a = 1.5",
        "labels = { a = 'x' }\nmod = 'exact'",
    ] {
        assert!(
            toml::from_str::<NodeLabelsResource>(table).is_err(),
            "{table}"
        );
    }
}
