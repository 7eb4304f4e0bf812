//! Plans for configs that exist, are missing, have changed or are in use.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use base64ct::{Base64, Encoding as _};
use serde_json::{Value, json};

use super::*;
use crate::model::QueryAnswer;
use crate::swarm::samples::*;

const TABLE: &str = "name = 'web'\ncontent = \"a\\nb\\n\"";
const CONFIGS: &str = "/configs?filters=%7B%22label%22%3A%5B%22skep.name%3Dweb%22%5D%7D";

fn version(number: u64, content: &str) -> Value {
    json!({"ID": format!("c{number}"), "Spec": {"Name": format!("web-{number}"), "Labels": {"skep.name": "web"},
        "Data": Base64::encode_string(content.as_bytes())}})
}

fn planned(table: &str, configs: Value, services: Value) -> Result<Option<Change>, Refusal> {
    let leader = voter(node("n1", "docker01", "192.168.56.11"), true, "reachable");
    let answers = own(
        "/info",
        good(manager("docker01", "n1", "192.168.56.11", "c1")),
    )
    .with(
        Query::docker("/nodes"),
        QueryAnswer::Engine(good(json!([leader]))),
    )
    .with(Query::docker(CONFIGS), QueryAnswer::Engine(good(configs)))
    .with(
        Query::docker("/services"),
        QueryAnswer::Engine(good(services)),
    );
    let kind: ConfigResource = bound(table, "docker01", &roster(&["docker01"])).unwrap();
    match kind.observe(&answers).unwrap() {
        Observation::Known(observed) => kind.plan(&observed),
        Observation::Needs(queries) => panic!("{queries:?}"),
    }
}

#[test]
fn content_is_compared_and_shown() {
    assert!(
        planned(TABLE, json!([version(1, "a\nb\n")]), json!([]))
            .unwrap()
            .is_none()
    );
    let change = planned(TABLE, json!([version(1, "a\n")]), json!([]))
        .unwrap()
        .unwrap();
    assert_eq!(acts(&change), ["docker01 POST /configs/create"]);
    assert_eq!(change.fields[1].before, DisplayValue::Lines("a\n".into()));
    assert_eq!(change.fields[1].after, DisplayValue::Lines("a\nb\n".into()));
    let change = planned(TABLE, json!([]), json!([])).unwrap().unwrap();
    assert_eq!(
        (change.action, &change.fields[0].after),
        (Action::Create, &DisplayValue::text("web-1"))
    );
}

#[test]
fn removes_old_versions_and_refuses_absence_while_in_use() {
    let versions = || json!([version(1, "x"), version(2, "y"), version(3, "a\nb\n")]);
    let change = planned(TABLE, versions(), json!([])).unwrap().unwrap();
    assert_eq!(acts(&change), ["docker01 DELETE /configs/c1"]);
    let users = json!([{"Spec": {"Name": "w", "TaskTemplate": {"ContainerSpec": {"Configs": [{"ConfigID": "c3"}]}}}}]);
    let refusal = planned("name = 'web'\nstate = 'absent'", versions(), users).unwrap_err();
    assert_eq!(refusal.why, "the config web is used by the service w");
    let change = planned("name = 'web'\nstate = 'absent'", versions(), json!([]))
        .unwrap()
        .unwrap();
    assert_eq!((acts(&change).len(), change.action), (3, Action::Delete));
}

#[test]
fn bad_input_is_refused() {
    for table in [
        "name = 'w'",
        "name = 'w'\ncontent = ''",
        "name = 'w'\ncontent = 'a'\nsource = 'b'",
        "name = '-'\ncontent = 'a'",
    ] {
        assert!(
            bound::<ConfigResource>(table, "docker01", &roster(&["docker01"])).is_err(),
            "{table}"
        );
    }
}
