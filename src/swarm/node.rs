//! A node as a manager lists it (`GET /nodes`): the fields that the rules need, and the whole
//! `Spec`, because an update replaces all of it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::comparable;

/// A node's role in the swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// A manager votes and answers for the cluster.
    Manager,
    /// A worker runs tasks.
    Worker,
}

impl NodeRole {
    /// Returns the Docker API's name of the role: `manager` or `worker`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Manager => "manager",
            Self::Worker => "worker",
        }
    }

    /// Returns the JSON pointer to the role's join token in the answer of `GET /swarm`.
    #[must_use]
    pub fn token_pointer(self) -> &'static str {
        match self {
            Self::Manager => "/JoinTokens/Manager",
            Self::Worker => "/JoinTokens/Worker",
        }
    }
}

/// A manager's state among the voters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManagerStatus {
    /// True if the manager is the leader; the API leaves the field out otherwise.
    pub leader: bool,
    /// `reachable`, `unreachable` or `unknown`.
    pub reachability: String,
    /// Address of the manager, with port.
    pub addr: String,
}

/// A node of a swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SwarmNode {
    /// ID of the node; new at each join.
    pub id: String,
    /// Version that an update must name.
    pub version: u64,
    /// Name of the machine; not unique.
    pub hostname: String,
    /// Desired role; the Raft state may lag behind it.
    pub role: NodeRole,
    /// `active`, `pause` or `drain`.
    pub availability: String,
    /// Labels of the node (not those of its Engine).
    pub labels: BTreeMap<String, String>,
    /// `unknown`, `down`, `ready` or `disconnected`.
    pub state: String,
    /// Address as the managers see it, without port.
    pub address: String,
    /// State among the voters; `None` for workers.
    pub manager: Option<ManagerStatus>,
    /// Version of the node's Engine.
    pub engine_version: String,
    /// The whole specification; an update must send all of it back.
    pub spec: Value,
}

impl SwarmNode {
    /// Reads the body of `GET /nodes`.
    ///
    /// # Errors
    /// Returns a message when the body is not a list of nodes.
    pub fn list(body: &Value) -> Result<Vec<Self>, String> {
        let entries = body
            .as_array()
            .ok_or("the Engine's list of nodes is not a list")?;
        entries.iter().map(Self::read).collect()
    }

    /// Reads one node.
    ///
    /// # Errors
    /// Returns a message when the ID, the version or the specification is missing.
    pub fn read(body: &Value) -> Result<Self, String> {
        let text = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let missing = |what: &str| format!("the Engine lists a node without its {what}");
        let spec = body
            .get("Spec")
            .filter(|spec| spec.is_object())
            .ok_or_else(|| missing("specification"))?;
        let role = spec.get("Role").cloned().unwrap_or_default();
        let labels = spec
            .get("Labels")
            .cloned()
            .filter(|labels| !labels.is_null());
        Ok(Self {
            id: Some(text("/ID"))
                .filter(|id| !id.is_empty())
                .ok_or_else(|| missing("ID"))?,
            version: body
                .pointer("/Version/Index")
                .and_then(Value::as_u64)
                .ok_or_else(|| missing("version"))?,
            hostname: text("/Description/Hostname"),
            role: serde_json::from_value(role).map_err(|_| missing("role"))?,
            availability: text("/Spec/Availability"),
            labels: match labels {
                Some(labels) => serde_json::from_value(labels).map_err(|_| missing("labels"))?,
                None => BTreeMap::new(),
            },
            state: text("/Status/State"),
            address: text("/Status/Addr"),
            manager: body
                .get("ManagerStatus")
                .filter(|status| !status.is_null())
                .and_then(|status| serde_json::from_value(status.clone()).ok()),
            engine_version: text("/Description/Engine/EngineVersion"),
            spec: spec.clone(),
        })
    }

    /// Returns true if the node is a voter that the other managers can reach.
    #[must_use]
    pub fn is_reachable_manager(&self) -> bool {
        self.manager
            .as_ref()
            .is_some_and(|status| status.reachability == "reachable")
    }

    /// Returns the addresses at which the managers see the node: as the peer of a connection and,
    /// for a manager, among the voters. Addresses that tell no hosts apart are left out.
    #[must_use]
    pub fn seen_at(&self) -> Vec<IpAddr> {
        let voter = self.manager.as_ref().map(|status| status.addr.as_str());
        [Some(self.address.as_str()), voter]
            .into_iter()
            .flatten()
            .filter_map(comparable)
            .collect()
    }

    /// Returns true if the node is in transition: its desired role differs from its present one
    /// among the voters, or from the one that its own Engine reports.
    #[must_use]
    pub fn is_changing_role(&self, control_available: bool) -> bool {
        let manages = self.role == NodeRole::Manager;
        self.manager.is_some() != manages || control_available != manages
    }

    /// Returns the first twelve characters of the ID, as Docker's own lists show it.
    #[must_use]
    pub fn short_id(&self) -> &str {
        self.id.get(..12).unwrap_or(&self.id)
    }
}
