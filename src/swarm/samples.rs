//! Samples of the JSON that Engines send (API 1.41), for table tests.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use serde_json::{Value, json};

use crate::inventory::{Roster, RosterEntry};
use crate::model::{DockerAnswer, HostAnswers, Query, QueryAnswer};
use crate::names::HostName;

/// Returns a host name.
pub fn host(name: &str) -> HostName {
    HostName::new(name)
}

/// Returns a roster of three hosts. The named hosts are managers, and `docker0N` has the address
/// `192.168.56.1N`.
pub fn roster(managers: &[&str]) -> Roster {
    let hosts = (1..=3).map(|number| {
        let name = format!("docker0{number}");
        let group = if managers.contains(&name.as_str()) {
            "managers"
        } else {
            "workers"
        };
        let address = format!("192.168.56.1{number}");
        let entry = RosterEntry {
            address: address.clone(),
            swarm_address: Some(address),
            groups: vec![group.into()],
        };
        (HostName::new(name), entry)
    });
    Roster {
        hosts: hosts.collect(),
    }
}

/// Returns the `/info` of an Engine in no swarm.
pub fn inactive(name: &str) -> Value {
    json!({"Name": name, "ServerVersion": "20.10.24", "Swarm": {
        "NodeID": "", "NodeAddr": "", "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "",
        "RemoteManagers": null}})
}

/// Returns the answers of `docker01` as the only manager of a swarm.
pub fn only_manager() -> HostAnswers {
    let leader = voter(node("n1", "docker01", "192.168.56.11"), true, "reachable");
    own(
        "/info",
        good(manager("docker01", "n1", "192.168.56.11", "c1")),
    )
    .with(
        Query::docker("/nodes"),
        QueryAnswer::Engine(good(json!([leader]))),
    )
}

/// Returns the `/info` of a worker.
pub fn worker(name: &str, node_id: &str, address: &str, manager: (&str, &str)) -> Value {
    json!({"Name": name, "ServerVersion": "20.10.24", "Swarm": {
        "NodeID": node_id, "NodeAddr": address, "LocalNodeState": "active", "ControlAvailable": false, "Error": "",
        "RemoteManagers": [{"NodeID": manager.0, "Addr": manager.1}]}})
}

/// Returns the `/info` of a manager.
pub fn manager(name: &str, node_id: &str, address: &str, cluster: &str) -> Value {
    json!({"Name": name, "ServerVersion": "20.10.24", "Swarm": {
        "NodeID": node_id, "NodeAddr": address, "LocalNodeState": "active", "ControlAvailable": true, "Error": "",
        "RemoteManagers": [{"NodeID": node_id, "Addr": format!("{address}:2377")}], "Nodes": 3, "Managers": 1,
        "Cluster": {"ID": cluster, "DefaultAddrPool": ["10.20.0.0/16"], "SubnetSize": 24}}})
}

/// Returns a node of `/nodes`: a ready worker.
pub fn node(id: &str, name: &str, address: &str) -> Value {
    json!({"ID": id, "Version": {"Index": 17}, "Spec": {"Labels": {}, "Role": "worker", "Availability": "active"},
        "Description": {"Hostname": name, "Engine": {"EngineVersion": "20.10.24"}},
        "Status": {"State": "ready", "Addr": address}})
}

/// Returns the node as a manager; `leader` is left out when false, as Engines do.
pub fn voter(mut node: Value, leader: bool, reachability: &str) -> Value {
    let address = format!(
        "{}:2377",
        node.pointer("/Status/Addr")
            .and_then(Value::as_str)
            .unwrap()
    );
    node["Spec"]["Role"] = "manager".into();
    node["ManagerStatus"] = json!({"Reachability": reachability, "Addr": address});
    if leader {
        node["ManagerStatus"]["Leader"] = true.into();
    }
    node
}

/// Returns the value with the part at a pointer replaced.
pub fn set(mut value: Value, pointer: &str, new: impl Into<Value>) -> Value {
    *value.pointer_mut(pointer).unwrap() = new.into();
    value
}

/// Returns a successful response.
pub fn good(body: Value) -> DockerAnswer {
    DockerAnswer::Response { status: 200, body }
}

/// Returns answers with one of the host's own Engine.
pub fn own(path: &str, answer: DockerAnswer) -> HostAnswers {
    HostAnswers::default().with(Query::docker(path), QueryAnswer::Engine(answer))
}

/// Returns the answers with one of another host's Engine added.
pub fn and(answers: HostAnswers, name: &str, path: &str, answer: DockerAnswer) -> HostAnswers {
    answers.with(
        Query::docker_of(host(name), path),
        QueryAnswer::Engine(answer),
    )
}

/// A file loader without files.
pub struct NoFiles;

impl crate::model::FileLoader for NoFiles {
    fn source(&self, path: &str) -> Result<Vec<u8>, crate::model::InvalidField> {
        Err(crate::model::InvalidField::new("source", path))
    }

    fn tree(&self, path: &str) -> Result<Vec<crate::model::TreeEntry>, crate::model::InvalidField> {
        Err(crate::model::InvalidField::new("context", path))
    }

    fn archive(&self, path: &str) -> Result<Vec<u8>, crate::model::InvalidField> {
        Err(crate::model::InvalidField::new("archive", path))
    }

    fn template(&self, path: &str) -> Result<String, crate::model::InvalidField> {
        Err(crate::model::InvalidField::new("source", path))
    }
}

/// Reads a kind from its table and binds it to a host.
pub fn bound<K: crate::model::ResourceKind>(
    table: &str,
    name: &str,
    roster: &Roster,
) -> Result<K, crate::model::InvalidField> {
    let mut kind: K = toml::from_str(table).unwrap_or_else(|error| panic!("{error}"));
    let host = host(name);
    kind.bind(&crate::model::HostContext {
        host: &host,
        login_user: "vagrant",
        roster,
        files: &NoFiles,
    })?;
    Ok(kind)
}

/// Returns the calls and waits of a change, one line each: `POST /swarm/join {...}` and `wait /info
/// /Swarm/... = ...`.
pub fn acts(change: &crate::model::Change) -> Vec<String> {
    use crate::model::Operation;
    let names = |hosts: &[HostName]| {
        if hosts.is_empty() {
            "own".into()
        } else {
            hosts
                .iter()
                .map(HostName::as_str)
                .collect::<Vec<_>>()
                .join("|")
        }
    };
    change
        .steps
        .iter()
        .map(|step| match &step.act {
            Operation::DockerApi(call) => {
                format!("{} {} {}", names(&call.managers), call.method, call.path)
            }
            Operation::Wait(wait) => format!(
                "{} wait {} {}={}",
                names(&wait.managers),
                wait.path,
                wait.pointer,
                wait.equals
            ),
            Operation::KnownAfterApply => "later".into(),
            Operation::Script(_) => format!("own script {}", step.summary),
            other => format!("{other:?}"),
        })
        .collect()
}
