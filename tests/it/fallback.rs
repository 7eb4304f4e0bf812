//! Cluster resources are checked from another host of the play if their delegate cannot be read,
//! and are never reported in sync if no host could read them. Hosts are scripted; their shell is
//! this machine's, which only reads.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};
use skep::inventory::InventoryRequest;
use skep::names::HostName;
use skep::playbook::{ResolveOptions, RunRequest, prepare};
use skep::runner::{
    Connector, EventSender, Fleet, HostOutcome, Outcome, RunSummary, run_read_only,
};
use skep::transport::scripted::ScriptedHost;
use skep::transport::{Connection, DockerStream, Exec, ExecOutput, TransportError};

const NETWORK: &str = "/networks?filters=%7B%22name%22%3A%5B%22back%22%5D%7D";

/// A machine with a scripted Engine.
struct ScriptedMachine(ScriptedHost);

#[async_trait::async_trait]
impl Connection for ScriptedMachine {
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        let output = Command::new("sh")
            .arg("-c")
            .arg(exec.script.as_ref())
            .output()
            .unwrap();
        Ok(ExecOutput {
            status: output.status.code().unwrap_or(1),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }
    async fn open_docker(&self) -> Result<DockerStream, TransportError> {
        self.0.open_docker().await
    }
    async fn close(&self) {}
}

/// Managers by name, with true for those that are reachable.
struct ScriptedManagers(BTreeMap<&'static str, bool>);

fn manager(name: &str) -> ScriptedHost {
    let number = name.trim_start_matches("docker0");
    let (id, address) = (format!("n{number}"), format!("192.168.56.1{number}"));
    let info = json!({"Name": name, "ServerVersion": "26.1.5", "Swarm": {
        "NodeID": id, "NodeAddr": address, "LocalNodeState": "active", "ControlAvailable": true, "Error": "",
        "RemoteManagers": [{"NodeID": id, "Addr": format!("{address}:2377")}],
        "Cluster": {"ID": "c1", "DefaultAddrPool": ["10.20.0.0/16"], "SubnetSize": 24}}});
    let nodes: Vec<Value> = (1..=3)
        .map(|number| {
            json!({"ID": format!("n{number}"), "Version": {"Index": 17},
                "Spec": {"Labels": {}, "Role": "manager", "Availability": "active"},
                "Description": {"Hostname": format!("docker0{number}"), "Engine": {"EngineVersion": "26.1.5"}},
                "ManagerStatus": {"Reachability": "reachable", "Leader": number == 2, "Addr": format!("192.168.56.1{number}:2377")},
                "Status": {"State": "ready", "Addr": format!("192.168.56.1{number}")}})
        })
        .collect();
    ScriptedHost::new()
        .on_docker("GET", "/info", 200, info)
        .on_docker("GET", "/nodes", 200, json!(nodes))
        .on_docker("GET", NETWORK, 200, json!([]))
}

#[async_trait::async_trait]
impl Connector for ScriptedManagers {
    async fn connect(&self, host: &HostName) -> Result<Arc<dyn Connection>, TransportError> {
        if self.0[host.as_str()] {
            return Ok(Arc::new(ScriptedMachine(manager(host.as_str()))));
        }
        Err(TransportError::Connect {
            address: host.to_string(),
            why: "no route to host".into(),
            retryable: false,
        })
    }
}

/// Checks three managers, of which these are reachable.
fn check(reached: [bool; 3], plays: &str, limit: &[&str]) -> RunSummary {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let names = ["docker01", "docker02", "docker03"];
    let hosts: String = (1..=3)
        .map(|number| format!("[hosts.docker0{number}]\naddress = \"192.168.56.1{number}\"\ngroups = [\"managers\"]\nvars = {{ swarm_address = \"192.168.56.1{number}\" }}\n"))
        .collect();
    let request = RunRequest {
        inventory: InventoryRequest {
            paths: vec![write("inventory.toml", &hosts)],
            extra_vars: Vec::new(),
        },
        playbooks: vec![write("site.toml", plays)],
        options: ResolveOptions {
            limit: limit.iter().map(|one| (*one).to_owned()).collect(),
            ..ResolveOptions::default()
        },
    };
    let work = Arc::new(
        prepare(&request)
            .unwrap_or_else(|error| panic!("{error}"))
            .resolved,
    );
    let site = ScriptedManagers(names.into_iter().zip(reached).collect());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let fleet = Arc::new(Fleet::new(
            Arc::new(site),
            names.map(HostName::new),
            EventSender::silent(),
        ));
        run_read_only(
            &fleet,
            &work,
            3,
            None,
            None,
            &tokio_util::sync::CancellationToken::new(),
        )
        .await
    })
}

fn of<'a>(summary: &'a RunSummary, host: &str) -> &'a HostOutcome {
    &summary.hosts[&HostName::new(host)]
}

/// Returns the checked resources of a host.
fn resources(summary: &RunSummary, host: &str) -> Vec<(String, Outcome)> {
    of(summary, host)
        .resources
        .iter()
        .map(|one| (one.resource.clone(), one.outcome.clone()))
        .collect()
}

const PLAYS: &str = "[[plays]]\nname = \"Cluster\"\nhosts = \"managers\"\nresources = [{ network = { name = \"back\" } }]\n";

#[test]
fn next_manager_takes_over_cluster_resources() {
    let differs = vec![("network[back]".to_owned(), Outcome::Differs)];
    let summary = check([true, true, true], PLAYS, &[]);
    assert_eq!(resources(&summary, "docker01"), differs);
    assert!(
        resources(&summary, "docker02").is_empty() && of(&summary, "docker02").notes.is_empty()
    );

    let summary = check([false, true, true], PLAYS, &[]);
    assert!(summary.unreachable());
    assert_eq!(resources(&summary, "docker02"), differs);
    assert!(resources(&summary, "docker03").is_empty());
    let notes = &of(&summary, "docker02").notes;
    assert!(
        notes
            .iter()
            .any(|note| note
                == "docker02 takes over network[back] from docker01, which cannot be read"),
        "{notes:?}"
    );

    assert_eq!(
        resources(&check([false, false, true], PLAYS, &[]), "docker03"),
        differs
    );
}

#[test]
fn unread_cluster_resource_is_reported_and_not_in_sync() {
    let unread = |summary: &RunSummary| {
        let notes = of(summary, "docker01").notes.join("\n");
        assert!(
            summary.unreachable() && notes.contains("not checked: network[back]"),
            "{notes}"
        );
    };
    unread(&check([false, false, false], PLAYS, &[]));
    // The play has no other host.
    let alone = PLAYS.replace("\"managers\"", "\"docker01\"");
    let others = "[[plays]]\nhosts = \"all\"\nresources = [{ directory = { path = \"/usr\" } }]\n";
    unread(&check(
        [false, true, true],
        &format!("{alone}{others}"),
        &[],
    ));
    // With `--limit`, no host takes over: the delegate was not selected, so it is not missing.
    let summary = check([false, true, true], PLAYS, &["docker02"]);
    assert!(!summary.unreachable() && resources(&summary, "docker02").is_empty());
}

#[test]
fn resource_with_other_content_is_not_taken_over() {
    let plays = "[[plays]]\nname = \"Cluster\"\nhosts = \"managers\"\nresources = [\n  { network = { name = \"back\" } },\n  \
                 { network = { name = \"net-{{ host.name }}\" } },\n]\n";
    let summary = check([false, true, true], plays, &[]);
    assert_eq!(
        resources(&summary, "docker02"),
        [("network[back]".to_owned(), Outcome::Differs)]
    );
    let notes = of(&summary, "docker01").notes.join("\n");
    assert!(
        notes.contains("not checked: network[net-docker01]"),
        "{notes}"
    );
}
