//! Inventories of other programs: Vagrant, Terraform, Ansible, or any executable that prints JSON.
//! Each is first converted to the text of a skep inventory and then read like a file, so that
//! merging and errors are the same for all. Only `program.rs` starts processes.

mod ansible;
mod cache;
mod dynamic;
mod generated;
mod ini;
mod keys;
mod program;
mod terraform;
mod vagrant;
mod vagrant_output;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::document::TomlDocument;

pub(super) use generated::{GeneratedHost, GeneratedInventory};

/// Source of an inventory that is not a TOML file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum ExternalInventory {
    /// `vagrant:` or `vagrant:DIR`.
    Vagrant(PathBuf),
    /// `terraform:DIR`.
    Terraform(PathBuf),
    /// `ansible:FILE`.
    Ansible(PathBuf),
    /// An executable file that prints JSON.
    Program(PathBuf),
}

/// Reason why an external inventory cannot be loaded, in one sentence, and a remedy to try.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ExternalInventoryError {
    pub(super) why: String,
    pub(super) hint: Option<String>,
    /// True if the program is not installed on this machine.
    pub(super) not_installed: bool,
}

impl ExternalInventoryError {
    pub(super) fn new(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            hint: None,
            not_installed: false,
        }
    }

    /// Returns the error for a program that is not installed. `line` is its command line.
    pub(super) fn not_installed(line: &str, program: &str) -> Self {
        Self {
            not_installed: true,
            ..Self::new(format!(
                "`{line}` cannot be run: {program} is not installed"
            ))
        }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Returns true if an argument of `-i` is not a file but names an inventory of `vagrant`,
/// `terraform` or `ansible-inventory`.
#[must_use]
pub fn is_asked_of_a_program(argument: &Path) -> bool {
    ExternalInventory::of(argument)
        .is_some_and(|external| !matches!(external, ExternalInventory::Program(_)))
}

/// Returns the folder of the Vagrantfile that an argument of `-i` names, or `None` if the argument
/// names no Vagrant environment.
#[must_use]
pub fn vagrant_root(argument: &Path) -> Option<PathBuf> {
    match ExternalInventory::of(argument)? {
        ExternalInventory::Vagrant(folder) => vagrant::root(&folder),
        _ => None,
    }
}

impl ExternalInventory {
    /// Returns the external source that an argument of `-i` names; `None` for a file or folder of
    /// TOML.
    pub(super) fn of(path: &Path) -> Option<Self> {
        let text = path.to_str().unwrap_or_default();
        let named = |prefix: &str| text.strip_prefix(prefix).map(PathBuf::from);
        if let Some(folder) = named("vagrant:") {
            return Some(Self::Vagrant(folder));
        }
        if let Some(folder) = named("terraform:") {
            return Some(Self::Terraform(folder));
        }
        if let Some(file) = named("ansible:") {
            return Some(Self::Ansible(file));
        }
        let is_toml = path
            .extension()
            .is_some_and(|extension| extension == "toml");
        let data = std::fs::metadata(path)
            .ok()
            .filter(|data| data.is_file() && !is_toml)?;
        (data.permissions().mode() & 0o111 != 0).then(|| Self::Program(path.to_path_buf()))
    }

    /// Loads the inventory as a document. Errors refer to the argument as its file.
    pub(super) fn document(&self, argument: &Path) -> Result<TomlDocument, Diagnostics> {
        let written = match self {
            Self::Vagrant(folder) => vagrant::inventory(folder),
            Self::Terraform(folder) => terraform::inventory(folder),
            Self::Ansible(file) => ansible::inventory(file),
            Self::Program(file) => dynamic::of_program(file),
        };
        let written = written.map_err(|error| -> Diagnostics {
            let at = SourceSpan::new(&SourceFile::new(argument, ""), 0..0);
            Diagnostic::error(error.why)
                .at(at)
                .maybe_hint(error.hint)
                .into()
        })?;
        TomlDocument::parse(SourceFile::new(argument, written.text()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn arguments_name_their_source() {
        assert_eq!(
            ExternalInventory::of(Path::new("vagrant:")),
            Some(ExternalInventory::Vagrant("".into()))
        );
        assert_eq!(
            ExternalInventory::of(Path::new("vagrant:../a b")),
            Some(ExternalInventory::Vagrant("../a b".into()))
        );
        assert_eq!(
            ExternalInventory::of(Path::new("terraform:infra")),
            Some(ExternalInventory::Terraform("infra".into()))
        );
        assert_eq!(
            ExternalInventory::of(Path::new("ansible:hosts.ini")),
            Some(ExternalInventory::Ansible("hosts.ini".into()))
        );
        assert_eq!(ExternalInventory::of(Path::new("inventory")), None);
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("list");
        std::fs::write(&file, "#!/bin/sh\n").unwrap();
        assert_eq!(
            ExternalInventory::of(&file),
            None,
            "not executable: read as TOML"
        );
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(
            ExternalInventory::of(&file),
            Some(ExternalInventory::Program(file.clone()))
        );
        let toml = folder.path().join("i.toml");
        std::fs::rename(&file, &toml).unwrap();
        assert_eq!(
            ExternalInventory::of(&toml),
            None,
            "a TOML file that happens to be executable is a TOML file"
        );
    }
}
