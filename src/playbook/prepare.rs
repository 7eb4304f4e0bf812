//! Loads and resolves a run in one call, and reports the errors of both together.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Playbook, ResolveOptions, ResolvedPlaybook, resolve, variable_use};
use crate::diagnostic::Diagnostics;
use crate::inventory::{Inventory, InventoryRequest};

/// Input of a run.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// Sources of the inventory, and `-e`.
    pub inventory: InventoryRequest,
    /// Playbook files, which run one after the other.
    pub playbooks: Vec<PathBuf>,
    /// Selection of hosts and resources.
    pub options: ResolveOptions,
}

/// A loaded and resolved run, ready for the runner.
#[derive(Debug)]
pub struct PreparedRun {
    /// Inventory of the run.
    pub inventory: Arc<Inventory>,
    /// Resolved plays, with their warnings.
    pub resolved: ResolvedPlaybook,
}

/// Loads and resolves a run. Reads only local files, and runs the programs that provide
/// inventories.
///
/// # Errors
/// All errors of the inventory, the playbooks and the templates.
pub fn prepare(request: &RunRequest) -> Result<PreparedRun, Diagnostics> {
    let (inventory, mut diagnostics) = Inventory::load_what_can_be(&request.inventory);
    let (playbook, errors) =
        Playbook::load_what_can_be(&request.playbooks, inventory.allowed_paths());
    diagnostics.extend(errors);
    let inventory = Arc::new(inventory);
    // An inventory without hosts is already reported, and errors about missing groups would only
    // follow from that.
    if inventory.hosts().len() == 0 {
        return Err(diagnostics);
    }
    if !playbook.is_broken() && !inventory.is_broken() {
        variable_use::check(&inventory, &playbook, &mut diagnostics);
    }
    match resolve(&inventory, &playbook, &request.options) {
        Ok(mut resolved) => {
            diagnostics.extend(std::mem::take(&mut resolved.warnings));
            resolved.warnings = diagnostics.into_result()?;
            Ok(PreparedRun {
                inventory,
                resolved,
            })
        }
        Err(errors) => {
            diagnostics.extend(errors);
            Err(diagnostics)
        }
    }
}
