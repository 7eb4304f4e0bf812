//! `skep validate`: loads and resolves everything, and reports all errors at once. Contacts no
//! host.

use clap::Args;

use super::GlobalArgs;
use super::exit_code::ExitStatus;
use super::selection::RunSelection;
use crate::playbook::{PreparedRun, ResourceBinding, prepare};

/// Check inventory, playbooks and templates without contacting a host
#[derive(Debug, Clone, Args)]
pub(super) struct ValidateArgs {
    /// Files to check.
    #[command(flatten)]
    pub selection: RunSelection,
}

/// Numbers of checked items.
#[derive(Debug, Default, serde::Serialize)]
struct ValidationTotals {
    hosts: usize,
    plays: usize,
    resources: usize,
    /// Number of resources that use facts; they are checked with the facts of every supported
    /// release.
    deferred: usize,
}

/// Runs the verb. Returns 0 if there is no error (warnings are allowed), 2 otherwise.
///
/// # Errors
/// Never fails: errors of the files are the result.
pub(super) fn run(common: &GlobalArgs, arguments: &ValidateArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let prepared = arguments
        .selection
        .request()
        .and_then(|request| prepare(&request));
    let (counts, diagnostics) = match &prepared {
        Ok(prepared) => (Some(count(prepared)), &prepared.resolved.warnings),
        Err(diagnostics) => (None, diagnostics),
    };
    if common.json {
        let object = serde_json::json!({
            "schema": 1,
            "valid": counts.is_some(),
            "checked": counts,
            "diagnostics": diagnostics.to_json(),
        });
        screen.json(&object);
    } else {
        if !diagnostics.is_empty() {
            screen.note(diagnostics.render(screen.colors_messages()).trim_end());
        }
        if let Some(ValidationTotals {
            hosts,
            plays,
            resources,
            deferred,
        }) = &counts
        {
            let rest = if *deferred > 0 {
                format!(" ({deferred} of them use facts)")
            } else {
                String::new()
            };
            screen.result(&format!(
                "valid: {}, {}, {}{rest}\n",
                counted(*hosts, "host"),
                counted(*plays, "play"),
                counted(*resources, "resource")
            ));
        }
    }
    Ok(if counts.is_some() {
        ExitStatus::Fine
    } else {
        ExitStatus::Usage
    })
}

/// Returns `1 play`, `3 plays`.
fn counted(number: usize, word: &str) -> String {
    format!("{number} {word}{}", if number == 1 { "" } else { "s" })
}

fn count(prepared: &PreparedRun) -> ValidationTotals {
    let host_resources = || {
        prepared
            .resolved
            .plays
            .iter()
            .flat_map(|play| play.host_resources.values())
            .flatten()
    };
    let deferred = host_resources()
        .filter(|host_resource| matches!(host_resource.resource, ResourceBinding::Deferred(_)))
        .count();
    ValidationTotals {
        hosts: prepared.inventory.hosts().len(),
        plays: prepared.resolved.plays.len(),
        resources: host_resources().count(),
        deferred,
    }
}
