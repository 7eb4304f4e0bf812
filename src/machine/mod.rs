//! Machines that skep may stop, start and rebuild: those of a lab environment, and those of
//! Vagrant. The inventory that names a host tells which program manages its machine.
//! Every call blocks: asynchronous code has to use `spawn_blocking`.

mod vagrant;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::inventory::{Inventory, vagrant_root};
use crate::lab::{self, Lab, LabError, ProgressFn, StateDirectory};
use crate::names::HostName;

/// Program that manages a machine.
#[derive(Debug, Clone)]
enum MachineBackend {
    Lab(Lab),
    Vagrant(PathBuf),
}

/// The hosts of an inventory whose machines can be stopped, started and rebuilt.
#[derive(Debug, Clone, Default)]
pub struct Machines {
    backends: IndexMap<HostName, MachineBackend>,
}

/// Reason why an operation on a machine failed.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// Neither the lab nor Vagrant manages the machine.
    #[error(
        "skep cannot {act} {host} ({source_file}): neither the lab nor Vagrant manages this machine"
    )]
    Unmanaged {
        /// Name of the host.
        host: HostName,
        /// Inventory that names the host.
        source_file: String,
        /// Verb of the operation.
        act: &'static str,
    },
    /// Error of the lab.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Vagrant failed.
    #[error("`{line}` failed: {why}; run it by hand in {}", folder.display())]
    Vagrant {
        /// Command line.
        line: String,
        /// Last output of the command.
        why: String,
        /// Folder in which the command ran.
        folder: PathBuf,
    },
}

impl Machines {
    /// Finds the program that manages each host's machine. Docker and Vagrant are not queried.
    ///
    /// # Errors
    /// If the lab's records cannot be read.
    pub fn of(inventory: &Inventory) -> Result<Self, MachineError> {
        let mut labs = Vec::new();
        if let Ok(state) = StateDirectory::standard() {
            for name in lab::list(&state)? {
                // An incomplete environment manages no machine.
                labs.extend(lab::find(&state, &name));
            }
        }
        let mut backends = IndexMap::new();
        for (name, host) in inventory.hosts() {
            let source = host.place.source.path();
            let backend = match vagrant_root(source) {
                Some(root) => Some(MachineBackend::Vagrant(root)),
                None => labs
                    .iter()
                    .find(|lab| is_same(&lab.record().inventory, source))
                    .cloned()
                    .map(MachineBackend::Lab),
            };
            if let Some(backend) = backend {
                backends.insert(name.clone(), backend);
            }
        }
        Ok(Self { backends })
    }

    /// Refuses hosts whose machines no program manages.
    ///
    /// # Errors
    /// [`MachineError::Unmanaged`] for the first such host.
    pub fn check(
        &self,
        inventory: &Inventory,
        hosts: &[HostName],
        act: &'static str,
    ) -> Result<(), MachineError> {
        match hosts.iter().find(|host| !self.backends.contains_key(*host)) {
            None => Ok(()),
            Some(host) => {
                let source = inventory
                    .host(host)
                    .map(|host| host.place.source.path().display().to_string());
                let source_file = source.unwrap_or_else(|| "in no inventory".into());
                Err(MachineError::Unmanaged {
                    host: host.clone(),
                    source_file,
                    act,
                })
            }
        }
    }

    /// Cuts the power of a machine.
    ///
    /// # Errors
    /// The error of the lab or of Vagrant.
    pub fn stop(&self, host: &HostName) -> Result<(), MachineError> {
        match self.backend(host, "stop")? {
            MachineBackend::Lab(lab) => Ok(lab.stop(host.as_str(), true)?),
            MachineBackend::Vagrant(root) => {
                vagrant::run(root, &["halt", "--force", host.as_str()])
            }
        }
    }

    /// Starts a machine and waits until it has booted.
    ///
    /// # Errors
    /// The error of the lab or of Vagrant.
    pub fn start(&self, host: &HostName, progress: ProgressFn<'_>) -> Result<(), MachineError> {
        match self.backend(host, "start")? {
            MachineBackend::Lab(lab) => Ok(lab.start(host.as_str(), progress)?),
            MachineBackend::Vagrant(root) => {
                vagrant::run(root, &["up", "--no-provision", host.as_str()])
            }
        }
    }

    /// Destroys a machine with its disks, and creates a new one of the same name.
    ///
    /// # Errors
    /// The error of the lab or of Vagrant.
    pub fn rebuild(&self, host: &HostName, progress: ProgressFn<'_>) -> Result<(), MachineError> {
        match self.backend(host, "rebuild")? {
            MachineBackend::Lab(lab) => Ok(lab.rebuild(host.as_str(), progress)?),
            MachineBackend::Vagrant(root) => {
                let provider = vagrant::provider(root, host.as_str());
                let provider = provider.map(|provider| format!("--provider={provider}"));
                let arguments: Vec<&str> = ["up", host.as_str()]
                    .into_iter()
                    .chain(provider.as_deref())
                    .collect();
                let mut tries = 0;
                loop {
                    progress(&format!("{host}: vagrant destroy"));
                    vagrant::run(root, &["destroy", "--force", host.as_str()])?;
                    progress(&format!("{host}: vagrant up"));
                    tries += 1;
                    match vagrant::run(root, &arguments) {
                        // Vagrant's docker provider inspects every container of this machine, one
                        // by one, and fails if a container that is not even its own disappears
                        // meanwhile. The incomplete result is destroyed.
                        Err(MachineError::Vagrant { why, .. })
                            if why.contains("No such object") && tries < 4 =>
                        {
                            progress(&format!(
                                "{host}: a container disappeared while Vagrant inspected it; trying again"
                            ));
                        }
                        done => return done,
                    }
                }
            }
        }
    }

    fn backend(&self, host: &HostName, act: &'static str) -> Result<&MachineBackend, MachineError> {
        self.backends
            .get(host)
            .ok_or_else(|| MachineError::Unmanaged {
                host: host.clone(),
                source_file: "another source".into(),
                act,
            })
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    let whole = |path: &Path| path.canonicalize().ok();
    whole(one).is_some_and(|one| Some(one) == whole(other))
}
