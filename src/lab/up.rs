//! Creates or repairs an environment. Each step creates only what is missing, so a second run
//! repairs.

use super::container::{self, NodeTemplate};
use super::environment::Lab;
use super::error::LabError;
use super::options::LabOptions;
use super::progress::ProgressFn;
use super::record::LabRecord;
use super::state::{make_folder, write_file};
use super::{
    daemon, docker_image, inventory, key, local_machine, mirror, mirror_server, network,
    node_image, provision, virtual_machine,
};

/// Creates or repairs an environment: Docker, node image, package mirror, network, nodes, keys,
/// inventory. Existing nodes are kept, stopped ones are started, cut ones are healed, and missing
/// ones are created.
///
/// # Errors
/// The error names the step that failed, the reason, and a next step. Partial builds are never used
/// by the next run.
pub fn up(options: &LabOptions, progress: ProgressFn<'_>) -> Result<Lab, LabError> {
    options.check_size()?;
    let state = &options.state;
    let _lock = state.lock(&format!("lot-{}", options.name), progress)?;
    let recorded = LabRecord::load(state, &options.name)?;
    if let Some(record) = &recorded {
        record.check_same(options)?;
    }
    if options.virtual_machines {
        let record = virtual_machine::up(options, recorded, progress)?;
        return Ok(Lab::new(record, state.clone()));
    }
    daemon::ensure_docker(state, progress)?;
    network::check_owner(&options.name, state)?;
    for limit in local_machine::kernel_limits() {
        progress(&format!("note: {limit}"));
    }
    let image = node_image::ensure(state, options.suite, progress)?;
    let mirror = mirror::ensure(state, options.suite, &image, progress)?;
    let image = if options.with_docker {
        docker_image::ensure(state, options.suite, options.present_as, &mirror, progress)?
    } else {
        image
    };
    let path = std::path::absolute(&options.inventory)
        .map_err(LabError::file("resolve", &options.inventory))?;
    make_folder(&state.environment(&options.name))?;
    let mut record = recorded.unwrap_or_else(|| LabRecord::new(options, path.clone()));
    (record.user, record.inventory) = (options.user, path);
    // From here on `down` has something to remove, so it must find the record.
    record.save(state)?;
    let network = network::ensure(&record.name, state)?;
    record.mirror = mirror_server::ensure(&record.name, state, network.gateway, &mirror, progress)?;
    record.grow(options.managers, options.workers, &network);
    record.save(state)?;
    let script = provision::script(&record, &key::ensure(&record, state)?, &mirror.key);
    let template = NodeTemplate {
        record: &record,
        state,
        network: &network,
        image: &image,
        script: &script,
    };
    let known_hosts = all_nodes(&template, progress)?;
    write_file(&record.known_hosts(state), known_hosts.as_bytes(), 0o644)?;
    inventory::write(&record, state)?;
    progress(&format!(
        "lab environment {}: {} nodes are up; wrote {}",
        record.name,
        record.nodes.len(),
        record.inventory.display()
    ));
    Ok(Lab::new(record, state.clone()))
}

/// Creates or repairs all nodes in parallel, and returns the first failure after all have ended.
fn all_nodes(template: &NodeTemplate<'_>, progress: ProgressFn<'_>) -> Result<String, LabError> {
    let nodes = &template.record.nodes;
    let lines: Vec<Result<String, LabError>> = std::thread::scope(|scope| {
        let threads: Vec<_> = nodes
            .iter()
            .map(|node| scope.spawn(move || container::ensure(template, node, progress)))
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
