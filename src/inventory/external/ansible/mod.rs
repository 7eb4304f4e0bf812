//! `-i ansible:FILE`: an Ansible inventory, INI or YAML. `ansible-inventory --list` reads it if
//! Ansible is installed. Otherwise skep reads the INI format itself and refuses everything else.
//!
//! An inventory of Ansible is first read into groups, hosts and variables (`listing.rs`, `ini.rs`)
//! and then converted (`convert.rs`). Executables that print JSON use the same format.

mod config;
mod connection;
mod convert;
mod host_order;
mod ini;
mod listing;
mod python_literal;
mod ssh_arguments;
mod ssh_options;
mod templates;

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::remarks::UserFiles;
use super::{ConvertedInventory, ExternalInventoryError, program};
pub(super) use listing::of_program;

/// Groups, hosts and variables in Ansible's terms.
#[derive(Debug, Default)]
struct AnsibleInventory {
    /// Groups in the order in which they are mentioned, `all` and `ungrouped` among them.
    groups: IndexMap<String, AnsibleGroup>,
    /// Variables of the hosts, in the order in which the hosts are mentioned.
    hosts: IndexMap<String, Map<String, Value>>,
}

#[derive(Debug, Default)]
struct AnsibleGroup {
    hosts: Vec<String>,
    children: Vec<String>,
    vars: Map<String, Value>,
}

/// File that an inventory was read from.
#[derive(Debug)]
struct AnsibleSource {
    /// Comment at the top of the converted inventory.
    about: String,
    /// Absolute path of the inventory file or folder.
    path: PathBuf,
    /// Settings of ansible.cfg and of `ANSIBLE_*` variables; empty for a program's output.
    config: config::AnsibleConfig,
}

impl AnsibleSource {
    /// Returns the folder of the inventory.
    fn folder(&self) -> &Path {
        if self.path.is_dir() {
            return &self.path;
        }
        self.path.parent().unwrap_or(Path::new("/"))
    }

    /// Returns the files that may mention a variable.
    fn files(&self) -> UserFiles {
        let folder = self.folder();
        let beside = ["host_vars", "group_vars"].map(|name| folder.join(name));
        let config = self.config.path().map(Path::to_path_buf);
        UserFiles::read(
            std::iter::once(self.path.clone())
                .chain(beside)
                .chain(config),
        )
    }
}

/// Loads the inventory of an Ansible file.
pub(super) fn inventory(file: &Path) -> Result<ConvertedInventory, ExternalInventoryError> {
    if !file.exists() {
        return Err(
            ExternalInventoryError::new(format!("there is no file {}", file.display()))
                .hint("name Ansible's inventory: `-i ansible:hosts.ini`"),
        );
    }
    let source = AnsibleSource {
        about: format!("The hosts of Ansible's inventory {}.", file.display()),
        path: std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf()),
        config: config::AnsibleConfig::load()?,
    };
    let path = source.path.to_string_lossy().into_owned();
    let asked = program::run(
        OsStr::new("ansible-inventory"),
        &["--list", "-i", &path],
        Path::new(""),
        "",
    );
    let read = match asked {
        Ok(said) if said.success => listing::read(&said.stdout)?.inventory,
        Ok(said) => {
            return Err(ExternalInventoryError::new(format!(
                "`ansible-inventory --list -i {}` failed: {}",
                file.display(),
                cause(&said.stderr, file)
            ))
            .hint(
                "correct the file; `ansible-inventory --list -i FILE` prints the whole message",
            ));
        }
        Err(error) if error.not_installed => without_ansible(file)?,
        Err(error) => return Err(error),
    };
    Ok(convert::convert(read, &source))
}

/// Returns the cause of a failure of `ansible-inventory`. Its last line says only that the file
/// cannot be parsed. The lines before contain the reason of each inventory plugin, and the plugin
/// that fits the file has the useful reason.
fn cause(stderr: &str, file: &Path) -> String {
    let text = stderr.split_whitespace().collect::<Vec<_>>().join(" ");
    let reason_of = |plugin: &str| {
        let (_, rest) = text.split_once(&format!("with {plugin} plugin: "))?;
        let end = ["[WARNING]", "[ERROR]", "ERROR!"]
            .iter()
            .filter_map(|mark| rest.find(mark))
            .min()
            .unwrap_or(rest.len());
        let reason = rest[..end].trim().trim_end_matches('.');
        (!reason.is_empty()).then(|| reason.to_owned())
    };
    let is_program = std::fs::metadata(file)
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0);
    let plugins: &[&str] = match () {
        () if is_program => &["script"],
        () if is_yaml(file) => &["yaml", "auto"],
        () => &["ini", "yaml", "auto"],
    };
    let last_line = || {
        let why = program::last_line(stderr);
        ["ERROR! ", "[ERROR]: "]
            .iter()
            .find_map(|mark| why.strip_prefix(mark))
            .unwrap_or(why)
            .to_owned()
    };
    plugins
        .iter()
        .find_map(|plugin| reason_of(plugin))
        .unwrap_or_else(last_line)
}

fn is_yaml(file: &Path) -> bool {
    file.extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml" || extension == "json")
}

fn without_ansible(file: &Path) -> Result<AnsibleInventory, ExternalInventoryError> {
    let needs_ansible = |what: String| {
        ExternalInventoryError::new(format!(
            "{what} can only be read by Ansible itself, and ansible-inventory is not installed"
        ))
        .hint("install ansible-core, or convert it to TOML on a machine that has Ansible: `skep inventory -i ansible:FILE --toml`")
    };
    if is_yaml(file) || file.is_dir() {
        return Err(needs_ansible(file.display().to_string()));
    }
    for name in ["group_vars", "host_vars"] {
        let beside = file.with_file_name(name);
        let has_files =
            std::fs::read_dir(&beside).is_ok_and(|mut entries| entries.next().is_some());
        if has_files {
            return Err(needs_ansible(format!("{}/", beside.display())));
        }
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        ExternalInventoryError::new(format!("cannot read {}: {error}", file.display()))
    })?;
    ini::read(&text).map_err(|(line, why)| {
        ExternalInventoryError::new(format!("{}:{line}: {why}", file.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_of_the_plugin_that_fits_is_the_cause() {
        let ini = "[WARNING]:  * Failed to parse /x/h.ini with yaml plugin: We were unable\nto read.\n\
            [WARNING]:  * Failed to parse /x/h.ini with ini plugin:\n/x/h.ini:2: Expected key=value host variable assignment, got:\n\
            ansible_host\nERROR! Completely failed to parse inventory source /x/h.ini\n";
        assert_eq!(
            cause(ini, Path::new("/x/h.ini")),
            "/x/h.ini:2: Expected key=value host variable assignment, got: ansible_host"
        );
        let yaml = "[WARNING]:  * Failed to parse /x/h.yml with yaml plugin: Invalid\n\"hosts\" entry.\n\
            [WARNING]:  * Failed to parse /x/h.yml with ini plugin: Invalid host pattern\nERROR! Completely failed\n";
        assert_eq!(
            cause(yaml, Path::new("/x/h.yml")),
            "Invalid \"hosts\" entry"
        );
        assert_eq!(cause("ERROR! no\n", Path::new("/x/h.ini")), "no");
    }
}
