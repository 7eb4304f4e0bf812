//! The part of an Engine's `GET /info` that describes its swarm. Fields that an Engine leaves out
//! or sends as null are read as empty: `Cluster` exists on managers only, and only while the swarm
//! has a leader.

use serde::Deserialize;
use serde_json::Value;

/// An Engine's report about itself and its swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DockerInfo {
    /// Host name as the Engine sees it; equals the `Description.Hostname` of its node.
    pub name: String,
    /// Version of the Engine, e.g. `20.10.24`.
    pub server_version: String,
    /// Folder of the Engine's data; empty when not known.
    pub root_folder: String,
    /// ID of the host's own node; empty outside a swarm and while a join is half done.
    pub node_id: String,
    /// Address that the node advertises, without a port.
    pub node_address: String,
    /// `inactive`, `pending`, `active`, `error` or `locked`.
    pub state: String,
    /// True if the Engine is a working manager.
    pub control_available: bool,
    /// Error that the Engine reports, e.g. that the swarm has no leader.
    pub error: String,
    /// Managers that the node knows.
    pub remote_managers: Vec<RemoteManager>,
    /// ID of the cluster; on managers that have a leader.
    pub cluster_id: Option<String>,
    /// True if the managers of the cluster stay locked after a restart until somebody gives the
    /// unlock key; on managers that have a leader.
    pub autolock: bool,
    /// The cluster's default address pools; on managers that have a leader.
    pub address_pool: Vec<String>,
    /// Prefix length of the subnets cut from the pools; 0 when not known.
    pub subnet_size: u8,
    /// The host's own clock when it answered, in seconds since 1970.
    pub system_time: Option<i64>,
}

/// A manager as a node has recorded it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RemoteManager {
    /// ID of the manager's node.
    #[serde(rename = "NodeID")]
    pub node_id: String,
    /// Address of the manager, with port.
    pub addr: String,
}

impl DockerInfo {
    /// Reads the body of `GET /info`. Never fails: missing fields are empty, as on an Engine
    /// outside a swarm.
    #[must_use]
    pub fn read(body: &Value) -> Self {
        let text = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned()
        };
        let list = |pointer: &str| {
            body.pointer(pointer)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        Self {
            name: text("/Name"),
            server_version: text("/ServerVersion"),
            root_folder: text("/DockerRootDir"),
            node_id: text("/Swarm/NodeID"),
            node_address: text("/Swarm/NodeAddr"),
            state: text("/Swarm/LocalNodeState"),
            control_available: body
                .pointer("/Swarm/ControlAvailable")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            error: text("/Swarm/Error"),
            remote_managers: list("/Swarm/RemoteManagers")
                .into_iter()
                .filter_map(|entry| serde_json::from_value(entry).ok())
                .collect(),
            cluster_id: Some(text("/Swarm/Cluster/ID")).filter(|id| !id.is_empty()),
            autolock: body
                .pointer("/Swarm/Cluster/Spec/EncryptionConfig/AutoLockManagers")
                .and_then(Value::as_bool)
                .unwrap_or_default(),
            address_pool: list("/Swarm/Cluster/DefaultAddrPool")
                .iter()
                .filter_map(|pool| pool.as_str().map(str::to_owned))
                .collect(),
            subnet_size: body
                .pointer("/Swarm/Cluster/SubnetSize")
                .and_then(Value::as_u64)
                .and_then(|size| u8::try_from(size).ok())
                .unwrap_or_default(),
            system_time: seconds(&text("/SystemTime")),
        }
    }

    /// Folder of an Engine's data unless it is configured.
    pub const USUAL_FOLDER: &str = "/var/lib/docker";

    /// Returns the folder of the Engine's data; the usual one if the Engine did not say.
    #[must_use]
    pub fn data_folder(&self) -> &str {
        if self.root_folder.is_empty() {
            return Self::USUAL_FOLDER;
        }
        &self.root_folder
    }

    /// Returns the addresses of the managers that this node knows, for messages: `10.0.0.1:2377,
    /// 10.0.0.2:2377`.
    #[must_use]
    pub fn remote_addresses(&self) -> String {
        let addresses: Vec<&str> = self
            .remote_managers
            .iter()
            .map(|manager| manager.addr.as_str())
            .collect();
        if addresses.is_empty() {
            "none known".into()
        } else {
            addresses.join(", ")
        }
    }
}

/// Converts an Engine's time, `2026-11-21T13:00:00.123+01:00` (RFC 3339), to seconds since 1970.
fn seconds(text: &str) -> Option<i64> {
    let (day, rest) = text.split_once('T')?;
    let zone = rest.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = rest.split_at(zone);
    let universal = humantime::parse_rfc3339(&format!("{day}T{time}Z")).ok()?;
    let universal = i64::try_from(
        universal
            .duration_since(std::time::UNIX_EPOCH)
            .ok()?
            .as_secs(),
    )
    .ok()?;
    let ahead = match zone.split_at_checked(1)? {
        ("Z" | "z", "") => 0,
        (sign, offset) => {
            let (hours, minutes) = offset.split_once(':')?;
            let offset = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
            if sign == "-" { -offset } else { offset }
        }
    };
    Some(universal - ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn engine_times_are_read_as_seconds_since_1970() {
        let noon = seconds("2026-11-21T12:00:00Z");
        assert!(noon.is_some());
        for same in [
            "2026-11-21T13:00:00.123456789+01:00",
            "2026-11-21T06:30:00-05:30",
            "2026-11-21T12:00:00.9Z",
        ] {
            assert_eq!(seconds(same), noon, "{same}");
        }
        for none in [
            "",
            "yesterday",
            "2026-11-21",
            "2026-11-21T12:00:00",
            "2026-11-21T12:00:00+1",
        ] {
            assert_eq!(seconds(none), None, "{none}");
        }
    }
}
