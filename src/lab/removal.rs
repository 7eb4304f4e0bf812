//! Removes an environment and only objects with its label; on request also the images and caches
//! that the lab built.

use std::path::Path;

use super::docker::{LABEL_LAB, docker, docker_alone, docker_finish, labelled};
use super::environment::{Lab, list};
use super::error::LabError;
use super::inventory::HEADER;
use super::name::LabName;
use super::progress::ProgressFn;
use super::record::LabRecord;
use super::state::{StateDirectory, remove_folder};
use super::{daemon, mirror_server, network, node_image, virtual_machine};

/// Removes every container, volume and network of the environment, or its virtual machines with
/// their disks; also its keys and its inventory. An environment that does not exist is no error.
///
/// # Errors
/// If Docker does not answer, or the environment belongs to another state directory.
pub fn down(
    state: &StateDirectory,
    lab: &LabName,
    progress: ProgressFn<'_>,
) -> Result<(), LabError> {
    let record = LabRecord::load(state, lab);
    if let Ok(Some(LabRecord {
        virtual_machines: true,
        inventory,
        ..
    })) = &record
    {
        let lock = state.lock(&format!("lot-{lab}"), progress)?;
        virtual_machine::end_all(&state.environment(lab), progress)?;
        remove_inventory(inventory, lab);
        remove_folder(&state.environment(lab))?;
        return lock.remove();
    }
    let known = !matches!(record, Ok(None));
    if !known && super::docker::answers().is_err() {
        return Ok(());
    }
    daemon::ensure_docker(state, progress)?;
    network::check_owner(lab, state)?;
    let lock = state.lock(&format!("lot-{lab}"), progress)?;
    let label = format!("{LABEL_LAB}={lab}");
    for kind in ["container", "volume", "network"] {
        let names = labelled(kind, &label)?;
        if names.is_empty() {
            continue;
        }
        progress(&format!("removing {}", names.join(", ")));
        let options: &[&str] = if kind == "container" {
            &["--force", "--volumes"]
        } else {
            &[]
        };
        for name in &names {
            docker_alone(60, [&[kind, "rm"], options, &[name.as_str()]].concat())?;
        }
    }
    if let Ok(Some(record)) = record {
        remove_inventory(&record.inventory, lab);
    }
    // An unreadable record does not tell containers from virtual machines, so both are removed.
    virtual_machine::end_all(&state.environment(lab), progress)?;
    remove_folder(&state.environment(lab))?;
    lock.remove()
}

impl Lab {
    /// Removes the environment: see [`down`].
    ///
    /// # Errors
    /// The errors of [`down`].
    pub fn down(self, progress: ProgressFn<'_>) -> Result<(), LabError> {
        down(self.state(), &self.record().name, progress)
    }
}

/// Removes the lab's images and caches that no environment uses.
///
/// # Errors
/// If Docker does not answer, or the cache cannot be removed.
pub fn purge(state: &StateDirectory, progress: ProgressFn<'_>) -> Result<(), LabError> {
    for repository in [node_image::REPOSITORY, mirror_server::REPOSITORY] {
        let format = "{{.Repository}}:{{.Tag}}";
        for name in docker(30, ["image", "ls", "--format", format, repository])?.lines() {
            let removed = docker_finish(60, ["image", "rm", name])?;
            let said = if removed.success {
                "removed"
            } else {
                "kept because it is in use:"
            };
            progress(&format!("{said} {name}"));
        }
    }
    if !list(state)?.is_empty() {
        progress("kept the package mirrors: a lab environment still uses them");
        return Ok(());
    }
    let _lock = state.lock("build", progress)?;
    remove_folder(&state.cache())?;
    remove_folder(&state.keys())
}

/// Removes an inventory only if the lab wrote it for this environment.
fn remove_inventory(path: &Path, lab: &LabName) {
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    // Older versions of skep called an environment a lot.
    let headers =
        ["lab environment", "lot"].map(|word| format!("{HEADER} for the {word} \"{lab}\""));
    if headers.iter().any(|header| text.starts_with(header)) {
        // The file only names nodes that no longer exist, so a failure does no harm.
        let _ = std::fs::remove_file(path);
    }
}
