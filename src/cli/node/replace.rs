//! `skep node replace`: arguments, the plan, the question, output and exit code. The replacement
//! itself is in `crate::maintenance`.

use clap::Args;

use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::{DrainLimits, MaintenanceSite, plan_text};
use crate::cli::selection::InventorySelection;
use crate::maintenance::{ReplacementPlan, plan_replacement, replace_node};
use crate::names::HostName;
use crate::report::literal;

/// Arguments of `skep node replace`.
#[derive(Debug, Args)]
pub(super) struct ReplaceArgs {
    /// The host whose node leaves; it may be dead
    #[arg(value_name = "OLD")]
    old: String,
    /// The host that takes its place: with Docker Engine, and in no swarm
    #[arg(value_name = "NEW")]
    new: String,
    #[command(flatten)]
    selection: InventorySelection,
    #[command(flatten)]
    limits: DrainLimits,
    /// Go on although the new host does not have the data of local volumes
    #[arg(long)]
    without_data: bool,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

/// Replaces a node.
///
/// # Errors
/// Configuration errors, and a replacement that is refused or fails.
pub(super) async fn replace(common: &GlobalArgs, args: &ReplaceArgs) -> anyhow::Result<ExitStatus> {
    let mut site = MaintenanceSite::open(common, &args.selection)?.limit(&args.limits);
    site.options.ignores_volumes = args.without_data;
    site.act(async |site| replace_site(common, args, site).await)
        .await
}

async fn replace_site(
    common: &GlobalArgs,
    args: &ReplaceArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (old, new) = (HostName::new(&args.old), HostName::new(&args.new));
    let (screen, options) = (&site.screen, &site.options);
    let (fleet, inventory) = (&site.fleet, &site.inventory);
    let plan = plan_replacement(fleet, inventory, &old, &new, options.forks).await?;
    if !common.json {
        screen.result(&replacement_text(&plan));
    }
    plan.check(options)?;
    let question = format!("Let {new} take the place of {old}?");
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let outcome = replace_node(fleet, inventory, &plan, options, &stop, &note).await?;
    site.forget_host_key(&old).await;
    if common.json {
        screen.json(&serde_json::json!({ "action": "replace", "result": outcome }));
        return Ok(ExitStatus::Fine);
    }
    let line = format!(
        "{new} has taken the place of {old}, in {:.1} s; take {old} out of the inventory, or the next `skep apply` joins it again.",
        outcome.seconds
    );
    screen.result(&format!("{}\n", literal(&line)));
    Ok(ExitStatus::Fine)
}

/// Returns the plan: the new node, what becomes of the tasks, and the consequences for the voters.
fn replacement_text(plan: &ReplacementPlan) -> String {
    let old = &plan.old.target;
    let mut text = String::new();
    if !plan.old.is_dead {
        text.push_str(&plan_text([old]));
    }
    let labels: Vec<String> = plan
        .labels
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let mut lines = vec![format!(
        "{}: {} as {}, {}, labels {}",
        plan.new,
        if plan.is_joined { "stays" } else { "joins" },
        old.node.role.word(),
        plan.availability,
        if labels.is_empty() {
            "none".to_owned()
        } else {
            labels.join(" ")
        }
    )];
    let fate = if plan.old.is_dead {
        "is down, and is removed from the list of the managers"
    } else {
        "leaves the swarm"
    };
    let note = plan
        .old
        .note
        .as_ref()
        .map_or_else(String::new, |note| format!("; {note}"));
    lines.push(format!(
        "{}: its node {} {fate}{note}",
        old.host,
        old.node.short_id()
    ));
    if !plan.old.volumes.is_empty() {
        lines.push(format!(
            "{}: the volumes {} stay on its disk with their data",
            old.host,
            plan.old.volumes.join(", ")
        ));
    }
    for line in lines {
        text.push_str(&format!("{}\n", literal(&line)));
    }
    text
}
