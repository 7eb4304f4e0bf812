//! What a kind may know when it is bound to a host: names and data that were loaded before any connection.

use indexmap::IndexMap;

use super::Invalid;
use crate::inventory::HostName;

/// A host's surroundings, for [`super::Kind::bind`].
pub struct HostContext<'a> {
    /// The host that the resource is for.
    pub host: &'a HostName,
    /// The account that skep logs in with.
    pub login_user: &'a str,
    /// Every host of the inventory, in its order.
    pub roster: &'a Roster,
    /// Templates and source files, already read (a kind does no I/O).
    pub files: &'a dyn Files,
}

/// Every host of the inventory as kinds see it.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    /// By name, in the inventory's order.
    pub hosts: IndexMap<HostName, RosterEntry>,
}

/// One host of the [`Roster`].
#[derive(Debug, Clone, Default)]
pub struct RosterEntry {
    /// Where SSH connects: a name or an address.
    pub address: String,
    /// The variable `swarm_address`, when the host has it: what the swarm advertises.
    pub swarm_address: Option<String>,
    /// Groups that the host is in.
    pub groups: Vec<String>,
}

impl Roster {
    /// Hosts of a group, in the inventory's order.
    pub fn group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a HostName> {
        self.hosts
            .iter()
            .filter(move |(_, entry)| entry.groups.iter().any(|name| name == group))
            .map(|(name, _)| name)
    }
}

/// Files beside the playbook, read by the playbook's loader.
pub trait Files {
    /// The bytes of a source file, looked up beside the playbook and below `templates/`.
    ///
    /// # Errors
    /// [`Invalid`] naming the places that were looked at.
    fn source(&self, path: &str) -> Result<Vec<u8>, Invalid>;

    /// Everything below a folder beside the playbook or below `templates/`, by path, up to 256 MiB.
    ///
    /// # Errors
    /// [`Invalid`] naming the places that were looked at, or what cannot be read.
    fn tree(&self, path: &str) -> Result<Vec<TreeEntry>, Invalid>;

    /// A large file, such as an archive of images, up to 1 GiB.
    ///
    /// # Errors
    /// [`Invalid`] naming the places that were looked at, or what cannot be read.
    fn archive(&self, path: &str) -> Result<Vec<u8>, Invalid>;

    /// A template rendered with the host's variables.
    ///
    /// # Errors
    /// [`Invalid`] with the template's name, line and the undefined name.
    fn template(&self, path: &str) -> Result<String, Invalid>;
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path below the folder, with `/` between its parts.
    pub path: String,
    /// Whether its owner may run it.
    pub executable: bool,
    /// What it is.
    pub content: TreeContent,
}

/// What an entry of a folder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeContent {
    /// A folder.
    Folder,
    /// A file.
    File(Vec<u8>),
    /// A symbolic link and its target.
    Link(String),
}
