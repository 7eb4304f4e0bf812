//! Brings a lot of virtual machines up: makes what is missing, starts what is stopped, and waits until all have booted.
//! Docker is asked only while the package mirror is not built.

use super::machine::VirtualMachine;
use super::{address, base_disk};
use crate::lab::error::LabError;
use crate::lab::mirror::{self, PackageMirror};
use crate::lab::node_state::NodeState;
use crate::lab::options::LabOptions;
use crate::lab::progress::ProgressFn;
use crate::lab::record::{LabNode, LabRecord};
use crate::lab::state::{make_folder, write_file};
use crate::lab::{daemon, inventory, key, local_machine, node_image, provision};

/// The only architecture whose QEMU machine is described here.
const ARCHITECTURE: &str = "amd64";

/// Makes or repairs the lot. The caller holds its lock.
pub(crate) fn up(
    options: &LabOptions,
    recorded: Option<LabRecord>,
    progress: ProgressFn<'_>,
) -> Result<LabRecord, LabError> {
    check_host()?;
    let state = &options.state;
    let mirror = packages(options, progress)?;
    let disk = base_disk::ensure(state, options.suite, progress)?;
    let path = std::path::absolute(&options.inventory)
        .map_err(LabError::file("resolve", &options.inventory))?;
    make_folder(&state.environment(&options.name))?;
    let mut record = recorded.unwrap_or_else(|| LabRecord::new(options, path.clone()));
    (record.user, record.inventory) = (options.user, path);
    record.mirror = format!("http://{}", address::MIRROR_ADDRESS);
    record.grow(
        options.managers,
        options.workers,
        &address::private_network(),
    );
    address::give_ports(&mut record)?;
    // From here on there is something to take down.
    record.save(state)?;
    let script = provision::script(&record, &key::ensure(&record, state)?, &mirror.key);
    let mut known_hosts = String::new();
    for node in &record.nodes {
        known_hosts.push_str(
            &VirtualMachine::of(&record, state, node).make(node, &disk, &script, progress)?,
        );
    }
    write_file(&record.known_hosts(state), known_hosts.as_bytes(), 0o644)?;
    for node in &record.nodes {
        let machine = VirtualMachine::of(&record, state, node);
        machine
            .launch(&record, state, &mirror)
            .map_err(|error| error.while_doing(format!("starting {}", node.name)))?;
    }
    progress(&format!(
        "{} machines boot; emulated, that takes minutes",
        record.nodes.len()
    ));
    all_booted(&record, options, &script, progress)?;
    inventory::write(&record, state)?;
    progress(&format!(
        "lot {}: {} machines are up; wrote {}",
        record.name,
        record.nodes.len(),
        record.inventory.display()
    ));
    Ok(record)
}

/// The package mirror; Docker helps to build it, and is left alone when it is there.
fn packages(options: &LabOptions, progress: ProgressFn<'_>) -> Result<PackageMirror, LabError> {
    if let Some(mirror) = mirror::built(&options.state, options.suite)? {
        return Ok(mirror);
    }
    daemon::ensure_docker(&options.state, progress)?;
    let image = node_image::ensure(&options.state, options.suite, progress)?;
    mirror::ensure(&options.state, options.suite, &image, progress)
}

/// Waits for all side by side; the first failure is returned when all have ended.
fn all_booted(
    record: &LabRecord,
    options: &LabOptions,
    script: &str,
    progress: ProgressFn<'_>,
) -> Result<(), LabError> {
    let boot = |node: &LabNode| {
        let machine = VirtualMachine::of(record, &options.state, node);
        if machine.state() == NodeState::Cut {
            machine.cut(false)?;
        }
        machine.wait_for_boot(progress)?;
        machine.shell(script, 120)?;
        progress(&format!("{}: is up", node.name));
        Ok(())
    };
    let booted: Vec<Result<(), LabError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = record
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

/// Refuses machines that cannot carry virtual machines.
fn check_host() -> Result<(), LabError> {
    let architecture = local_machine::architecture()?;
    if architecture == ARCHITECTURE {
        return Ok(());
    }
    Err(LabError::Architecture {
        architecture,
        known: ARCHITECTURE,
    })
}
