//! Brings a lot up: every step makes what is missing and leaves what is there, so that running it again repairs.

use std::path::Path;

use super::error::LabError;
use super::lot::Lot;
use super::node::{self, Making};
use super::options::LabOptions;
use super::state::{make_folder, write_file};
use super::{
    Lab, Progress, daemon, host, image, inventory, key, mirror, network, provision, serve,
    virtual_machine,
};

/// Makes or repairs a lot: Docker, node image, package mirror, network, nodes, keys, inventory.
/// Nodes that exist stay; stopped ones are started, cut ones healed; missing ones are made.
///
/// # Errors
/// Says the step that failed, why, and what to try. Nothing half-built is ever used by the next run.
pub fn up(options: &LabOptions, progress: Progress<'_>) -> Result<Lab, LabError> {
    options.check_size()?;
    let state = &options.state;
    let _lock = state.lock(&format!("lot-{}", options.lot), progress)?;
    let recorded = Lot::load(state, &options.lot)?;
    if let Some(lot) = &recorded {
        lot.check_same(options)?;
    }
    if options.virtual_machines {
        return virtual_machine::up(options, recorded, progress);
    }
    daemon::ensure(state, progress)?;
    network::check_owner(&options.lot, state)?;
    for limit in host::kernel_limits() {
        progress(&format!("note: {limit}"));
    }
    let image = image::ensure(state, options.suite, progress)?;
    let mirror = mirror::ensure(state, options.suite, &image, progress)?;
    let path = std::path::absolute(&options.inventory)
        .map_err(LabError::file("resolve", &options.inventory))?;
    make_folder(&state.lot(&options.lot))?;
    let mut lot = recorded.unwrap_or_else(|| Lot::new(options, path.clone()));
    (lot.user, lot.inventory) = (options.user, path);
    // From here on there is something to take down.
    lot.save(state)?;
    let network = network::ensure(&lot.name, state)?;
    lot.mirror = serve::ensure(&lot.name, state, network.gateway, &mirror, progress)?;
    lot.grow(options.managers, options.workers, &network);
    lot.save(state)?;
    let script = provision::script(&lot, &key::ensure(&lot, state)?, &mirror.key);
    let making = Making {
        lot: &lot,
        state,
        network: &network,
        image: &image,
        script: &script,
    };
    let known_hosts = all_nodes(&making, progress)?;
    write_file(&lot.known_hosts(state), known_hosts.as_bytes(), 0o644)?;
    write_inventory(&lot.inventory, &inventory::text(&lot, state))?;
    progress(&format!(
        "lot {}: {} nodes are up; wrote {}",
        lot.name,
        lot.nodes.len(),
        lot.inventory.display()
    ));
    Ok(Lab {
        lot,
        state: state.clone(),
    })
}

/// All nodes side by side; the first failure is returned when all have ended.
fn all_nodes(making: &Making<'_>, progress: Progress<'_>) -> Result<String, LabError> {
    let nodes = &making.lot.nodes;
    let lines: Vec<Result<String, LabError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(move || node::ensure(making, node, progress)))
            .collect();
        let joined = threads.into_iter().map(|thread| {
            thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.collect()
    });
    let mut text = String::new();
    for (node, lines) in nodes.iter().zip(lines) {
        text.push_str(&lines.map_err(|error| error.while_doing(format!("node {}", node.name)))?);
    }
    Ok(text)
}

/// Writes an inventory, and the folders above it.
pub(crate) fn write_inventory(path: &Path, text: &str) -> Result<(), LabError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(LabError::file("create", folder))?;
    }
    write_file(path, text.as_bytes(), 0o644)
}
