//! Brings a lot of virtual machines up: makes what is missing, starts what is stopped, and waits until all have booted.
//! Docker is asked only while the package mirror is not built.

use super::machine::Machine;
use super::{address, check_host, image};
use crate::lab::error::LabError;
use crate::lab::lot::{Lot, Node};
use crate::lab::mirror::{self, Mirror};
use crate::lab::options::LabOptions;
use crate::lab::state::{make_folder, write_file};
use crate::lab::{
    Lab, NodeState, Progress, daemon, image as node_image, inventory, key, provision,
};

/// Makes or repairs the lot. The caller holds its lock.
pub(crate) fn up(
    options: &LabOptions,
    recorded: Option<Lot>,
    progress: Progress<'_>,
) -> Result<Lab, LabError> {
    check_host()?;
    let state = &options.state;
    let mirror = packages(options, progress)?;
    let disk = image::ensure(state, options.suite, progress)?;
    let path = std::path::absolute(&options.inventory)
        .map_err(LabError::file("resolve", &options.inventory))?;
    make_folder(&state.lot(&options.lot))?;
    let mut lot = recorded.unwrap_or_else(|| Lot::new(options, path.clone()));
    (lot.user, lot.inventory) = (options.user, path);
    lot.mirror = format!("http://{}", address::MIRROR_ADDRESS);
    lot.grow(
        options.managers,
        options.workers,
        &address::private_network(),
    );
    address::give_ports(&mut lot)?;
    // From here on there is something to take down.
    lot.save(state)?;
    let script = provision::script(&lot, &key::ensure(&lot, state)?, &mirror.key);
    let mut known_hosts = String::new();
    for node in &lot.nodes {
        known_hosts.push_str(&Machine::of(&lot, state, node).make(node, &disk, &script, progress)?);
    }
    write_file(&lot.known_hosts(state), known_hosts.as_bytes(), 0o644)?;
    for node in &lot.nodes {
        let machine = Machine::of(&lot, state, node);
        machine
            .launch(&lot, state, &mirror)
            .map_err(|error| error.while_doing(format!("starting {}", node.name)))?;
    }
    progress(&format!(
        "{} machines boot; emulated, that takes minutes",
        lot.nodes.len()
    ));
    all_booted(&lot, options, &script, progress)?;
    crate::lab::up::write_inventory(&lot.inventory, &inventory::text(&lot, state))?;
    progress(&format!(
        "lot {}: {} machines are up; wrote {}",
        lot.name,
        lot.nodes.len(),
        lot.inventory.display()
    ));
    Ok(Lab {
        lot,
        state: state.clone(),
    })
}

/// The package mirror; Docker helps to build it, and is left alone when it is there.
fn packages(options: &LabOptions, progress: Progress<'_>) -> Result<Mirror, LabError> {
    if let Some(mirror) = mirror::built(&options.state, options.suite)? {
        return Ok(mirror);
    }
    daemon::ensure(&options.state, progress)?;
    let image = node_image::ensure(&options.state, options.suite, progress)?;
    mirror::ensure(&options.state, options.suite, &image, progress)
}

/// Waits for all side by side; the first failure is returned when all have ended.
fn all_booted(
    lot: &Lot,
    options: &LabOptions,
    script: &str,
    progress: Progress<'_>,
) -> Result<(), LabError> {
    let boot = |node: &Node| {
        let machine = Machine::of(lot, &options.state, node);
        if machine.state() == NodeState::Cut {
            machine.cut(false)?;
        }
        machine.wait_for_boot(progress)?;
        machine.shell(script, 120)?;
        progress(&format!("{}: is up", node.name));
        Ok(())
    };
    let booted: Vec<Result<(), LabError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = lot
            .nodes
            .iter()
            .map(|node| scope.spawn(move || boot(node)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    });
    booted.into_iter().collect()
}
