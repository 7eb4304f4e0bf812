//! Tests of `secret`: present, missing, changed, used and surplus secrets.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use base64ct::{Base64, Encoding as _};
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
    let keys = json!([{"ID": "k", "Spec": {"Name": "skep-digest-key", "Data": Base64::encode_string(b"key")}}]);
    let keys = if key { keys } else { json!([]) };
    let value = Query::Local(ValueSource::Environment("DB".into()));
    only_manager()
        .with(Query::docker(SECRETS), QueryAnswer::Engine(good(secrets)))
        .with(
            Query::docker("/services"),
            QueryAnswer::Engine(good(services)),
        )
        .with(Query::docker(KEYS), QueryAnswer::Engine(good(keys)))
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
fn first_secret_creates_the_key_and_no_plan_shows_the_value() {
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
fn same_value_is_in_sync_and_another_value_is_a_new_version() {
    assert!(
        planned(
            TABLE,
            &live(json!([version(1, "hunter2")]), json!([]), true)
        )
        .unwrap()
        .is_none()
    );
    // The current version is the last version, even if an older version has the value.
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
    // After the loss of the key, no digest can be trusted.
    let change = planned(
        TABLE,
        &live(json!([version(1, "hunter2")]), json!([]), false),
    )
    .unwrap()
    .unwrap();
    assert_eq!(acts(&change).len(), 2);
}

#[test]
fn unused_old_versions_are_removed() {
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
fn removal_is_refused_while_a_service_uses_the_secret() {
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
fn similar_names_are_not_versions() {
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
fn values_that_the_engine_would_refuse_fail_early() {
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
        let query = Query::Local(ValueSource::Environment("DB".into()));
        let answers = live(json!([]), json!([]), true)
            .with(query, QueryAnswer::Value(SecretBytes::new(value)));
        let error = kind.observe(&answers).err().unwrap().to_string();
        assert!(
            error.contains(wanted) && error.contains("variable DB"),
            "{error}"
        );
    }
}
