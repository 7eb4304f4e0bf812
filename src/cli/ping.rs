//! `skep ping`: reports whether each host is reachable and whether the login can become root.

use std::collections::BTreeSet;

use super::GlobalArgs;
use super::connect::SshConnector;
use super::exit_code::ExitStatus;
use super::origins;
use super::selection::{InventorySelection, reject};
use crate::cli::query_hosts::query_hosts;
use crate::model::{Query, ShellQuery};
use crate::report::{TextTable, literal};

/// Check whether each host is reachable and whether the login can become root. Reads only.
#[derive(clap::Args)]
pub(super) struct PingArgs {
    #[command(flatten)]
    selection: InventorySelection,
}

/// Pings and prints.
///
/// # Errors
/// Fails on configuration errors.
pub(super) async fn run(common: &GlobalArgs, args: &PingArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let (inventory, hosts) = args
        .selection
        .hosts(&screen)
        .map_err(|errors| reject(&errors, &screen))?;
    // The facts are read as root, so an answer proves the login, the shell and root at once.
    let replies = query_hosts(
        &inventory,
        &args.selection,
        &hosts,
        BTreeSet::from([Query::Shell(ShellQuery::Facts)]),
        &screen,
    )
    .await?;
    if screen.verbose() > 0 && !common.json {
        let connector = SshConnector::second(&inventory, &args.selection.login, &screen)?;
        for name in &hosts {
            if let Some(settings) = connector.settings(name).await {
                screen.result(&origins::text(name, settings));
            }
        }
    }
    let mut table = TextTable::new(&["HOST", "STATE", "CONNECT", "ANSWER", "MACHINE"]);
    let mut exit = ExitStatus::Fine;
    for (name, reply) in &replies {
        let facts = reply.as_ref().map(|reply| (reply, reply.answers.facts()));
        let line = match facts {
            Ok((reply, Ok(facts))) => {
                let (connect, answer) = (reply.connect.as_millis(), reply.answer.as_millis());
                let machine = format!("{} ({})", facts.pretty_name, facts.architecture);
                if common.json {
                    let mut json = serde_json::json!({ "host": name, "state": "ok", "connect_ms": connect, "answer_ms": answer });
                    if let Some(fingerprint) = &reply.new_host_key {
                        json["new_host_key"] = fingerprint.as_str().into();
                    }
                    screen.json(&json);
                }
                [
                    name.to_string(),
                    "ok".into(),
                    format!("{connect} ms"),
                    format!("{answer} ms"),
                    machine,
                ]
            }
            Ok((_, Err(error))) => {
                exit = ExitStatus::Failed;
                failed(
                    common,
                    &screen,
                    name.as_str(),
                    "failed",
                    &error.to_string(),
                    "log in to the host with ssh and check it by hand",
                )
            }
            Err(error) => {
                // A failed host takes precedence over an unreachable host.
                if exit != ExitStatus::Failed {
                    exit = error.exit();
                }
                failed(
                    common,
                    &screen,
                    name.as_str(),
                    error.state(),
                    &error.why(),
                    &error.hint(),
                )
            }
        };
        table.row(line);
    }
    if !common.json {
        screen.result(&table.text());
    }
    Ok(exit)
}

fn failed(
    common: &GlobalArgs,
    screen: &crate::report::Screen,
    host: &str,
    state: &str,
    why: &str,
    hint: &str,
) -> [String; 5] {
    if common.json {
        screen.json(&serde_json::json!({ "host": host, "state": state, "why": why, "hint": hint }));
    } else {
        screen.note(&format!(
            "{host}: {}\n  try: {}",
            literal(why),
            literal(hint)
        ));
    }
    [
        host.into(),
        state.into(),
        "-".into(),
        "-".into(),
        "-".into(),
    ]
}
