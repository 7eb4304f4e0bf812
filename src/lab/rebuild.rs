//! Rebuilds one node of a lab environment: removes it and lets [`up()`] create it again.

use super::environment::{Lab, NodeBackend};
use super::error::LabError;
use super::options::LabOptions;
use super::progress::ProgressFn;
use super::record::NodeRole;
use super::up::up;
use super::{container, docker};

impl Lab {
    /// Removes a node with its data and creates a new one with the same name and address: a new
    /// machine, with new host keys.
    ///
    /// # Errors
    /// If the environment has no such node, or the node cannot be created.
    pub fn rebuild(&self, node: &str, progress: ProgressFn<'_>) -> Result<(), LabError> {
        let backend = self.backend(node)?;
        progress(&format!("{node}: removing the node and its data"));
        match backend {
            NodeBackend::VirtualMachine(machine) => machine.remove()?,
            NodeBackend::Container(container) => {
                docker::docker_finish(60, ["rm", "--force", "--volumes", &container])?;
                docker::docker_finish(60, ["volume", "rm", &container::volume(&container)])?;
            }
        }
        let record = self.record();
        let count = |role: NodeRole| {
            let nodes = record.nodes.iter().filter(|node| node.role == role);
            u8::try_from(nodes.count()).unwrap_or(u8::MAX)
        };
        let options = LabOptions {
            name: record.name.clone(),
            managers: count(NodeRole::Manager),
            workers: count(NodeRole::Worker),
            suite: record.suite,
            present_as: record.present_as,
            user: record.user,
            with_docker: record.with_docker,
            virtual_machines: record.virtual_machines,
            inventory: record.inventory.clone(),
            state: self.state().clone(),
        };
        up(&options, progress).map(drop)
    }
}
