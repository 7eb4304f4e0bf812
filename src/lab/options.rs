//! What a lot is asked to be: its name, its size, the release of its nodes and who logs in.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::state::StateDirectory;

/// Most nodes of one lot; addresses .11 upwards of its /24.
pub const MOST_NODES: u8 = 60;

/// The name of a lot: 1 to 20 of a-z, 0-9 and `-`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LotName(String);

impl LotName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`LabError::LotName`] when containers and networks could not carry it.
    pub fn new(name: &str) -> Result<Self, LabError> {
        let lettered = name.starts_with(|first: char| first.is_ascii_lowercase());
        let plain = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if lettered && plain && name.len() <= 20 {
            return Ok(Self(name.to_owned()));
        }
        Err(LabError::LotName {
            name: name.to_owned(),
        })
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LotName {
    type Error = LabError;
    fn try_from(name: String) -> Result<Self, LabError> {
        Self::new(&name)
    }
}

impl From<LotName> for String {
    fn from(name: LotName) -> Self {
        name.0
    }
}

impl fmt::Display for LotName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The Debian release that nodes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Suite {
    /// Debian 13.
    #[default]
    Trixie,
    /// Debian 12.
    Bookworm,
}

impl Suite {
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
pub enum Presentation {
    /// What it really is.
    #[default]
    Debian,
    /// Ubuntu 24.04: only the file differs, the programs are Debian's.
    Ubuntu,
}

impl Presentation {
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
    pub lot: LotName,
    /// Managers, at least 1; default 1.
    pub managers: u8,
    /// Workers; default 2.
    pub workers: u8,
    /// Release of the nodes; default trixie.
    pub suite: Suite,
    /// What the nodes say they are; default Debian.
    pub present_as: Presentation,
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
    pub fn new(lot: &str) -> Result<Self, LabError> {
        Ok(Self {
            lot: LotName::new(lot)?,
            managers: 1,
            workers: 2,
            suite: Suite::default(),
            present_as: Presentation::default(),
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
        Err(LabError::LotSize {
            managers: self.managers,
            workers: self.workers,
            most: MOST_NODES,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lot_names() {
        for good in ["lab", "a", "e2e-17", "abcdefghijklmnopqrst"] {
            assert!(LotName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "1a",
            "Lab",
            "a_b",
            "a b",
            "abcdefghijklmnopqrstu",
            "ä",
        ] {
            assert!(LotName::new(bad).is_err(), "{bad}");
        }
    }
}
