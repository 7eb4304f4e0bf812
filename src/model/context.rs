//! The data that a kind may use when it is bound to a host: names and files that were loaded before
//! any connection.

use super::InvalidField;
use crate::inventory::Roster;
use crate::names::HostName;

/// Context of a host, for [`super::ResourceKind::bind`].
pub struct HostContext<'a> {
    /// Host of the resource.
    pub host: &'a HostName,
    /// Account that skep logs in with.
    pub login_user: &'a str,
    /// Every host of the inventory, in the inventory's order.
    pub roster: &'a Roster,
    /// Templates and source files, already read (a kind does no I/O).
    pub files: &'a dyn FileLoader,
}

/// Access to files beside the playbook; the playbook's loader implements it.
pub trait FileLoader {
    /// Returns the bytes of a source file, searched beside the playbook and below `templates/`.
    ///
    /// # Errors
    /// [`InvalidField`] that names the searched places.
    fn source(&self, path: &str) -> Result<Vec<u8>, InvalidField>;

    /// Returns every entry below a folder beside the playbook or below `templates/`, by path, up to
    /// 256 MiB in total.
    ///
    /// # Errors
    /// [`InvalidField`] that names the searched places, or the entry that cannot be read.
    fn tree(&self, path: &str) -> Result<Vec<TreeEntry>, InvalidField>;

    /// Returns the bytes of a large file, such as an archive of images, up to 1 GiB.
    ///
    /// # Errors
    /// [`InvalidField`] that names the searched places, or the file that cannot be read.
    fn archive(&self, path: &str) -> Result<Vec<u8>, InvalidField>;

    /// Renders a template with the host's variables.
    ///
    /// # Errors
    /// [`InvalidField`] with the template's name, line and the undefined name.
    fn template(&self, path: &str) -> Result<String, InvalidField>;
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Path below the folder, with `/` between its parts.
    pub path: String,
    /// True if the owner may execute the entry.
    pub executable: bool,
    /// Type and content of the entry.
    pub content: TreeContent,
}

/// Type and content of a folder's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeContent {
    /// A folder.
    Folder,
    /// A file.
    File(Vec<u8>),
    /// A symbolic link and its target.
    Link(String),
}
