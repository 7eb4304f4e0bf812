//! `-i ansible:FILE`: an Ansible inventory, INI or YAML. `ansible-inventory --list` reads it if
//! Ansible is installed. Otherwise skep reads the INI format itself and refuses YAML.

use std::ffi::OsStr;
use std::path::Path;

use super::{ExternalInventoryError, GeneratedInventory, dynamic, ini, program};

/// Loads the inventory of an Ansible file.
pub(super) fn inventory(file: &Path) -> Result<GeneratedInventory, ExternalInventoryError> {
    if !file.exists() {
        return Err(
            ExternalInventoryError::new(format!("there is no file {}", file.display()))
                .hint("name Ansible's inventory: `-i ansible:hosts.ini`"),
        );
    }
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let about = format!("The hosts of Ansible's inventory {}.", file.display());
    let path = whole.to_string_lossy().into_owned();
    let asked = program::run(
        OsStr::new("ansible-inventory"),
        &["--list", "-i", &path],
        Path::new(""),
        "",
    );
    match asked {
        Ok(said) if said.success => dynamic::read(&said.stdout, &about),
        Ok(said) => {
            let why = program::last_line(&said.stderr);
            let why = ["ERROR! ", "[ERROR]: "]
                .iter()
                .find_map(|mark| why.strip_prefix(mark))
                .unwrap_or(why);
            Err(ExternalInventoryError::new(format!(
                "`ansible-inventory --list -i {}` failed: {why}",
                file.display()
            ))
            .hint("run the command by hand"))
        }
        Err(error) if error.not_installed => without_ansible(file, &about),
        Err(error) => Err(error),
    }
}

fn without_ansible(file: &Path, about: &str) -> Result<GeneratedInventory, ExternalInventoryError> {
    let is_yaml = file
        .extension()
        .is_some_and(|extension| extension == "yml" || extension == "yaml");
    if is_yaml || file.is_dir() {
        return Err(ExternalInventoryError::new(format!(
            "{} can only be read by Ansible itself, and ansible-inventory is not installed",
            file.display()
        ))
        .hint("install ansible-core, or convert it to TOML on a machine that has Ansible: `skep inventory -i ansible:FILE --toml`"));
    }
    let text = std::fs::read_to_string(file).map_err(|error| {
        ExternalInventoryError::new(format!("cannot read {}: {error}", file.display()))
    })?;
    ini::read(&text, about).map_err(|(line, why)| {
        ExternalInventoryError::new(format!("{}:{line}: {why}", file.display()))
    })
}
