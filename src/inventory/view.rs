//! The merged inventory as one serializable value, for `skep inventory --json`.

use indexmap::IndexMap;

use super::{Host, HostKeyPolicy, Inventory};
use crate::diagnostic::is_secret_key;
use crate::names::HostName;

/// The merged inventory.
#[derive(Debug, serde::Serialize)]
pub struct InventoryView {
    /// Version of the JSON format.
    pub schema_version: u32,
    /// Hosts by name.
    pub hosts: IndexMap<HostName, HostView>,
    /// Groups with their hosts.
    pub groups: IndexMap<String, Vec<HostName>>,
}

/// A host of the view.
#[derive(Debug, serde::Serialize)]
#[expect(
    missing_docs,
    reason = "the fields are those of an inventory file, merged"
)]
pub struct HostView {
    pub address: String,
    pub port: u16,
    pub user: String,
    #[serde(rename = "become")]
    pub become_root: bool,
    pub identity_files: Vec<String>,
    pub agent: bool,
    pub host_keys: HostKeyPolicy,
    pub known_hosts: Vec<String>,
    pub connect_timeout: String,
    pub connect_wait: String,
    pub groups: Vec<String>,
    pub unmanaged: bool,
    pub disposable: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_running: Option<String>,
    pub vars: IndexMap<String, serde_json::Value>,
}

impl Inventory {
    /// Returns the merged inventory as one value. Variables with the name of a secret are shown as
    /// `(secret)`.
    #[must_use]
    pub fn view(&self) -> InventoryView {
        let members = |group: &String| {
            let has = |host: &Host| host.groups.contains(group);
            self.hosts
                .iter()
                .filter(|(_, host)| has(host))
                .map(|(name, _)| name.clone())
                .collect()
        };
        InventoryView {
            schema_version: 1,
            hosts: self
                .hosts
                .iter()
                .map(|(name, host)| (name.clone(), host_view(host)))
                .collect(),
            groups: self
                .groups
                .keys()
                .map(|group| (group.clone(), members(group)))
                .collect(),
        }
    }
}

fn host_view(host: &Host) -> HostView {
    let target = &host.target;
    let paths = |paths: &[std::path::PathBuf]| {
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    };
    let shown = |name: &str, node: &crate::document::TomlNode| {
        if is_secret_key(name) {
            "(secret)".into()
        } else {
            node.to_json()
        }
    };
    HostView {
        address: target.address.clone(),
        port: target.port,
        user: target.user.clone(),
        become_root: target.become_root,
        identity_files: paths(&target.identity_files),
        agent: target.agent,
        host_keys: target.host_key_policy,
        known_hosts: paths(&target.known_hosts),
        connect_timeout: humantime::format_duration(target.connect_timeout).to_string(),
        connect_wait: humantime::format_duration(target.connect_wait).to_string(),
        groups: host.groups.clone(),
        unmanaged: host.unmanaged,
        disposable: host.disposable,
        not_running: target.not_running.clone(),
        vars: host
            .vars
            .0
            .iter()
            .map(|(name, var)| (name.clone(), shown(name, &var.node)))
            .collect(),
    }
}
