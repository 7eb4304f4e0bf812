//! `skep node remove`: the plan, the question, output and exit code. The removal itself is in
//! `crate::maintenance`.

use clap::Args;

use super::maintain::open_hosts;
use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::{DrainLimits, MaintenanceSite, names, nodes, plan_text};
use crate::cli::selection::InventorySelection;
use crate::maintenance::{
    RemovalOutcome, RemovalPlan, plan_removal, plan_unlisted_removal, remove_nodes,
};
use crate::report::literal;

/// Arguments of `skep node remove`.
#[derive(Debug, Args)]
pub(super) struct RemoveArgs {
    /// The hosts: names, groups or patterns
    #[arg(value_name = "HOST", required_unless_present = "unlisted")]
    hosts: Vec<String>,
    /// The nodes of the swarm that no host of the inventory is, at most one manager of them. Each
    /// host of the inventory must be readable
    #[arg(long, conflicts_with = "hosts")]
    unlisted: bool,
    #[command(flatten)]
    selection: InventorySelection,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    limits: DrainLimits,
}

/// Removes nodes.
///
/// # Errors
/// Configuration errors, and a removal that is refused or fails.
pub(super) async fn remove(common: &GlobalArgs, args: &RemoveArgs) -> anyhow::Result<ExitStatus> {
    let site = open_hosts(common, &args.hosts, &args.selection)?.limit(&args.limits);
    site.act(async |site| remove_site(common, args, site).await)
        .await
}

async fn remove_site(
    common: &GlobalArgs,
    args: &RemoveArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (screen, forks) = (&site.screen, site.options.forks);
    let plan = if args.unlisted {
        plan_unlisted_removal(&site.fleet, &site.inventory, forks).await?
    } else {
        plan_removal(&site.fleet, &site.inventory, &site.hosts, forks).await?
    };
    if plan.targets.is_empty() {
        if common.json {
            screen.json(&serde_json::json!({ "action": "remove", "nodes": [] }));
        } else {
            screen.result("In sync: each node of the swarm is a host of the inventory.\n");
        }
        return Ok(ExitStatus::Fine);
    }
    if !common.json {
        screen.result(&removal_text(&plan));
    }
    if !args.limits.allow_interruption {
        plan.check()?;
    }
    let listed = names(plan.targets.iter().map(|removal| &removal.target));
    let question = format!("Remove {listed} from the swarm?");
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let (fleet, inventory, options) = (&site.fleet, &site.inventory, &site.options);
    let outcomes = remove_nodes(fleet, inventory, &plan, options, &stop, &note).await?;
    for outcome in outcomes.iter().filter(|outcome| !outcome.was_unlisted) {
        site.forget_host_key(&outcome.host).await;
    }
    if common.json {
        screen.json(&serde_json::json!({ "action": "remove", "nodes": outcomes }));
        return Ok(ExitStatus::Fine);
    }
    for outcome in &outcomes {
        screen.result(&format!("{}\n", literal(&rest(outcome))));
    }
    let next = match (args.unlisted, plan.later) {
        (false, _) => "; take them out of the inventory, or the next `skep apply` joins them again",
        (true, 0) => "",
        (true, _) => "; run the command again for the next manager",
    };
    screen.result(&format!(
        "{} removed from the swarm{next}.\n",
        nodes(outcomes.len())
    ));
    Ok(ExitStatus::Fine)
}

/// Returns the plan: what becomes of the tasks, and the consequences for the voters.
fn removal_text(plan: &RemovalPlan) -> String {
    let living = plan.targets.iter().filter(|removal| !removal.is_dead);
    let living: Vec<_> = living.map(|removal| &removal.target).collect();
    let mut text = String::new();
    if !living.is_empty() {
        text.push_str(&plan_text(living));
    }
    for removal in &plan.targets {
        let (host, node) = (&removal.target.host, &removal.target.node);
        let line = if removal.is_dead {
            format!(
                "{host}: its node {} is down, and is removed from the list of the managers",
                node.short_id()
            )
        } else if removal.is_unlisted {
            format!("{host}: no host of the inventory is this node; it is drained and removed")
        } else {
            format!("{host}: its node {} leaves the swarm", node.short_id())
        };
        let note = removal
            .note
            .as_ref()
            .map_or_else(String::new, |note| format!("; {note}"));
        text.push_str(&format!("{}\n", literal(&format!("{line}{note}"))));
    }
    text
}

/// Returns what remains on the disk of a host.
fn rest(outcome: &RemovalOutcome) -> String {
    let host = &outcome.host;
    if outcome.was_unlisted {
        return format!(
            "{host}: skep has no connection to its machine; if it still runs, `docker swarm leave --force` there ends its membership"
        );
    }
    if outcome.was_dead {
        return format!(
            "{host}: its disk was not looked at; Docker Engine, its volumes and the certificate of its node remain there"
        );
    }
    match outcome.volumes.as_slice() {
        [] => format!("{host}: Docker Engine remains, without volumes"),
        volumes => format!(
            "{host}: Docker Engine remains, and the volumes {} with their data",
            volumes.join(", ")
        ),
    }
}
