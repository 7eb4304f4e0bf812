//! `skep node reboot`: arguments, the plan, the question, output and exit code. The reboot itself
//! is in `crate::maintenance`.

use std::time::{Duration, Instant};

use clap::Args;

use super::maintain::{DrainArgs, open_for_drain};
use crate::cli::GlobalArgs;
use crate::cli::execute::fleet;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::{MaintenanceSite, names, nodes, plan_text, settle};
use crate::maintenance::{plan_reboot, reboot_nodes};
use crate::report::literal;
use crate::runner::EventSender;

/// Arguments of `skep node reboot`.
#[derive(Debug, Args)]
pub(super) struct RebootArgs {
    #[command(flatten)]
    drain: DrainArgs,
    /// Time for a machine and its node to come back
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    return_timeout: Duration,
}

/// Reboots machines.
///
/// # Errors
/// Configuration errors, and a reboot that is refused or fails.
pub(super) async fn reboot(common: &GlobalArgs, args: &RebootArgs) -> anyhow::Result<ExitStatus> {
    let site = open_for_drain(common, &args.drain)?;
    let outcome = reboot_site(common, args, &site).await;
    site.fleet.close().await;
    settle(outcome, &site.screen)
}

async fn reboot_site(
    common: &GlobalArgs,
    args: &RebootArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (started, screen, forks) = (Instant::now(), &site.screen, site.options.forks);
    let plan = plan_reboot(&site.fleet, &site.inventory, &site.hosts, forks).await?;
    if !common.json {
        screen.result(&plan_text(plan.targets.iter().map(|(target, _)| target)));
        for (target, note) in &plan.targets {
            if let Some(note) = note {
                let line = format!("{}: {note}", target.host);
                screen.result(&format!("{}\n", literal(&line)));
            }
        }
    }
    if !args.drain.allow_interruption {
        plan.check()?;
    }
    let listed = names(plan.targets.iter().map(|(target, _)| target));
    let question = format!("Drain and reboot {listed}, one after the other?");
    if !site.confirm(args.drain.common.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let login = &args.drain.common.selection.login;
    let reconnect = || {
        let events = EventSender::silent();
        fleet(&site.inventory, events, login, screen).map_err(|error| error.to_string())
    };
    let outcomes = reboot_nodes(
        &reconnect,
        &site.inventory,
        &plan,
        &site.options,
        args.return_timeout,
        &stop,
        &note,
    )
    .await?;
    if common.json {
        screen.json(&serde_json::json!({ "action": "reboot", "nodes": outcomes }));
        return Ok(ExitStatus::Fine);
    }
    for outcome in &outcomes {
        let line = format!(
            "{}: rebooted and {} again, in {:.1} s",
            outcome.host, outcome.availability, outcome.seconds
        );
        screen.result(&format!("{}\n", literal(&line)));
    }
    screen.result(&format!(
        "{} rebooted, in {:.1} s.\n",
        nodes(outcomes.len()),
        started.elapsed().as_secs_f64()
    ));
    Ok(ExitStatus::Fine)
}
