//! `skep facts`: prints the facts of each host, as templates read them under `facts`.

use std::collections::BTreeSet;

use super::GlobalArgs;
use super::exit_code::ExitStatus;
use super::selection::{InventorySelection, reject};
use crate::cli::query_hosts::query_hosts;
use crate::model::{Query, ShellQuery};
use crate::report::literal;

/// Show the facts of each host: release, architecture, addresses, memory. Reads only.
#[derive(clap::Args)]
pub(super) struct FactsArgs {
    #[command(flatten)]
    selection: InventorySelection,
}

/// Reads and prints.
///
/// # Errors
/// Fails on configuration errors.
pub(super) async fn run(common: &GlobalArgs, args: &FactsArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let (inventory, hosts) = args
        .selection
        .hosts(&screen)
        .map_err(|errors| reject(&errors, &screen))?;
    let replies = query_hosts(
        &inventory,
        &args.selection,
        &hosts,
        BTreeSet::from([Query::Shell(ShellQuery::Facts)]),
        &screen,
    )
    .await?;
    let mut exit = ExitStatus::Fine;
    for (name, reply) in &replies {
        let facts = match reply {
            Ok(reply) => reply
                .answers
                .facts()
                .map_err(|error| (ExitStatus::Failed, error.to_string(), String::new())),
            Err(error) => Err((
                error.exit(),
                error.why(),
                format!("\n  try: {}", literal(&error.hint())),
            )),
        };
        match facts {
            Ok(facts) if common.json => {
                screen.json(&serde_json::json!({ "host": name, "facts": facts }));
            }
            Ok(facts) => {
                let mut text = format!("{name}\n");
                if let serde_json::Value::Object(fields) = serde_json::to_value(facts)? {
                    for (key, value) in fields {
                        let value = value
                            .as_str()
                            .map_or_else(|| value.to_string(), str::to_owned);
                        text.push_str(&format!("  {key:<14}{}\n", literal(&value)));
                    }
                }
                screen.result(&text);
            }
            Err((code, why, hint)) => {
                screen.note(&format!("{name}: {}{hint}", literal(&why)));
                exit = if exit == ExitStatus::Failed {
                    exit
                } else {
                    code
                };
            }
        }
    }
    Ok(exit)
}
