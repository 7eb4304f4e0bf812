//! A scripted Docker daemon on a Unix socket, and the answers of a swarm.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

/// Returns status and body for a request such as `GET /info`.
pub type Answers = dyn Fn(&str) -> (u16, Value) + Send + Sync;

/// Serves until the process ends.
pub fn serve(socket: &Path, answers: Arc<Answers>) {
    let listener = UnixListener::bind(socket).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answers = answers.clone();
            // A client that disconnects only ends its own stream.
            std::thread::spawn(move || speak(stream, &*answers).unwrap_or_default());
        }
    });
}

fn speak(stream: UnixStream, answers: &Answers) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        if reader.read_line(&mut head)? == 0 {
            return Ok(());
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
        reader.read_exact(&mut vec![0; length])?;
        let mut words = head.split(' ');
        let (method, path) = (
            words.next().unwrap_or_default(),
            words.next().unwrap_or_default(),
        );
        let (status, body) = match path
            .strip_prefix("/v")
            .and_then(|rest| rest.split_once('/'))
        {
            Some((_, path)) => answers(&format!("{method} /{path}")),
            None if path == "/_ping" => (200, Value::Null),
            None => answers(&format!("{method} {path}")),
        };
        let body = if method == "HEAD" {
            String::new()
        } else {
            body.to_string()
        };
        write!(
            writer,
            "HTTP/1.1 {status} x\r\nApi-Version: 1.47\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )?;
    }
}

/// Replaces the value at a JSON pointer.
pub fn set(mut value: Value, pointer: &str, new: impl Into<Value>) -> Value {
    *value.pointer_mut(pointer).expect(pointer) = new.into();
    value
}

/// Returns the node ID of a host, from its number.
pub fn node_id(number: usize) -> String {
    format!("{number}k0vj3m8x2b7t9w4q6z1c5d8f")
}

/// Returns the swarm address of a host, from its number.
pub fn address(number: usize) -> String {
    format!("192.168.56.1{number}")
}

/// Returns `GET /info` of a daemon that is in no swarm.
pub fn outside(number: usize) -> Value {
    json!({"Name": format!("docker0{number}"), "ServerVersion": "28.3.1", "Swarm": {"NodeID": "", "NodeAddr": "",
        "LocalNodeState": "inactive", "ControlAvailable": false, "Error": "", "RemoteManagers": null}})
}

/// Returns `GET /info` of a worker.
pub fn worker(number: usize) -> Value {
    let manager = json!([{"NodeID": node_id(1), "Addr": format!("{}:2377", address(1))}]);
    json!({"Name": format!("docker0{number}"), "ServerVersion": "28.3.1", "Swarm": {"NodeID": node_id(number),
        "NodeAddr": address(number), "LocalNodeState": "active", "ControlAvailable": false, "Error": "", "RemoteManagers": manager}})
}

/// Returns `GET /info` of a manager.
pub fn manager(number: usize) -> Value {
    let mut info = worker(number);
    info["Swarm"]["ControlAvailable"] = true.into();
    info["Swarm"]["RemoteManagers"] =
        json!([{"NodeID": node_id(number), "Addr": format!("{}:2377", address(number))}]);
    info["Swarm"]["Cluster"] = json!({"ID": "x7cluster0one4k2m9b8v3n5", "DefaultAddrPool": ["10.20.0.0/16"], "SubnetSize": 24});
    info
}

/// Returns the entry of `GET /nodes` for a ready worker.
pub fn node(number: usize) -> Value {
    json!({"ID": node_id(number), "Version": {"Index": 17},
        "Spec": {"Labels": {}, "Role": "worker", "Availability": "active"},
        "Description": {"Hostname": format!("docker0{number}"), "Engine": {"EngineVersion": "28.3.1"}},
        "Status": {"State": "ready", "Addr": address(number)}})
}

/// Returns the entry of `GET /nodes` for a reachable manager.
pub fn voter(number: usize, leader: bool) -> Value {
    let mut node = set(node(number), "/Spec/Role", "manager");
    node["ManagerStatus"] = json!({"Reachability": "reachable", "Leader": leader, "Addr": format!("{}:2377", address(number))});
    node
}

/// Returns an entry of `GET /services?status=true`.
pub fn service(name: &str, image: &str, running: u64, desired: u64) -> Value {
    json!({"ID": name, "Version": {"Index": 30}, "Spec": {"Name": name, "Labels": {}, "Mode": {"Replicated": {"Replicas": desired}},
        "TaskTemplate": {"ContainerSpec": {"Image": image}, "Placement": {}}, "EndpointSpec": {}},
        "ServiceStatus": {"RunningTasks": running, "DesiredTasks": desired}})
}

/// Returns the answers of one daemon in a swarm, from its own `GET /info` and the lists of
/// managers.
pub fn swarm(info: Value, nodes: Vec<Value>, services: Vec<Value>) -> Arc<Answers> {
    Arc::new(move |request| {
        let manages = info["Swarm"]["ControlAvailable"] == true;
        let one = |id: &str| nodes.iter().find(|node| node["ID"] == id).cloned();
        match request {
            "GET /info" => (200, info.clone()),
            _ if !manages => (503, json!({"message": "This node is not a swarm manager."})),
            "GET /nodes" => (200, json!(nodes)),
            "POST /configs/create" => (201, json!({"ID": "lease"})),
            "GET /configs/skep-disruption-lease" => (404, json!({"message": "no such config"})),
            "GET /services" | "GET /services?status=true" => (200, json!(services)),
            "GET /swarm" => (
                200,
                json!({"ID": "x7cluster0one4k2m9b8v3n5", "Version": {"Index": 9},
                "JoinTokens": {"Manager": "SWMTKN-1-manager", "Worker": "SWMTKN-1-worker"}}),
            ),
            _ if request.starts_with("GET /networks?") => (200, json!([])),
            _ => match request.strip_prefix("GET /nodes/").and_then(one) {
                Some(node) => (200, node),
                None => (
                    404,
                    json!({"message": format!("no answer is scripted for {request}")}),
                ),
            },
        }
    })
}
