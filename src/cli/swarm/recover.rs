//! `skep swarm recover`: arguments, the plan, the question, output and exit code. The recovery
//! itself is in `crate::maintenance`.

use std::time::Duration;

use clap::Args;

use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::MaintenanceSite;
use crate::cli::selection::InventorySelection;
use crate::maintenance::{RecoveryOptions, RecoveryOutcome, RecoveryPlan, plan_recovery, recover};
use crate::names::HostName;
use crate::report::literal;

/// Arguments of `skep swarm recover`.
#[derive(Debug, Args)]
pub(super) struct RecoverArgs {
    #[command(flatten)]
    selection: InventorySelection,
    /// Manager to start with, in place of the one that knows most
    #[arg(long, value_name = "HOST")]
    from: Option<String>,
    /// Manager whose machine answers, and that counts as lost all the same; may be repeated
    #[arg(long, value_name = "HOST")]
    lost: Vec<String>,
    /// Time for the other managers to join again
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

/// Recovers the swarm.
///
/// # Errors
/// Configuration errors, and a recovery that is refused or fails.
pub(super) async fn recover_swarm(
    common: &GlobalArgs,
    args: &RecoverArgs,
) -> anyhow::Result<ExitStatus> {
    let site = MaintenanceSite::open(common, &args.selection)?;
    site.act(async |site| recover_site(common, args, site).await)
        .await
}

async fn recover_site(
    common: &GlobalArgs,
    args: &RecoverArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let screen = &site.screen;
    let options = RecoveryOptions {
        from: args.from.as_deref().map(HostName::new),
        given_up: args.lost.iter().map(HostName::new).collect(),
        limit: args.timeout,
        lock_wait: site.options.lease_wait,
        owner: site.options.owner.clone(),
        forks: site.options.forks,
    };
    let plan = plan_recovery(&site.fleet, &site.inventory, &site.hosts, &options).await?;
    if !common.json {
        screen.result(&plan_text(&plan));
    }
    let question = format!(
        "Start the swarm anew with the knowledge of {}?",
        plan.chosen.host
    );
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let outcome = recover(&site.fleet, &plan, &options, &stop, &note).await?;
    if common.json {
        screen.json(
            &serde_json::json!({ "action": "recover", "result": outcome, "lost": plan.lost }),
        );
    } else {
        screen.result(&outcome_text(&plan, &outcome));
    }
    Ok(if outcome.missing.is_empty() {
        ExitStatus::Fine
    } else {
        ExitStatus::Failed
    })
}

fn plan_text(plan: &RecoveryPlan) -> String {
    let mut lines = vec![format!(
        "{} of {} managers are lost:",
        plan.lost.len(),
        plan.total
    )];
    lines.extend(
        plan.lost
            .iter()
            .map(|manager| format!("  {}", manager.name())),
    );
    lines.push(format!(
        "{} starts the swarm anew: {}",
        plan.chosen.host, plan.chosen.knowledge
    ));
    for other in &plan.others {
        lines.push(format!(
            "{} joins it again: {}",
            other.host, other.knowledge
        ));
    }
    lines.extend(plan.notes.iter().map(|note| format!("note: {note}")));
    lines.push(
        "note: lost managers that come back together are a second swarm: keep them off, or start them one at a time".into(),
    );
    text(&lines)
}

fn outcome_text(plan: &RecoveryPlan, outcome: &RecoveryOutcome) -> String {
    let mut lines = vec![format!(
        "{} leads the swarm after {:.1} s, with {} of {} other managers after {:.1} s.",
        outcome.leader,
        outcome.seconds_to_leader,
        outcome.managers.len(),
        plan.others.len(),
        outcome.seconds
    )];
    for host in &outcome.missing {
        lines.push(format!(
            "{host} has not joined again; look at `journalctl -u docker` there"
        ));
    }
    if !outcome.down.is_empty() {
        lines.push(format!(
            "Nodes that do not answer: {}",
            outcome.down.join(", ")
        ));
    }
    for manager in plan.lost.iter().filter_map(|manager| manager.host.as_ref()) {
        lines.push(format!(
            "{manager}: `skep node remove {manager}` takes its dead node out of the list; `skep apply` joins the machine again once it is new"
        ));
    }
    text(&lines)
}

fn text(lines: &[String]) -> String {
    let lines: Vec<String> = lines.iter().map(|line| literal(line).to_string()).collect();
    format!("{}\n", lines.join("\n"))
}
