//! What a kind may know when it is bound to a host: names and data that were loaded before any connection.

use super::InvalidField;
use crate::inventory::Roster;
use crate::names::HostName;

/// A host's surroundings, for [`super::ResourceKind::bind`].
pub struct HostContext<'a> {
    /// The host that the resource is for.
    pub host: &'a HostName,
    /// The account that skep logs in with.
    pub login_user: &'a str,
    /// Every host of the inventory, in its order.
    pub roster: &'a Roster,
    /// Templates and source files, already read (a kind does no I/O).
    pub files: &'a dyn FileLoader,
}

/// Files beside the playbook, read by the playbook's loader.
pub trait FileLoader {
    /// The bytes of a source file, looked up beside the playbook and below `templates/`.
    ///
    /// # Errors
    /// [`InvalidField`] naming the places that were looked at.
    fn source(&self, path: &str) -> Result<Vec<u8>, InvalidField>;

    /// Everything below a folder beside the playbook or below `templates/`, by path, up to 256 MiB.
    ///
    /// # Errors
    /// [`InvalidField`] naming the places that were looked at, or what cannot be read.
    fn tree(&self, path: &str) -> Result<Vec<TreeEntry>, InvalidField>;

    /// A large file, such as an archive of images, up to 1 GiB.
    ///
    /// # Errors
    /// [`InvalidField`] naming the places that were looked at, or what cannot be read.
    fn archive(&self, path: &str) -> Result<Vec<u8>, InvalidField>;

    /// A template rendered with the host's variables.
    ///
    /// # Errors
    /// [`InvalidField`] with the template's name, line and the undefined name.
    fn template(&self, path: &str) -> Result<String, InvalidField>;
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
