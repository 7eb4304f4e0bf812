//! Throwaway nodes on this machine: containers that run systemd and sshd, as bare as a new cloud machine; or whole virtual machines.
//! [`up()`] makes or repairs a lot, [`find`] returns one, [`Lab`] holds the faults: stop, start, cut, heal.
//! Nodes sit on an internal bridge with no way out; packages come from a mirror on the bridge's own address.
//! All of it blocks: from asynchronous code, go through `spawn_blocking`.

mod closure;
mod command;
mod control;
mod daemon;
mod docker;
mod error;
mod fault;
mod host;
mod image;
mod inventory;
mod key;
mod load;
mod lot;
mod machine_image;
mod mirror;
mod network;
mod node;
mod options;
mod provision;
mod recipe;
mod removal;
mod repository;
mod serve;
mod service_image;
mod stand_in;
mod stand_in_packages;
mod state;
mod test_image;
mod up;
mod virtual_machine;

use std::path::PathBuf;

pub use daemon::Stopped;
pub use error::LabError;
pub use load::TestImage;
pub use lot::{Lot, Node, Role};
pub use machine_image::{MachineImage, machine_image};
pub use options::{LabOptions, LoginUser, LotName, Presentation, Suite};
pub use removal::{down, purge};
pub use state::StateDirectory;
pub use up::up;

/// Told what is being done, one line at a time, from several threads.
pub type Progress<'a> = &'a (dyn Fn(&str) + Sync);

/// A lot that is up, or was.
#[derive(Debug, Clone)]
pub struct Lab {
    lot: Lot,
    state: StateDirectory,
}

/// What a node is.
enum Body {
    Container(String),
    Machine(virtual_machine::Machine),
}

/// How a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It runs and has its network.
    Running,
    /// It runs without its network.
    Cut,
    /// It is stopped.
    Stopped,
    /// Its container is gone.
    Missing,
}

/// Finds a lot that `up` made; Docker is not asked.
///
/// # Errors
/// [`LabError::NoSuchLot`] when this state directory has none of that name.
pub fn find(state: &StateDirectory, lot: &LotName) -> Result<Lab, LabError> {
    let found = Lot::load(state, lot)?.ok_or_else(|| LabError::NoSuchLot {
        lot: lot.to_string(),
    })?;
    Ok(Lab {
        lot: found,
        state: state.clone(),
    })
}

/// The lots of this state directory, by name.
///
/// # Errors
/// When the state directory cannot be read.
pub fn lots(state: &StateDirectory) -> Result<Vec<LotName>, LabError> {
    let folder = state.lots();
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(LabError::file("read", &folder)(error)),
    };
    let mut names: Vec<LotName> = entries
        .flatten()
        .filter_map(|entry| LotName::new(&entry.file_name().to_string_lossy()).ok())
        .collect();
    names.sort();
    Ok(names)
}

/// Stops the dockerd that the lab started, unless a container still runs in it.
///
/// # Errors
/// When it cannot be asked or signalled.
pub fn stop_docker(state: &StateDirectory, progress: Progress<'_>) -> Result<Stopped, LabError> {
    daemon::stop(state, progress)
}

/// Makes sure that this machine's Docker answers, and starts it where it does not.
///
/// # Errors
/// When it is not installed or does not start; the error says what to do.
pub fn ensure_docker(state: &StateDirectory, progress: Progress<'_>) -> Result<(), LabError> {
    daemon::ensure(state, progress)
}

impl Lab {
    /// What the lot is made of.
    #[must_use]
    pub fn lot(&self) -> &Lot {
        &self.lot
    }

    /// Its nodes, in the order of their names.
    #[must_use]
    pub fn nodes(&self) -> &[Node] {
        &self.lot.nodes
    }

    /// The lot's private SSH key.
    #[must_use]
    pub fn identity_file(&self) -> PathBuf {
        self.lot.identity_file(&self.state)
    }

    /// The host keys of its nodes.
    #[must_use]
    pub fn known_hosts(&self) -> PathBuf {
        self.lot.known_hosts(&self.state)
    }

    /// How a node is.
    ///
    /// # Errors
    /// When the lot has no such node, or Docker does not answer.
    pub fn node_state(&self, node: &str) -> Result<NodeState, LabError> {
        let container = match self.body(node)? {
            Body::Machine(machine) => return Ok(machine.state()),
            Body::Container(container) => container,
        };
        Ok(match docker::container_state(&container)?.as_deref() {
            None => NodeState::Missing,
            Some("running") if fault::is_cut(&container)? => NodeState::Cut,
            Some("running") => NodeState::Running,
            Some(_) => NodeState::Stopped,
        })
    }

    /// Shuts a node down in order; `at_once` takes its power away instead.
    ///
    /// # Errors
    /// When the lot has no such node, or Docker fails.
    pub fn stop(&self, node: &str, at_once: bool) -> Result<(), LabError> {
        match self.body(node)? {
            Body::Machine(machine) => machine.stop(at_once),
            Body::Container(container) => {
                let seconds = if at_once { "0" } else { "30" };
                docker::docker_alone(60, ["stop", "--time", seconds, &container]).map(drop)
            }
        }
    }

    /// Starts a stopped node and waits until it has booted; its address stays.
    ///
    /// # Errors
    /// When the lot has no such node, or it does not boot.
    pub fn start(&self, node: &str, progress: Progress<'_>) -> Result<(), LabError> {
        match self.body(node)? {
            Body::Machine(machine) => machine.start(&self.lot, &self.state, progress),
            Body::Container(container) => {
                docker::docker_alone(60, ["start", &container])?;
                node::wait_for_boot(&container, node, progress)
            }
        }
    }

    /// Removes a node with its data, and makes a new one of the same name and address: a new machine, with new host keys.
    ///
    /// # Errors
    /// When the lot has no such node, or it cannot be made.
    pub fn rebuild(&self, node: &str, progress: Progress<'_>) -> Result<(), LabError> {
        let body = self.body(node)?;
        progress(&format!("{node}: removing it with its data"));
        match body {
            Body::Machine(machine) => machine.remove()?,
            Body::Container(container) => {
                docker::docker_finish(60, ["rm", "--force", "--volumes", &container])?;
                docker::docker_finish(60, ["volume", "rm", &node::volume(&container)])?;
            }
        }
        let count = |role: Role| {
            self.lot
                .nodes
                .iter()
                .filter(|node| node.role == role)
                .count()
        };
        let number = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        let options = LabOptions {
            lot: self.lot.name.clone(),
            managers: number(count(Role::Manager)),
            workers: number(count(Role::Worker)),
            suite: self.lot.suite,
            present_as: self.lot.present_as,
            user: self.lot.user,
            virtual_machines: self.lot.virtual_machines,
            inventory: self.lot.inventory.clone(),
            state: self.state.clone(),
        };
        up(&options, progress).map(drop)
    }

    /// Takes a node's network away, in silence: its address stays, packets vanish.
    ///
    /// # Errors
    /// When the lot has no such node, or it does not run.
    pub fn cut(&self, node: &str) -> Result<(), LabError> {
        match self.body(node)? {
            Body::Machine(machine) => machine.cut(true),
            Body::Container(container) => fault::cut(&container),
        }
    }

    /// Gives a node its network back.
    ///
    /// # Errors
    /// When the lot has no such node, or it does not run.
    pub fn heal(&self, node: &str) -> Result<(), LabError> {
        match self.body(node)? {
            Body::Machine(machine) => machine.cut(false),
            Body::Container(container) => fault::heal(&container),
        }
    }

    /// Runs a shell script as root inside a node, past its network (a virtual machine: over its NAT); returns what it wrote to stdout.
    ///
    /// # Errors
    /// When the lot has no such node, or the script fails or takes longer than `seconds`.
    pub fn shell(&self, node: &str, script: &str, seconds: u64) -> Result<String, LabError> {
        match self.body(node)? {
            Body::Machine(machine) => machine.shell(script, seconds),
            Body::Container(container) => docker::shell_in(&container, script, seconds),
        }
    }

    /// Removes the lot: see [`down`].
    ///
    /// # Errors
    /// As [`down`].
    pub fn down(self, progress: Progress<'_>) -> Result<(), LabError> {
        down(&self.state, &self.lot.name, progress)
    }

    fn body(&self, name: &str) -> Result<Body, LabError> {
        if let Some(node) = self.lot.nodes.iter().find(|known| known.name == name) {
            return Ok(if self.lot.virtual_machines {
                Body::Machine(virtual_machine::Machine::of(&self.lot, &self.state, node))
            } else {
                Body::Container(self.lot.container(name))
            });
        }
        let names: Vec<&str> = self
            .lot
            .nodes
            .iter()
            .map(|node| node.name.as_str())
            .collect();
        Err(LabError::NoSuchNode {
            lot: self.lot.name.to_string(),
            node: name.to_owned(),
            nodes: names.join(", "),
        })
    }
}
