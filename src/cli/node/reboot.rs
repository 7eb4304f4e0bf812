//! `skep node reboot`: arguments, the plan, the question, output and exit code. The reboot itself
//! is in `crate::maintenance`.

use std::time::Instant;

use clap::Args;

use super::maintain::{MaintainArgs, open_site};
use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::{MaintenanceSite, VisitLimits, names, nodes, plan_text};
use crate::maintenance::{plan_reboot, reboot_nodes};
use crate::report::literal;

/// Arguments of `skep node reboot`.
#[derive(Debug, Args)]
pub(super) struct RebootArgs {
    #[command(flatten)]
    common: MaintainArgs,
    #[command(flatten)]
    limits: VisitLimits,
}

/// Reboots machines.
///
/// # Errors
/// Configuration errors, and a reboot that is refused or fails.
pub(super) async fn reboot(common: &GlobalArgs, args: &RebootArgs) -> anyhow::Result<ExitStatus> {
    let site = open_site(common, &args.common)?.limit(&args.limits.drain);
    site.act(async |site| reboot_site(common, args, site).await)
        .await
}

async fn reboot_site(
    common: &GlobalArgs,
    args: &RebootArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (started, screen) = (Instant::now(), &site.screen);
    let plan = plan_reboot(&site.fleet, &site.inventory, &site.hosts, &site.options).await?;
    if !common.json {
        screen.result(&plan_text(plan.targets.iter().map(|(target, _)| target)));
        for (target, note) in &plan.targets {
            if let Some(note) = note {
                let line = format!("{}: {note}", target.host);
                screen.result(&format!("{}\n", literal(&line)));
            }
        }
    }
    if !args.limits.drain.allow_interruption {
        plan.check()?;
    }
    let listed = names(plan.targets.iter().map(|(target, _)| target));
    let question = format!("Drain and reboot {listed}, one after the other?");
    if !site.confirm(args.common.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let reconnect = || site.connect();
    let visit = site.visit(&args.limits, &reconnect, &stop, &note);
    let outcomes = reboot_nodes(visit, &plan).await?;
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
