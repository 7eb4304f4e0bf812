//! `skep inventory`: prints hosts, groups and merged variables, as the other verbs use them;
//! `--toml` prints them as an inventory file. Contacts no host.

use std::fmt::Write as _;

use clap::Args;

use super::GlobalArgs;
use super::exit_code::ExitStatus;
use super::selection::{InventorySelection, reject};
use crate::inventory::InventoryView;
use crate::report::{literal_document, literal_lines};

/// Show hosts, groups and merged variables
#[derive(Debug, Clone, Args)]
pub(super) struct InventoryArgs {
    /// Inventory, and hosts to show.
    #[command(flatten)]
    pub selection: InventorySelection,
    /// Print all of it as one inventory file, whatever the sources are
    #[arg(long, conflicts_with = "json")]
    pub toml: bool,
}

/// Runs the verb.
///
/// # Errors
/// Fails with every error of the inventory or of `--limit`.
pub(super) fn run(common: &GlobalArgs, arguments: &InventoryArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let (inventory, hosts) = arguments
        .selection
        .hosts(&screen)
        .map_err(|errors| reject(&errors, &screen))?;
    if arguments.toml {
        screen.result(&literal_document(&inventory.toml(&hosts)));
        return Ok(ExitStatus::Fine);
    }
    let mut view = inventory.view();
    view.hosts.retain(|host, _| hosts.contains(host));
    view.groups
        .values_mut()
        .for_each(|members| members.retain(|host| hosts.contains(host)));
    if common.json {
        screen.json(&view);
    } else {
        screen.result(&literal_lines(&text(&view)));
    }
    Ok(ExitStatus::Fine)
}

fn text(view: &InventoryView) -> String {
    let mut text = String::new();
    let width = view
        .hosts
        .keys()
        .map(|host| host.as_str().len())
        .max()
        .unwrap_or(0);
    for (name, host) in &view.hosts {
        let groups = if host.groups.is_empty() {
            "(no group)".to_owned()
        } else {
            host.groups.join(", ")
        };
        let _ = writeln!(
            text,
            "{name:width$}  {}@{}:{}  {groups}",
            host.user, host.address, host.port
        );
        if let Some(why) = &host.not_running {
            let _ = writeln!(text, "{:width$}    not running: {why}", "");
        }
        for (key, value) in &host.vars {
            let _ = writeln!(text, "{:width$}    {key} = {value}", "");
        }
    }
    text
}
