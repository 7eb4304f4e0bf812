//! The options of a lab environment: name, size, Debian release, and login user.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::name::LabName;
use super::state::StateDirectory;

/// Maximum number of nodes in one environment; their addresses start at .11 of the /24 subnet.
pub(super) const MOST_NODES: u8 = 60;

/// Debian release of the nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum DebianSuite {
    /// Debian 13.
    #[default]
    Trixie,
    /// Debian 12.
    Bookworm,
    /// Debian testing, which becomes Debian 14.
    Forky,
}

impl DebianSuite {
    /// Returns the code name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
            Self::Bookworm => "bookworm",
            Self::Forky => "forky",
        }
    }

    /// Returns Debian's release number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Trixie => 13,
            Self::Bookworm => 12,
            Self::Forky => 14,
        }
    }

    /// Returns true for a suite whose package index may be older than it says. An index of testing
    /// is valid for a week, and a mirror may not be updated for longer.
    #[must_use]
    pub(super) fn may_be_past_its_date(self) -> bool {
        self == Self::Forky
    }
}

/// Distribution that a node states in `/etc/os-release`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum PresentedOs {
    /// Debian, which the nodes really are.
    #[default]
    Debian,
    /// Ubuntu 24.04: only the file differs, the programs are Debian's.
    Ubuntu,
    /// Ubuntu 26.04: uutils coreutils and sudo-rs take the places of GNU coreutils and sudo, as on
    /// that release. The other programs are those of Debian testing.
    #[serde(rename = "ubuntu-26.04")]
    Ubuntu2604,
}

impl PresentedOs {
    /// Returns the name used on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
            Self::Ubuntu2604 => "ubuntu-26.04",
        }
    }

    /// Returns the distribution and the release whose repository of Docker the nodes use.
    #[must_use]
    pub(super) fn docker_release(self, suite: DebianSuite) -> (&'static str, &'static str) {
        match self {
            Self::Debian => ("debian", suite.name()),
            Self::Ubuntu => ("ubuntu", "noble"),
            Self::Ubuntu2604 => ("ubuntu", "resolute"),
        }
    }

    /// Returns the suite that has the programs of the distribution; `None` if any suite does.
    #[must_use]
    pub fn needed_suite(self) -> Option<DebianSuite> {
        (self == Self::Ubuntu2604).then_some(DebianSuite::Forky)
    }
}

/// Account that the inventory uses for SSH logins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum LoginUser {
    /// The administrator.
    Root,
    /// An ordinary user with passwordless sudo.
    #[default]
    Vagrant,
}

impl LoginUser {
    /// Returns the name of the account.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Vagrant => "vagrant",
        }
    }
}

/// Options of [`super::up()`].
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// Name of the environment.
    pub name: LabName,
    /// Number of managers, at least 1; default 1.
    pub managers: u8,
    /// Number of workers; default 2.
    pub workers: u8,
    /// Debian release of the nodes; default trixie.
    pub suite: DebianSuite,
    /// Distribution that the nodes state; default Debian.
    pub present_as: PresentedOs,
    /// Account for logins; default vagrant.
    pub user: LoginUser,
    /// True if Docker is already installed on the nodes; default false.
    pub with_docker: bool,
    /// True for whole virtual machines instead of containers; default false.
    pub virtual_machines: bool,
    /// Path of the inventory to write; default `inventory/lab.toml`.
    pub inventory: PathBuf,
    /// Folder for keys, records and caches.
    pub state: StateDirectory,
}

impl LabOptions {
    /// Returns the default options for an environment of this name.
    ///
    /// # Errors
    /// If the name is not valid, or no state directory can be found.
    pub fn new(name: &str) -> Result<Self, LabError> {
        Ok(Self {
            name: LabName::new(name)?,
            managers: 1,
            workers: 2,
            suite: DebianSuite::default(),
            present_as: PresentedOs::default(),
            user: LoginUser::default(),
            with_docker: false,
            virtual_machines: false,
            inventory: PathBuf::from("inventory/lab.toml"),
            state: StateDirectory::standard()?,
        })
    }

    pub(crate) fn check_size(&self) -> Result<(), LabError> {
        let nodes = u16::from(self.managers) + u16::from(self.workers);
        if (self.managers >= 1 || nodes == 0) && nodes <= u16::from(MOST_NODES) {
            return Ok(());
        }
        Err(LabError::InvalidSize {
            managers: self.managers,
            workers: self.workers,
            most: MOST_NODES,
        })
    }
}
