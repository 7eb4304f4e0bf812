//! Machines that skep may stop, start and make again: those of a lab lot, and those of Vagrant. Which program keeps a host is known
//! from the inventory that names it. All of it blocks: from asynchronous code, go through `spawn_blocking`.

mod vagrant;

use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use crate::inventory::{Inventory, vagrant_root};
use crate::lab::{self, Lab, LabError, ProgressFn, StateDirectory};
use crate::names::HostName;

/// Who keeps a machine.
#[derive(Debug, Clone)]
enum MachineBackend {
    Lab(Lab),
    Vagrant(PathBuf),
}

/// The hosts of an inventory whose machines can be worked on.
#[derive(Debug, Clone, Default)]
pub struct Machines {
    backends: IndexMap<HostName, MachineBackend>,
}

/// Why a machine cannot be worked on.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// Neither the lab nor Vagrant made it.
    #[error(
        "{host} ({source_file}) is a machine neither of the lab nor of Vagrant, and skep cannot {act} it"
    )]
    Unmanaged {
        /// The host.
        host: HostName,
        /// The inventory that names it.
        source_file: String,
        /// What was to be done.
        act: &'static str,
    },
    /// The lab's own error.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// Vagrant failed.
    #[error("`{line}` failed: {why}; run it by hand in {}", folder.display())]
    Vagrant {
        /// The command.
        line: String,
        /// Its last words.
        why: String,
        /// Where it ran.
        folder: PathBuf,
    },
}

impl Machines {
    /// Finds who keeps each host; nothing is asked of Docker or Vagrant.
    ///
    /// # Errors
    /// When the lab's records cannot be read.
    pub fn of(inventory: &Inventory) -> Result<Self, MachineError> {
        let mut labs = Vec::new();
        if let Ok(state) = StateDirectory::standard() {
            for name in lab::list(&state)? {
                // A lot that is half made keeps nothing.
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

    /// Refuses hosts that nobody keeps.
    ///
    /// # Errors
    /// [`MachineError::Unmanaged`] for the first of them.
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

    /// Takes the power away.
    ///
    /// # Errors
    /// What the lab or Vagrant says.
    pub fn stop(&self, host: &HostName) -> Result<(), MachineError> {
        match self.backend(host, "stop")? {
            MachineBackend::Lab(lab) => Ok(lab.stop(host.as_str(), true)?),
            MachineBackend::Vagrant(root) => {
                vagrant::run(root, &["halt", "--force", host.as_str()])
            }
        }
    }

    /// Starts it and waits until it has booted.
    ///
    /// # Errors
    /// What the lab or Vagrant says.
    pub fn start(&self, host: &HostName, progress: ProgressFn<'_>) -> Result<(), MachineError> {
        match self.backend(host, "start")? {
            MachineBackend::Lab(lab) => Ok(lab.start(host.as_str(), progress)?),
            MachineBackend::Vagrant(root) => {
                vagrant::run(root, &["up", "--no-provision", host.as_str()])
            }
        }
    }

    /// Destroys it with its disks, and makes a new one of the same name.
    ///
    /// # Errors
    /// What the lab or Vagrant says.
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
                        // The docker provider looks at every container of this machine, one by one, and fails when one that is
                        // not even its own goes meanwhile. What it left half-made is destroyed.
                        Err(MachineError::Vagrant { why, .. })
                            if why.contains("No such object") && tries < 4 =>
                        {
                            progress(&format!(
                                "{host}: Vagrant met a container that has gone; once more"
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
