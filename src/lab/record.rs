//! The record of an environment: the options and the nodes of the environment, stored in the state
//! directory.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::name::LabName;
use super::network::LabNetwork;
use super::options::{DebianSuite, LabOptions, LoginUser, PresentedOs};
use super::state::{StateDirectory, write_file};

/// Intended role of a node in the swarm. The lab itself creates no swarm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeRole {
    /// The node is in the group `managers`.
    Manager,
    /// The node is in the group `workers`.
    Worker,
}

/// A node of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabNode {
    /// Host name, also the name in the inventory: `docker01`.
    pub name: String,
    /// Address on the environment's bridge or in its private network; stop and start do not change
    /// it.
    pub address: Ipv4Addr,
    /// Group of the node in the inventory.
    pub role: NodeRole,
    /// Virtual machines only: port of 127.0.0.1 that is forwarded to the machine's SSH.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
}

/// Stored description of an environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabRecord {
    /// Name of the environment.
    pub name: LabName,
    /// Debian release of the nodes.
    pub suite: DebianSuite,
    /// Distribution that the nodes state.
    pub present_as: PresentedOs,
    /// Account for logins.
    pub user: LoginUser,
    /// True if Docker was already installed on the nodes when they were created.
    #[serde(default)]
    pub with_docker: bool,
    /// True if the nodes are whole virtual machines, not containers.
    #[serde(default)]
    pub virtual_machines: bool,
    /// URL of the package mirror: `http://10.213.10.1`.
    pub mirror: String,
    /// Absolute path of the inventory.
    pub inventory: PathBuf,
    /// Nodes, sorted by name.
    pub nodes: Vec<LabNode>,
}

impl LabRecord {
    /// Creates a record without nodes.
    pub(crate) fn new(options: &LabOptions, inventory: PathBuf) -> Self {
        Self {
            name: options.name.clone(),
            suite: options.suite,
            present_as: options.present_as,
            user: options.user,
            with_docker: options.with_docker,
            virtual_machines: options.virtual_machines,
            mirror: String::new(),
            inventory,
            nodes: Vec::new(),
        }
    }

    /// Adds the missing nodes. Existing nodes keep name, address and role.
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

    /// Returns the name of a node's container, or of a virtual machine's process.
    #[must_use]
    pub fn container(&self, node: &str) -> String {
        format!("skep-{}-{node}", self.name)
    }

    /// Returns the path of the environment's private SSH key.
    #[must_use]
    pub fn identity_file(&self, state: &StateDirectory) -> PathBuf {
        state.environment(&self.name).join("id_ed25519")
    }

    /// Returns the path of the `known_hosts` file with the host keys of the nodes.
    #[must_use]
    pub fn known_hosts(&self, state: &StateDirectory) -> PathBuf {
        state.environment(&self.name).join("known_hosts")
    }

    /// Reads the record of an environment; `None` if there is no such environment.
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

    /// Refuses options that an existing environment cannot change to.
    pub(crate) fn check_same(&self, options: &LabOptions) -> Result<(), LabError> {
        let options_text =
            |suite: DebianSuite, present_as: PresentedOs, flags: [(bool, &str); 2]| {
                let flags = flags.into_iter().filter(|(set, _)| *set);
                format!(
                    "--suite {} --present-as {}{}",
                    suite.name(),
                    present_as.name(),
                    flags.map(|(_, flag)| flag).collect::<String>()
                )
            };
        let existing = options_text(
            self.suite,
            self.present_as,
            [
                (self.with_docker, " --with-docker"),
                (self.virtual_machines, " --virtual-machines"),
            ],
        );
        let requested = options_text(
            options.suite,
            options.present_as,
            [
                (options.with_docker, " --with-docker"),
                (options.virtual_machines, " --virtual-machines"),
            ],
        );
        if existing == requested {
            return Ok(());
        }
        Err(LabError::OptionsDiffer {
            lab: self.name.to_string(),
            existing,
            requested,
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
