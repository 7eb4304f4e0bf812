//! Load and resolve in one call, with the errors of both reported together.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Playbook, ResolveOptions, ResolvedPlaybook, resolve};
use crate::diagnostic::Diagnostics;
use crate::inventory::{Inventory, InventoryRequest};

/// What a run is about.
#[derive(Debug, Clone, Default)]
pub struct RunRequest {
    /// Inventory files and folders, and `-e`.
    pub inventory: InventoryRequest,
    /// Playbook files, which run one after the other.
    pub playbooks: Vec<PathBuf>,
    /// What of them is meant.
    pub options: ResolveOptions,
}

/// A run, ready for the engine.
#[derive(Debug)]
pub struct PreparedRun {
    /// The inventory.
    pub inventory: Arc<Inventory>,
    /// The plays, with their warnings.
    pub resolved: ResolvedPlaybook,
}

/// Loads and resolves. Reads local files and nothing else.
///
/// # Errors
/// Everything that is wrong with inventory, playbooks and templates.
pub fn prepare(request: &RunRequest) -> Result<PreparedRun, Diagnostics> {
    let (inventory, mut diagnostics) = Inventory::load_what_can_be(&request.inventory);
    let (playbook, errors) = Playbook::load_what_can_be(&request.playbooks);
    diagnostics.extend(errors);
    let inventory = Arc::new(inventory);
    // An inventory without hosts has been reported; that its groups are missing as well follows from it.
    if inventory.hosts().len() == 0 {
        return Err(diagnostics);
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
