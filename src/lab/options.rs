//! What a lot is asked to be: its name, its size, the release of its nodes and who logs in.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::name::LabName;
use super::state::StateDirectory;

/// Most nodes of one lot; addresses .11 upwards of its /24.
pub const MOST_NODES: u8 = 60;

/// The Debian release that nodes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum DebianSuite {
    /// Debian 13.
    #[default]
    Trixie,
    /// Debian 12.
    Bookworm,
}

impl DebianSuite {
    /// The code name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trixie => "trixie",
            Self::Bookworm => "bookworm",
        }
    }

    /// Debian's release number.
    #[must_use]
    pub fn number(self) -> u8 {
        match self {
            Self::Trixie => 13,
            Self::Bookworm => 12,
        }
    }
}

/// The distribution that a node says it is in `/etc/os-release`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum PresentedOs {
    /// What it really is.
    #[default]
    Debian,
    /// Ubuntu 24.04: only the file differs, the programs are Debian's.
    Ubuntu,
}

impl PresentedOs {
    /// The name used on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Ubuntu => "ubuntu",
        }
    }
}

/// The user that the written inventory logs in as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum LoginUser {
    /// The administrator itself.
    Root,
    /// An ordinary user with passwordless sudo.
    #[default]
    Vagrant,
}

impl LoginUser {
    /// The name of the account.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Vagrant => "vagrant",
        }
    }
}

/// What [`super::up()`] is asked to make.
#[derive(Debug, Clone)]
pub struct LabOptions {
    /// The lot.
    pub name: LabName,
    /// Managers, at least 1; default 1.
    pub managers: u8,
    /// Workers; default 2.
    pub workers: u8,
    /// Release of the nodes; default trixie.
    pub suite: DebianSuite,
    /// What the nodes say they are; default Debian.
    pub present_as: PresentedOs,
    /// Who logs in; default vagrant.
    pub user: LoginUser,
    /// Whole virtual machines instead of containers; default false.
    pub virtual_machines: bool,
    /// The inventory to write; default `inventory/lab.toml`.
    pub inventory: PathBuf,
    /// Where keys, records and caches are kept.
    pub state: StateDirectory,
}

impl LabOptions {
    /// The defaults for a lot of this name.
    ///
    /// # Errors
    /// When the name is not one for a lot, or no state directory can be found.
    pub fn new(name: &str) -> Result<Self, LabError> {
        Ok(Self {
            name: LabName::new(name)?,
            managers: 1,
            workers: 2,
            suite: DebianSuite::default(),
            present_as: PresentedOs::default(),
            user: LoginUser::default(),
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
