//! `skep rebalance`: arguments, the plan, the question, output and exit code. The rebalance itself
//! is in `crate::maintenance`.

use std::time::{Duration, Instant};

use clap::Args;

use super::GlobalArgs;
use super::exit_code::ExitStatus;
use super::interrupt::stop_on_interrupt;
use super::maintenance_site::MaintenanceSite;
use super::selection::InventorySelection;
use crate::maintenance::{RebalanceOutcome, RebalancePlan, plan_rebalance, rebalance};
use crate::report::{TextTable, literal};

/// Spread the tasks of uneven services over the nodes again, one service after the other. New tasks
/// run before old ones stop.
#[derive(Debug, Args)]
pub(super) struct RebalanceArgs {
    /// A stack or a service [default: all services]
    #[arg(value_name = "STACK|SERVICE")]
    name: Option<String>,
    #[command(flatten)]
    selection: InventorySelection,
    /// Time for the new tasks of one service to run; after it, the service gets its number of
    /// replicas back
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    timeout: Duration,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
}

/// Rebalances services.
///
/// # Errors
/// Configuration errors, and a rebalance that is refused or fails.
pub(super) async fn run(common: &GlobalArgs, args: &RebalanceArgs) -> anyhow::Result<ExitStatus> {
    let mut site = MaintenanceSite::open(common, &args.selection)?;
    site.options.limit = args.timeout;
    site.act(async |site| rebalance_site(common, args, site).await)
        .await
}

async fn rebalance_site(
    common: &GlobalArgs,
    args: &RebalanceArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (started, screen) = (Instant::now(), &site.screen);
    let (name, forks) = (args.name.as_deref(), site.options.forks);
    let plan = plan_rebalance(&site.fleet, &site.inventory, name, forks).await?;
    if !common.json && !plan.services.is_empty() {
        screen.result(&balance_text(&plan));
    }
    let needed = plan.services.iter().filter(|service| service.is_needed());
    let needed: Vec<&str> = needed.map(|service| service.service.as_str()).collect();
    if needed.is_empty() {
        if common.json {
            print_json(common, &plan, &[]);
        } else if plan.services.is_empty() {
            screen.result("In sync: every service is even.\n");
        } else {
            screen.result("In sync: no service that skep can move is uneven.\n");
        }
        return Ok(ExitStatus::Fine);
    }
    let question = format!("Rebalance {}, one after the other?", needed.join(", "));
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let outcomes = rebalance(&site.fleet, &plan, &site.options, &stop, &note).await?;
    if common.json {
        print_json(common, &plan, &outcomes);
        return Ok(ExitStatus::Fine);
    }
    for outcome in &outcomes {
        let line = format!(
            "{}: {} moved, in {:.1} s: {}",
            outcome.service,
            tasks(outcome.moved),
            outcome.seconds,
            spread(&outcome.nodes)
        );
        screen.result(&format!("{}\n", literal(&line)));
    }
    screen.result(&format!(
        "{} rebalanced, in {:.1} s.\n",
        match outcomes.len() {
            1 => "1 service".to_owned(),
            count => format!("{count} services"),
        },
        started.elapsed().as_secs_f64()
    ));
    Ok(ExitStatus::Fine)
}

fn print_json(common: &GlobalArgs, plan: &RebalancePlan, outcomes: &[RebalanceOutcome]) {
    common.screen().json(&serde_json::json!({
        "action": "rebalance", "plan": plan.services, "services": outcomes,
    }));
}

fn tasks(count: usize) -> String {
    match count {
        1 => "1 task".into(),
        count => format!("{count} tasks"),
    }
}

fn spread(nodes: &std::collections::BTreeMap<String, usize>) -> String {
    let nodes: Vec<String> = nodes
        .iter()
        .map(|(node, count)| format!("{node} {count}"))
        .collect();
    nodes.join(", ")
}

/// Returns the plan: per service, the tasks of each node, and how many of them move.
fn balance_text(plan: &RebalancePlan) -> String {
    let mut table = TextTable::new(&["SERVICE", "TASKS BY NODE", "MOVE", "EFFECT"]);
    for service in &plan.services {
        let effect = match (&service.obstacle, service.is_begun) {
            (_, true) => "a rebalance before this one has added tasks; it is finished".to_owned(),
            (Some(why), false) => format!("stays: {why}"),
            (None, false) => "new tasks run before old ones stop".to_owned(),
        };
        let moving = if service.obstacle.is_some() {
            0
        } else {
            service.moving
        };
        table.row([
            service.service.clone(),
            spread(&service.nodes),
            moving.to_string(),
            effect,
        ]);
    }
    table.text()
}
