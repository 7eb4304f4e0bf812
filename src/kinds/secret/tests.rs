//! Secrets that are there, missing, changed, used, or too many.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use base64ct::{Base64, Encoding};
use serde_json::{Value, json};

use super::*;
use crate::model::{GeneratedValue, Operation, QueryAnswer};
use crate::swarm::samples::*;

const TABLE: &str = "name = 'db'\nenvironment = 'DB'";
const SECRETS: &str = "/secrets?filters=%7B%22label%22%3A%5B%22skep.name%3Ddb%22%5D%7D";
const KEYS: &str = "/configs?filters=%7B%22name%22%3A%5B%22skep-digest-key%22%5D%7D";

fn version(number: u64, value: &str) -> Value {
    let digest = keyed_digest(b"key", "db", &SecretBytes::new(value.into()));
    json!({"ID": format!("s{number}"), "Spec": {"Name": format!("db-{number}"),
        "Labels": {"skep.name": "db", "skep.digest": digest}}})
}

fn live(secrets: Value, services: Value, key: bool) -> HostAnswers {
    let leader = voter(node("n1", "docker01", "192.168.56.11"), true, "reachable");
    let keys = json!([{"ID": "k", "Spec": {"Name": "skep-digest-key", "Data": Base64::encode_string(b"key")}}]);
    let keys = if key { keys } else { json!([]) };
    let value = Query::Value(ValueSource::Environment("DB".into()));
    own(
        "/info",
        good(manager("docker01", "n1", "192.168.56.11", "c1")),
    )
    .with(
        Query::engine("/nodes"),
        QueryAnswer::Engine(good(json!([leader]))),
    )
    .with(Query::engine(SECRETS), QueryAnswer::Engine(good(secrets)))
    .with(
        Query::engine("/services"),
        QueryAnswer::Engine(good(services)),
    )
    .with(Query::engine(KEYS), QueryAnswer::Engine(good(keys)))
    .with(
        value,
        QueryAnswer::Value(SecretBytes::new(b"hunter2".to_vec())),
    )
}

fn planned(table: &str, answers: &HostAnswers) -> Result<Option<Change>, Refusal> {
    let kind: SecretResource = bound(table, "docker01", &roster(&["docker01"])).unwrap();
    match kind.observe(answers).unwrap() {
        Observation::Known(observed) => kind.plan(&observed),
        Observation::Needs(queries) => panic!("{queries:?}"),
    }
}

fn using(id: &str) -> Value {
    json!([{"Spec": {"Name": "web_db", "TaskTemplate": {"ContainerSpec": {"Secrets": [{"SecretID": id}]}}}}])
}

#[test]
fn the_first_one_makes_the_key_too_and_no_plan_shows_the_value() {
    let change = planned(TABLE, &live(json!([]), json!([]), false))
        .unwrap()
        .unwrap();
    assert_eq!(
        acts(&change),
        [
            "docker01 POST /configs/create",
            "docker01 POST /secrets/create"
        ]
    );
    let Operation::DockerApi(key) = &change.steps[0].act else {
        panic!()
    };
    assert!(matches!(&key.made, GeneratedValue::RandomKey { into } if into == "/Data"));
    let Operation::DockerApi(call) = &change.steps[1].act else {
        panic!()
    };
    let body = call.body.as_ref().unwrap();
    assert_eq!(
        (&body["Name"], &body["Data"]),
        (&json!("db-1"), &json!(Base64::encode_string(b"hunter2")))
    );
    assert!(
        matches!(&call.made, GeneratedValue::KeyedDigest(seal) if seal.into == "/Labels/skep.digest" && seal.name == "db")
    );
    assert!(!format!("{change:?}").contains("hunter2"), "{change:?}");
    assert!(
        !format!("{change:?}").contains(&Base64::encode_string(b"hunter2")),
        "{change:?}"
    );
}

#[test]
fn the_same_value_needs_nothing_and_another_one_is_a_new_version() {
    assert!(
        planned(
            TABLE,
            &live(json!([version(1, "hunter2")]), json!([]), true)
        )
        .unwrap()
        .is_none()
    );
    // The current version is the last, not whichever has the value.
    let versions = json!([version(2, "other"), version(1, "hunter2")]);
    let change = planned(TABLE, &live(versions, json!([]), true))
        .unwrap()
        .unwrap();
    assert_eq!(
        acts(&change),
        [
            "docker01 POST /secrets/create",
            "docker01 DELETE /secrets/s1"
        ]
    );
    assert_eq!(change.fields[0].before, DisplayValue::text("db-2"));
    assert_eq!(change.fields[0].after, DisplayValue::text("db-3"));
    // A lost key: no digest can be trusted any more.
    let change = planned(
        TABLE,
        &live(json!([version(1, "hunter2")]), json!([]), false),
    )
    .unwrap()
    .unwrap();
    assert_eq!(acts(&change).len(), 2);
}

#[test]
fn old_versions_go_when_no_service_uses_them() {
    let versions = || json!([version(1, "a"), version(2, "b"), version(3, "hunter2")]);
    let change = planned(TABLE, &live(versions(), json!([]), true))
        .unwrap()
        .unwrap();
    assert_eq!(acts(&change), ["docker01 DELETE /secrets/s1"]);
    assert!(
        planned(
            &format!("{TABLE}\nkeep = 2"),
            &live(versions(), json!([]), true)
        )
        .unwrap()
        .is_none()
    );
    let change = planned(
        &format!("{TABLE}\nkeep = 0"),
        &live(versions(), using("s1"), true),
    )
    .unwrap()
    .unwrap();
    assert_eq!(acts(&change), ["docker01 DELETE /secrets/s2"]);
    assert!(
        planned(
            TABLE,
            &live(
                json!([version(1, "a"), version(2, "hunter2")]),
                using("s1"),
                true
            )
        )
        .unwrap()
        .is_none()
    );
}

#[test]
fn absence_is_refused_while_a_service_uses_one() {
    let absent = "name = 'db'\nstate = 'absent'";
    let versions = || json!([version(1, "a"), version(2, "b")]);
    let change = planned(absent, &live(versions(), json!([]), true))
        .unwrap()
        .unwrap();
    assert_eq!(
        acts(&change),
        ["docker01 DELETE /secrets/s1", "docker01 DELETE /secrets/s2"]
    );
    let refusal = planned(absent, &live(versions(), using("s2"), true)).unwrap_err();
    assert_eq!(refusal.why, "the secret db is used by the service web_db");
    assert!(
        planned(absent, &live(json!([]), json!([]), true))
            .unwrap()
            .is_none()
    );
}

#[test]
fn what_only_looks_like_a_version_is_none() {
    let mut other = version(7, "x");
    other["Spec"]["Labels"]["skep.name"] = "db-two".into();
    let mut unnumbered = version(1, "x");
    unnumbered["Spec"]["Name"] = "db-one".into();
    let change = planned(TABLE, &live(json!([other, unnumbered]), json!([]), true))
        .unwrap()
        .unwrap();
    assert_eq!(change.fields[0].after, DisplayValue::text("db-1"));
}

#[test]
fn values_that_the_engine_would_refuse_fail_before_it_is_asked() {
    for table in [
        "name = 'db'",
        "name = 'db'\nfile = 'a'\ncommand = 'b'",
        "name = 'a/b'\ncommand = 'b'",
        "name = 'db'\nstate = 'absent'\ncommand = 'b'",
    ] {
        assert!(
            bound::<SecretResource>(table, "docker01", &roster(&["docker01"])).is_err(),
            "{table}"
        );
    }
    let kind: SecretResource = bound(TABLE, "docker01", &roster(&["docker01"])).unwrap();
    for (value, wanted) in [
        (Vec::new(), "empty"),
        (vec![b'x'; LIMIT + 1], "512001 bytes"),
    ] {
        let query = Query::Value(ValueSource::Environment("DB".into()));
        let answers = live(json!([]), json!([]), true)
            .with(query, QueryAnswer::Value(SecretBytes::new(value)));
        let error = kind.observe(&answers).err().unwrap().to_string();
        assert!(
            error.contains(wanted) && error.contains("variable DB"),
            "{error}"
        );
    }
}
