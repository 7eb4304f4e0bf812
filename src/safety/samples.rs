//! A site for tests of code that reads several hosts: three scripted hosts, of which one makes skep
//! panic when it is read.

#![allow(clippy::expect_used)]

use std::sync::Arc;

use serde_json::json;

use crate::inventory::InventoryRequest;
use crate::names::HostName;
use crate::playbook::{PreparedRun, RunRequest, prepare};
use crate::runner::{Connector, EventSender, Fleet};
use crate::transport::scripted::{ScriptedHost, output};
use crate::transport::{Connection, DockerStream, Exec, ExecOutput, TransportError};

/// A scripted host; every read from it panics if `panics` is true.
struct Machine {
    host: ScriptedHost,
    panics: bool,
}

impl Machine {
    fn check(&self) {
        assert!(!self.panics, "a wire is loose");
    }
}

#[async_trait::async_trait]
impl Connection for Machine {
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        self.check();
        self.host.exec(exec).await
    }

    async fn open_docker(&self) -> Result<DockerStream, TransportError> {
        self.check();
        self.host.open_docker().await
    }

    async fn close(&self) {}
}

struct Site(HostName);

#[async_trait::async_trait]
impl Connector for Site {
    async fn connect(&self, name: &HostName) -> Result<Arc<dyn Connection>, TransportError> {
        let info = json!({"Name": name, "ServerVersion": "26.1.5", "Swarm": {"LocalNodeState": "inactive"}});
        let host = ScriptedHost::new()
            .on("", output(0, ""))
            .on_docker("GET", "/info", 200, info);
        let panics = *name == self.0;
        Ok(Arc::new(Machine { host, panics }))
    }
}

/// Returns the hosts `docker01` to `docker03`; every read from the named host panics.
pub(crate) fn site(panics: &str) -> (Arc<Fleet>, Vec<HostName>) {
    let hosts: Vec<HostName> = (1..=3)
        .map(|number| HostName::new(format!("docker0{number}")))
        .collect();
    let connector = Arc::new(Site(HostName::new(panics)));
    let fleet = Fleet::new(connector, hosts.clone(), EventSender::silent());
    (Arc::new(fleet), hosts)
}

/// Loads and resolves an inventory and a playbook that are given as text.
pub(crate) fn prepared(inventory: &str, playbook: &str) -> PreparedRun {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("a file in the folder");
        path
    };
    let request = RunRequest {
        inventory: InventoryRequest {
            paths: vec![file("inventory.toml", inventory)],
            ..InventoryRequest::default()
        },
        playbooks: vec![file("site.toml", playbook)],
        ..RunRequest::default()
    };
    prepare(&request).unwrap_or_else(|errors| panic!("{}", errors.render(false)))
}
