//! The record of a lot: what it was made with and the nodes that it has, kept in the state directory.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::name::LabName;
use super::network::LabNetwork;
use super::options::{DebianSuite, LabOptions, LoginUser, PresentedOs};
use super::state::{StateDirectory, write_file};

/// What a node is meant to be in the swarm; the lab itself makes no swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// In the group `managers`.
    Manager,
    /// In the group `workers`.
    Worker,
}

/// One node of a lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabNode {
    /// Its host name, also its name in the inventory: `docker01`.
    pub name: String,
    /// Its address on the lot's bridge, or in its private network; it stays the same over stop and start.
    pub address: Ipv4Addr,
    /// The group that the inventory puts it in.
    pub role: NodeRole,
    /// Of a virtual machine: the port of 127.0.0.1 that leads to its SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// Everything that is remembered of a lot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabRecord {
    /// Its name.
    pub name: LabName,
    /// Release of its nodes.
    pub suite: DebianSuite,
    /// What its nodes say they are.
    pub present_as: PresentedOs,
    /// Who logs in.
    pub user: LoginUser,
    /// Whether its nodes are whole virtual machines, not containers.
    #[serde(default)]
    pub virtual_machines: bool,
    /// Where its packages come from: `http://10.213.10.1`.
    pub mirror: String,
    /// The inventory that was written, an absolute path.
    pub inventory: PathBuf,
    /// Its nodes, in the order of their names.
    pub nodes: Vec<LabNode>,
}

impl LabRecord {
    /// A lot without nodes.
    pub(crate) fn new(options: &LabOptions, inventory: PathBuf) -> Self {
        Self {
            name: options.name.clone(),
            suite: options.suite,
            present_as: options.present_as,
            user: options.user,
            virtual_machines: options.virtual_machines,
            mirror: String::new(),
            inventory,
            nodes: Vec::new(),
        }
    }

    /// Adds the nodes that are missing; those that exist keep name, address and role.
    pub(crate) fn grow(&mut self, managers: u8, workers: u8, network: &LabNetwork) {
        for node in &mut self.nodes {
            let number = node.name.trim_start_matches("docker").parse().unwrap_or(0);
            node.address = network.address(number);
        }
        for (role, wanted) in [(NodeRole::Manager, managers), (NodeRole::Worker, workers)] {
            let have = self.nodes.iter().filter(|node| node.role == role).count();
            for _ in have..usize::from(wanted) {
                let number = u8::try_from(self.nodes.len() + 1).unwrap_or(u8::MAX);
                let name = format!("docker{number:02}");
                self.nodes.push(LabNode {
                    name,
                    address: network.address(number),
                    role,
                    port: None,
                });
            }
        }
    }

    /// The container of a node; also the name of a virtual machine's process.
    #[must_use]
    pub fn container(&self, node: &str) -> String {
        format!("skep-{}-{node}", self.name)
    }

    /// The lot's private SSH key.
    #[must_use]
    pub fn identity_file(&self, state: &StateDirectory) -> PathBuf {
        state.environment(&self.name).join("id_ed25519")
    }

    /// The host keys of the lot's nodes, as ssh wants them.
    #[must_use]
    pub fn known_hosts(&self, state: &StateDirectory) -> PathBuf {
        state.environment(&self.name).join("known_hosts")
    }

    /// Reads the record of a lot; none when there is no such lot.
    pub(crate) fn load(state: &StateDirectory, name: &LabName) -> Result<Option<Self>, LabError> {
        let path = record(state, name);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(LabError::file("read", &path)(error)),
        };
        let record = toml::from_str(&text).map_err(|error| unreadable(&path, &error))?;
        Ok(Some(record))
    }

    /// Writes the record.
    pub(crate) fn save(&self, state: &StateDirectory) -> Result<(), LabError> {
        let path = record(state, &self.name);
        let text = toml::to_string(self).map_err(|error| unreadable(&path, &error))?;
        write_file(&path, text.as_bytes(), 0o600)
    }

    /// Refuses what a lot that exists cannot become.
    pub(crate) fn check_same(&self, options: &LabOptions) -> Result<(), LabError> {
        let words = |suite: DebianSuite, present_as: PresentedOs, virtual_machines: bool| {
            let machines = if virtual_machines {
                " --virtual-machines"
            } else {
                ""
            };
            format!(
                "--suite {} --present-as {}{machines}",
                suite.name(),
                present_as.name()
            )
        };
        let existing = words(self.suite, self.present_as, self.virtual_machines);
        let asked = words(options.suite, options.present_as, options.virtual_machines);
        if existing == asked {
            return Ok(());
        }
        Err(LabError::OptionsDiffer {
            lab: self.name.to_string(),
            existing,
            asked,
        })
    }
}

fn record(state: &StateDirectory, name: &LabName) -> PathBuf {
    state.environment(name).join("lot.toml")
}

fn unreadable(path: &Path, reason: &dyn std::fmt::Display) -> LabError {
    LabError::Record {
        path: path.to_path_buf(),
        reason: reason.to_string(),
    }
}
