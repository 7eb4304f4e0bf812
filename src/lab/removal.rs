//! Removes a lot, and only what carries its label; on request also what the lab built and the dockerd it started.

use std::path::Path;

use super::docker::{LABEL_LOT, docker, docker_alone, docker_finish, labelled};
use super::error::LabError;
use super::inventory::HEADER;
use super::lot::Lot;
use super::options::LotName;
use super::state::{StateDirectory, remove_folder};
use super::{Progress, daemon, image, network, serve, virtual_machine};

/// Removes every container, volume and network of the lot, or its virtual machines with their disks; its keys, and the inventory that was written for it.
/// Said to be done also when there was nothing.
///
/// # Errors
/// When Docker does not answer, or the lot belongs to another state directory.
pub fn down(state: &StateDirectory, lot: &LotName, progress: Progress<'_>) -> Result<(), LabError> {
    let record = Lot::load(state, lot);
    if let Ok(Some(Lot {
        virtual_machines: true,
        inventory,
        ..
    })) = &record
    {
        let lock = state.lock(&format!("lot-{lot}"), progress)?;
        virtual_machine::end_all(&state.lot(lot), progress)?;
        remove_inventory(inventory, lot);
        remove_folder(&state.lot(lot))?;
        return lock.remove();
    }
    let known = !matches!(record, Ok(None));
    if !known && super::docker::answers().is_err() {
        return Ok(());
    }
    daemon::ensure(state, progress)?;
    network::check_owner(lot, state)?;
    let lock = state.lock(&format!("lot-{lot}"), progress)?;
    let label = format!("{LABEL_LOT}={lot}");
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
        remove_inventory(&record.inventory, lot);
    }
    // A record that cannot be read says of neither sort.
    virtual_machine::end_all(&state.lot(lot), progress)?;
    remove_folder(&state.lot(lot))?;
    lock.remove()
}

/// Removes the lab's images and caches, as far as no lot uses them.
///
/// # Errors
/// When Docker does not answer, or the cache cannot be removed.
pub fn purge(state: &StateDirectory, progress: Progress<'_>) -> Result<(), LabError> {
    for repository in [image::REPOSITORY, serve::REPOSITORY] {
        let format = "{{.Repository}}:{{.Tag}}";
        for name in docker(30, ["image", "ls", "--format", format, repository])?.lines() {
            let removed = docker_finish(60, ["image", "rm", name])?;
            let said = if removed.success {
                "removed"
            } else {
                "kept, it is in use:"
            };
            progress(&format!("{said} {name}"));
        }
    }
    if !super::lots(state)?.is_empty() {
        progress("kept the package mirrors: a lot still uses them");
        return Ok(());
    }
    let _lock = state.lock("build", progress)?;
    remove_folder(&state.cache())?;
    remove_folder(&state.keys())
}

/// Removes an inventory only when the lab wrote it, for this very lot.
fn remove_inventory(path: &Path, lot: &LotName) {
    let Ok(text) = std::fs::read_to_string(path) else {
        return;
    };
    if text.starts_with(&format!("{HEADER} for the lot \"{lot}\"")) {
        // It only names nodes that are gone: one that stays does no harm.
        let _ = std::fs::remove_file(path);
    }
}
