//! `skep node remove`: the plan, the question, output and exit code. The removal itself is in
//! `crate::maintenance`.

use super::maintain::{DrainArgs, open_site};
use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::{MaintenanceSite, names, nodes, plan_text};
use crate::maintenance::{RemovalOutcome, RemovalPlan, plan_removal, remove_nodes};
use crate::report::literal;

/// Removes nodes.
///
/// # Errors
/// Configuration errors, and a removal that is refused or fails.
pub(super) async fn remove(common: &GlobalArgs, args: &DrainArgs) -> anyhow::Result<ExitStatus> {
    let site = open_site(common, &args.common)?.limit(&args.limits);
    site.act(async |site| remove_site(common, args, site).await)
        .await
}

async fn remove_site(
    common: &GlobalArgs,
    args: &DrainArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (screen, forks) = (&site.screen, site.options.forks);
    let plan = plan_removal(&site.fleet, &site.inventory, &site.hosts, forks).await?;
    if !common.json {
        screen.result(&removal_text(&plan));
    }
    if !args.limits.allow_interruption {
        plan.check()?;
    }
    let listed = names(plan.targets.iter().map(|removal| &removal.target));
    let question = format!("Remove {listed} from the swarm?");
    if !site.confirm(args.common.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let (fleet, inventory, options) = (&site.fleet, &site.inventory, &site.options);
    let outcomes = remove_nodes(fleet, inventory, &plan, options, &stop, &note).await?;
    for outcome in &outcomes {
        site.forget_host_key(&outcome.host).await;
    }
    if common.json {
        screen.json(&serde_json::json!({ "action": "remove", "nodes": outcomes }));
        return Ok(ExitStatus::Fine);
    }
    for outcome in &outcomes {
        screen.result(&format!("{}\n", literal(&rest(outcome))));
    }
    screen.result(&format!(
        "{} removed from the swarm; take them out of the inventory, or the next `skep apply` joins them again.\n",
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
