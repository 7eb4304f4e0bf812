//! The handle of an existing lab environment, and its faults: stop, start, cut, heal.
//! Creating ([`super::up()`]), rebuilding and removing ([`super::down`]) are in files of their own.

use std::path::PathBuf;

use super::error::LabError;
use super::name::LabName;
use super::node_state::NodeState;
use super::progress::ProgressFn;
use super::record::{LabNode, LabRecord};
use super::state::StateDirectory;
use super::virtual_machine::VirtualMachine;
use super::{container, docker, fault};

/// A lab environment that exists, or existed.
#[derive(Debug, Clone)]
pub struct Lab {
    record: LabRecord,
    state: StateDirectory,
}

/// The container or virtual machine behind a node.
pub(crate) enum NodeBackend {
    /// Name of the container.
    Container(String),
    /// The virtual machine.
    VirtualMachine(VirtualMachine),
}

/// Finds a lab environment that [`super::up()`] created. Docker is not queried.
///
/// # Errors
/// [`LabError::NoSuchLab`] if this state directory has no environment of that name.
pub fn find(state: &StateDirectory, name: &LabName) -> Result<Lab, LabError> {
    let record = LabRecord::load(state, name)?.ok_or_else(|| LabError::NoSuchLab {
        lab: name.to_string(),
    })?;
    Ok(Lab::new(record, state.clone()))
}

/// Returns the lab environments of this state directory, sorted by name.
///
/// # Errors
/// If the state directory cannot be read.
pub fn list(state: &StateDirectory) -> Result<Vec<LabName>, LabError> {
    let folder = state.environments();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LabError::file("read", &folder)(error)),
    };
    let mut names: Vec<LabName> = entries
        .flatten()
        .filter_map(|entry| LabName::new(&entry.file_name().to_string_lossy()).ok())
        .collect();
    names.sort();
    Ok(names)
}

impl Lab {
    pub(crate) fn new(record: LabRecord, state: StateDirectory) -> Self {
        Self { record, state }
    }

    /// Returns the stored description of the environment.
    #[must_use]
    pub fn record(&self) -> &LabRecord {
        &self.record
    }

    /// Returns the state directory that the environment belongs to.
    #[must_use]
    pub fn state(&self) -> &StateDirectory {
        &self.state
    }

    /// Returns the nodes, sorted by name.
    #[must_use]
    pub fn nodes(&self) -> &[LabNode] {
        &self.record.nodes
    }

    /// Returns the path of the environment's private SSH key.
    #[must_use]
    pub fn identity_file(&self) -> PathBuf {
        self.record.identity_file(&self.state)
    }

    /// Returns the path of the file with the host keys of the nodes.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.record.known_hosts(&self.state)
    }

    /// Returns the state of a node.
    ///
    /// # Errors
    /// If the environment has no such node, or Docker does not answer.
    pub fn node_state(&self, node: &str) -> Result<NodeState, LabError> {
        let container = match self.backend(node)? {
            NodeBackend::VirtualMachine(machine) => return Ok(machine.state()),
            NodeBackend::Container(container) => container,
        };
        Ok(match docker::container_state(&container)?.as_deref() {
            None => NodeState::Missing,
            Some("running") if fault::is_cut(&container)? => NodeState::Cut,
            Some("running") => NodeState::Running,
            Some(_) => NodeState::Stopped,
        })
    }

    /// Shuts a node down in order; `at_once` cuts its power instead.
    ///
    /// # Errors
    /// If the environment has no such node, or Docker fails.
    pub fn stop(&self, node: &str, at_once: bool) -> Result<(), LabError> {
        match self.backend(node)? {
            NodeBackend::VirtualMachine(machine) => machine.stop(at_once),
            NodeBackend::Container(container) => {
                let seconds = if at_once { "0" } else { "30" };
                docker::docker_alone(60, ["stop", "--time", seconds, &container]).map(drop)
            }
        }
    }

    /// Starts a stopped node and waits until it has booted. Its address stays the same.
    ///
    /// # Errors
    /// If the environment has no such node, or the node does not boot.
    pub fn start(&self, node: &str, progress: ProgressFn<'_>) -> Result<(), LabError> {
        match self.backend(node)? {
            NodeBackend::VirtualMachine(machine) => {
                machine.start(&self.record, &self.state, progress)
            }
            NodeBackend::Container(container) => {
                docker::docker_alone(60, ["start", &container])?;
                container::wait_for_boot(&container, node, progress)
            }
        }
    }

    /// Disconnects a node from its network without a signal: its address stays, packets are
    /// dropped.
    ///
    /// # Errors
    /// If the environment has no such node, or the node does not run.
    pub fn cut(&self, node: &str) -> Result<(), LabError> {
        match self.backend(node)? {
            NodeBackend::VirtualMachine(machine) => machine.cut(true),
            NodeBackend::Container(container) => fault::cut(&container),
        }
    }

    /// Reconnects a node to its network.
    ///
    /// # Errors
    /// If the environment has no such node, or the node does not run.
    pub fn heal(&self, node: &str) -> Result<(), LabError> {
        match self.backend(node)? {
            NodeBackend::VirtualMachine(machine) => machine.cut(false),
            NodeBackend::Container(container) => fault::heal(&container),
        }
    }

    /// Runs a shell script as root inside a node without using the node's network (virtual machine:
    /// over its NAT card), and returns its stdout.
    ///
    /// # Errors
    /// If the environment has no such node, or the script fails or takes longer than `seconds`.
    pub fn shell(&self, node: &str, script: &str, seconds: u64) -> Result<String, LabError> {
        match self.backend(node)? {
            NodeBackend::VirtualMachine(machine) => machine.shell(script, seconds),
            NodeBackend::Container(container) => docker::shell_in(&container, script, seconds),
        }
    }

    /// Returns the container or virtual machine behind a node, whether it exists or not.
    pub(crate) fn backend(&self, name: &str) -> Result<NodeBackend, LabError> {
        if let Some(node) = self.nodes().iter().find(|known| known.name == name) {
            return Ok(if self.record.virtual_machines {
                let machine = VirtualMachine::of(&self.record, &self.state, node);
                NodeBackend::VirtualMachine(machine)
            } else {
                NodeBackend::Container(self.record.container(name))
            });
        }
        let names: Vec<&str> = self.nodes().iter().map(|node| node.name.as_str()).collect();
        Err(LabError::NoSuchNode {
            lab: self.record.name.to_string(),
            node: name.to_owned(),
            nodes: names.join(", "),
        })
    }
}
