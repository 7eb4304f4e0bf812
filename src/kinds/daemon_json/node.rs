//! The part of a node's state that decides which settings it survives: its membership in a swarm,
//! and the folder of Docker Engine's data, which holds the identity of the node. Settings that a
//! node of a swarm does not survive are refused.

use serde_json::Value;

use super::super::engine_settings::{
    DEFAULT_DATA_ROOT, data_root, incompatible_with_swarm, swarm_state_file,
};
use super::document::{JsonObject, JsonValue};
use crate::model::Refusal;

/// Docker Engine's membership in a swarm and the folder of its data.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct EngineNode {
    /// True if Docker Engine has data on this host: it is installed.
    pub(super) installed: bool,
    /// True if the host is a node of a swarm.
    pub(super) in_swarm: bool,
    /// ID of the node; empty if it is not known.
    pub(super) node_id: String,
    /// ID of the cluster; empty on a worker.
    pub(super) cluster_id: String,
    /// Folder of the data of a running Docker Engine, with all links resolved.
    pub(super) data_root: Option<String>,
}

impl EngineNode {
    /// Reads the `/info` of a running Docker Engine.
    pub(super) fn running(info: &Value) -> Self {
        let text = |pointer: &str| {
            let value = info.pointer(pointer).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        Self {
            installed: true,
            in_swarm: !matches!(text("/Swarm/LocalNodeState").as_str(), "" | "inactive"),
            node_id: text("/Swarm/NodeID"),
            cluster_id: text("/Swarm/Cluster/ID"),
            data_root: Some(text("/DockerRootDir")).filter(|root| !root.is_empty()),
        }
    }

    /// Returns the folder of the data that Docker Engine uses now, without the part that
    /// `userns-remap` adds.
    fn present_root(&self, live: &Value) -> String {
        let root = self.data_root.as_deref().or_else(|| data_root(live));
        let root = root.unwrap_or(DEFAULT_DATA_ROOT);
        match root.rsplit_once('/') {
            Some((folder, last)) if is_remapped(last) => folder.to_owned(),
            _ => trimmed(root).to_owned(),
        }
    }

    /// Returns the folder that Docker Engine will use after its next start, if it is another one
    /// than now. The same folder under another name counts as another one.
    pub(super) fn new_root(&self, live: &JsonObject, new: &JsonObject) -> Option<String> {
        let (live, new) = (settings(live), settings(new));
        let present = self.present_root(&live);
        let next = match (data_root(&live), data_root(&new)) {
            // The folder comes from a flag in the unit, or is the default.
            (None, None) => return None,
            (_, Some(next)) => trimmed(next),
            (Some(_), None) => DEFAULT_DATA_ROOT,
        };
        (next != present).then(|| next.to_owned())
    }

    /// Refuses settings that this node does not survive, and returns notes about data that stays
    /// behind. `has_swarm_state` tells that the new folder holds the state of a node.
    ///
    /// # Errors
    /// [`Refusal`] for a setting with which a node of a swarm does not start, or starts as no node
    /// of its swarm.
    pub(super) fn judge(
        &self,
        live: &JsonObject,
        new: &JsonObject,
        has_swarm_state: bool,
    ) -> Result<Vec<String>, Refusal> {
        if !self.installed {
            return Ok(Vec::new());
        }
        let mut notes = Vec::new();
        if self.in_swarm
            && let Some(setting) = incompatible_with_swarm(&settings(new))
        {
            let key = setting.split(' ').next().unwrap_or_default();
            return Err(Refusal {
                why: format!(
                    "`{setting}` and swarm mode exclude each other: Docker Engine of this node would not start again"
                ),
                hint: format!(
                    "remove `{key}` from the playbook, or from daemon.json if it was set by hand"
                ),
            });
        }
        if let Some(root) = self.new_root(live, new) {
            let present = self.present_root(&settings(live));
            if self.in_swarm && !has_swarm_state {
                return Err(Refusal {
                    why: format!(
                        "with `data-root` {root} Docker Engine would start without the data in {present}: the host would lose its identity as a node of its swarm, and its images, containers and volumes would be left behind"
                    ),
                    hint: format!(
                        "stop Docker Engine, copy {present} to {root} with all attributes, start it, and apply again; or let the host leave the swarm first"
                    ),
                });
            }
            notes.push(if self.in_swarm {
                format!(
                    "Docker Engine starts with the copy of its data in {root}; if it is then another node, or none, the old file is restored"
                )
            } else {
                format!(
                    "images, containers and volumes in {present} stay there: Docker Engine starts with the content of {root}"
                )
            });
        }
        if remapping(live) != remapping(new) {
            if self.in_swarm {
                return Err(Refusal {
                    why: "another `userns-remap` gives Docker Engine another data folder: the host would lose its identity as a node of its swarm, and its images, containers and volumes would be left behind".into(),
                    hint: "let the host leave the swarm first".into(),
                });
            }
            notes.push(
                "another `userns-remap` gives Docker Engine another data folder: its images, containers and volumes stay in the present one".into(),
            );
        }
        if image_store(live) != image_store(new) {
            notes.push(
                "images and containers of the present image store stay on the disk, out of use, and services create their containers anew".into(),
            );
        }
        Ok(notes)
    }
}

/// Returns the file whose existence shows that a stopped Docker Engine is a node of a swarm.
pub(super) fn stopped_state_file(live: &JsonObject) -> String {
    let live = settings(live);
    swarm_state_file(data_root(&live).unwrap_or(DEFAULT_DATA_ROOT))
}

fn settings(document: &JsonObject) -> Value {
    serde_json::to_value(JsonValue::Table(document.clone())).unwrap_or_default()
}

fn trimmed(root: &str) -> &str {
    match root.trim_end_matches('/') {
        "" => "/",
        root => root,
    }
}

/// Returns true for the name of a folder that `userns-remap` adds: `165536.165536`.
fn is_remapped(name: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|one| one.is_ascii_digit());
    name.split_once('.')
        .is_some_and(|(user, group)| is_number(user) && is_number(group))
}

fn remapping(document: &JsonObject) -> &str {
    let value = document.get("userns-remap").and_then(JsonValue::as_text);
    value.unwrap_or_default()
}

/// Returns the settings that select the store of images and containers.
fn image_store(document: &JsonObject) -> (Option<&JsonValue>, Option<JsonValue>) {
    let features = match document.get("features") {
        Some(JsonValue::Table(features)) => features.get("containerd-snapshotter").cloned(),
        _ => None,
    };
    (document.get("storage-driver"), features)
}
