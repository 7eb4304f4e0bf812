//! Inventories of other programs: Vagrant, Terraform, Ansible, or any executable that prints JSON.
//! Each is first converted to the text of a skep inventory and then read like a file, so that
//! merging and errors are the same for all. Only `program.rs` starts processes.

mod ansible;
mod cache;
mod generated;
mod keys;
mod program;
mod remarks;
mod terraform;
mod truth;
mod vagrant;
mod vagrant_output;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::base::tidy_path;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::document::TomlDocument;

pub(super) use generated::{GeneratedHost, GeneratedInventory};
use remarks::{ConversionRemarks, UserFiles};

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
    pub(super) fn load(&self, argument: &Path) -> LoadedInventory {
        let converted = match self {
            Self::Vagrant(folder) => vagrant::inventory(folder).map(ConvertedInventory::from),
            Self::Terraform(folder) => terraform::inventory(folder).map(ConvertedInventory::from),
            Self::Ansible(file) => ansible::inventory(file),
            Self::Program(file) => ansible::of_program(file),
        };
        match converted {
            Ok(converted) => LoadedInventory {
                document: TomlDocument::parse(SourceFile::new(argument, converted.written.text())),
                remarks: converted.remarks.diagnostics(argument, &converted.files),
                files: converted.files,
            },
            Err(error) => LoadedInventory {
                document: Err(Diagnostic::error(error.why)
                    .at(top_of(argument))
                    .maybe_hint(error.hint)
                    .into()),
                remarks: Diagnostics::default(),
                files: UserFiles::default(),
            },
        }
    }
}

/// An inventory of another program after its conversion.
pub(super) struct ConvertedInventory {
    written: GeneratedInventory,
    remarks: ConversionRemarks,
    /// Files in which a remark finds its place.
    files: UserFiles,
}

impl From<GeneratedInventory> for ConvertedInventory {
    fn from(written: GeneratedInventory) -> Self {
        Self {
            written,
            remarks: ConversionRemarks::default(),
            files: UserFiles::default(),
        }
    }
}

/// The document of an external inventory.
pub(super) struct LoadedInventory {
    pub(super) document: Result<TomlDocument, Diagnostics>,
    /// Remarks about settings that are not followed as written.
    pub(super) remarks: Diagnostics,
    files: UserFiles,
}

impl LoadedInventory {
    /// Moves the place of an error in the converted text to the user's own file. The converted text
    /// exists nowhere, so its lines would not help.
    pub(super) fn relocate(&self, argument: &Path, diagnostic: &mut Diagnostic) {
        let Some(place) = diagnostic
            .place
            .as_ref()
            .filter(|place| place.source.path() == argument)
        else {
            return;
        };
        let (host, setting) = place_in_converted(place);
        let value = place.text().trim_matches('"').to_owned();
        let words = [value.as_str(), setting.as_str(), host.as_str()];
        let found = words.iter().find_map(|word| self.files.find(word, &host));
        if !host.is_empty() && !diagnostic.message.contains(&host) {
            diagnostic.message = format!("{host}: {}", diagnostic.message);
        }
        diagnostic.place = Some(found.unwrap_or_else(|| top_of(argument)));
    }
}

/// Returns the host and the setting of a place in a converted inventory.
fn place_in_converted(place: &SourceSpan) -> (String, String) {
    let text = place.source.text();
    let end = text[place.span.start..]
        .find('\n')
        .map_or(text.len(), |end| place.span.start + end);
    let before = &text[..end];
    let host = before
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("[hosts."))
        .map(|rest| rest.trim_end_matches(']').trim_end_matches(".vars"));
    let line = before.lines().last().unwrap_or_default();
    let setting = line.split(" = ").next().unwrap_or_default();
    (
        host.unwrap_or_default().trim_matches('"').to_owned(),
        setting.trim_matches('"').to_owned(),
    )
}

fn top_of(argument: &Path) -> SourceSpan {
    SourceSpan::new(&SourceFile::new(argument, ""), 0..0)
}

/// Returns the absolute path of a key file or another local file that an external inventory names.
/// A relative path starts at the first of the folders where the file exists, or at the last one.
pub(super) fn key_path(path: &str, folders: &[&Path]) -> String {
    if path.starts_with('~') || Path::new(path).is_absolute() {
        return path.to_owned();
    }
    let joined = |folder: &&&Path| folder.join(path);
    let found = folders
        .iter()
        .find(|folder| joined(folder).exists())
        .or(folders.last());
    let whole = found.map_or_else(|| PathBuf::from(path), |folder| folder.join(path));
    let whole = std::path::absolute(&whole).unwrap_or(whole);
    tidy_path(&whole).to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn relative_paths_start_where_the_file_is_or_at_the_inventory() {
        let folder = tempfile::tempdir().unwrap();
        let (here, there) = (folder.path().join("a"), folder.path().join("b"));
        std::fs::create_dir_all(here.join("keys")).unwrap();
        std::fs::write(here.join("keys/id"), "").unwrap();
        let folders = [here.as_path(), there.as_path()];
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        assert_eq!(key_path("keys/id", &folders), text(here.join("keys/id")));
        assert_eq!(key_path("./none", &folders), text(there.join("none")));
        assert_eq!(key_path("../k", &folders), text(folder.path().join("k")));
        assert_eq!(key_path("~/k", &folders), "~/k");
        assert_eq!(key_path("/k", &folders), "/k");
    }

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
