//! Plans for settings that are in sync, differ, or have no swarm yet.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::json;

use super::*;
use crate::model::QueryAnswer;
use crate::swarm::samples::*;

fn live(spec: &Value) -> HostAnswers {
    let swarm = json!({
        "Version": {"Index": 7}, "Spec": spec, "JoinTokens": {"Worker": "SWMTKN-1-x", "Manager": "SWMTKN-1-y"},
    });
    only_manager().with(Query::docker("/swarm"), QueryAnswer::Engine(good(swarm)))
}

fn spec() -> Value {
    json!({
        "Name": "default", "Labels": {"owner": "ops"},
        "Orchestration": {"TaskHistoryRetentionLimit": 5},
        "Raft": {"SnapshotInterval": 10000, "LogEntriesForSlowFollowers": 500, "ElectionTick": 10, "HeartbeatTick": 1},
        "Dispatcher": {"HeartbeatPeriod": 5_000_000_000_u64},
        "CAConfig": {"NodeCertExpiry": 7_776_000_000_000_000_u64},
        "TaskDefaults": {}, "EncryptionConfig": {"AutoLockManagers": false},
    })
}

fn planned(table: &str, answers: &HostAnswers) -> Option<Change> {
    let kind: SwarmSettingsResource = bound(table, "docker01", &roster(&["docker01"])).unwrap();
    match kind.observe(answers).unwrap() {
        Observation::Known(observed) => kind.plan(&observed).unwrap(),
        Observation::Needs(queries) => panic!("{queries:?}"),
    }
}

#[test]
fn settings_in_sync() {
    for table in [
        "autolock = false",
        "cert_expiry = '90d'",
        "dispatcher_heartbeat = '5s'",
        "task_history_limit = 5",
        "snapshot_interval = 10000",
        // The Engine leaves a zero out.
        "max_snapshots = 0",
        "labels = { owner = 'ops' }",
    ] {
        assert!(planned(table, &live(&spec())).is_none(), "{table}");
    }
}

#[test]
fn only_named_settings_change() {
    let table = "autolock = true\ncert_expiry = '30d'\ntask_history_limit = 2\nmax_snapshots = 3\nlabels = { site = 'lab' }";
    let change = planned(table, &live(&spec())).unwrap();
    let fields: Vec<String> = change
        .fields
        .iter()
        .map(|field| format!("{}: {:?} -> {:?}", field.field, field.before, field.after))
        .collect();
    assert_eq!(change.fields.len(), 5, "{fields:?}");
    assert_eq!(change.fields[1].before, DisplayValue::text("90d"));
    assert!(change.notes.iter().any(|note| note.contains("unlock key")));
    let crate::model::Operation::DockerApi(call) = &change.steps[0].act else {
        panic!("{change:?}");
    };
    assert_eq!(
        (call.method, call.path.as_str()),
        ("POST", "/swarm/update?version=7")
    );
    let mut wanted = spec();
    wanted["EncryptionConfig"]["AutoLockManagers"] = true.into();
    wanted["CAConfig"]["NodeCertExpiry"] = 2_592_000_000_000_000_u64.into();
    wanted["Orchestration"]["TaskHistoryRetentionLimit"] = 2.into();
    wanted["Raft"]["KeepOldSnapshots"] = 3.into();
    wanted["Labels"]["site"] = "lab".into();
    assert_eq!(call.body.as_ref(), Some(&wanted));
    assert!(!format!("{change:?}").contains("SWMTKN"));
}

#[test]
fn wrong_values() {
    let roster = roster(&["docker01"]);
    for (table, why) in [
        ("", "no setting is given"),
        ("cert_expiry = '10m'", "10m is below 1h"),
        ("cert_expiry = 'soon'", "\"soon\" is no duration"),
        ("dispatcher_heartbeat = '10ms'", "10ms is below 1s"),
        ("cert_expiry = '400years'", "400years is too long"),
    ] {
        let error = bound::<SwarmSettingsResource>(table, "docker01", &roster);
        let error = format!("{:?}", error.unwrap_err());
        assert!(
            error.contains(why) || error.contains(&why.replace('"', "\\\"")),
            "{error}"
        );
    }
}
