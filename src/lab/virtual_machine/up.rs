//! Creates or repairs an environment of virtual machines: creates missing ones, starts stopped
//! ones, and waits until all have booted. Docker is only used as long as the package mirror is not
//! built.

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

/// Architecture of the QEMU machines; no other one is supported.
const ARCHITECTURE: &str = "amd64";

/// Creates or repairs the environment. The caller holds its lock.
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
    // From here on `down` has something to remove, so it must find the record.
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
        "booting {} emulated machines, which takes minutes",
        record.nodes.len()
    ));
    all_booted(&record, options, &script, progress)?;
    inventory::write(&record, state)?;
    progress(&format!(
        "lab environment {}: {} machines are up; wrote {}",
        record.name,
        record.nodes.len(),
        record.inventory.display()
    ));
    Ok(record)
}

/// Returns the package mirror. Docker is only used to build a missing one.
fn packages(options: &LabOptions, progress: ProgressFn<'_>) -> Result<PackageMirror, LabError> {
    if let Some(mirror) = mirror::built(&options.state, options.suite)? {
        return Ok(mirror);
    }
    daemon::ensure_docker(&options.state, progress)?;
    let image = node_image::ensure(&options.state, options.suite, progress)?;
    mirror::ensure(&options.state, options.suite, &image, progress)
}

/// Waits for all machines in parallel, and returns the first failure after all have ended.
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
        progress(&format!("{}: up", node.name));
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

/// Refuses local machines on which the virtual machines cannot run.
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
