//! `skep node drain | activate | promote | demote`: arguments, the plan, the question, output and
//! exit code. The acts themselves are in `crate::maintenance`.

use std::time::Instant;

use clap::Args;

use crate::cli::GlobalArgs;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::maintenance_site::{DrainLimits, MaintenanceSite, names, nodes, plan_text};
use crate::cli::selection::{ConfigurationError, InventorySelection};
use crate::maintenance::{activate, change_role, drain, plan_drain, plan_role};
use crate::names::HostName;
use crate::report::literal;
use crate::swarm::NodeRole;

/// Arguments of an act on nodes.
#[derive(Debug, Args)]
pub(super) struct MaintainArgs {
    /// The hosts: names, groups or patterns
    #[arg(value_name = "HOST", required = true)]
    hosts: Vec<String>,
    #[command(flatten)]
    pub selection: InventorySelection,
    /// Do not ask.
    #[arg(short, long)]
    pub yes: bool,
}

/// Arguments of `skep node drain`.
#[derive(Debug, Args)]
pub(super) struct DrainArgs {
    #[command(flatten)]
    pub common: MaintainArgs,
    #[command(flatten)]
    pub limits: DrainLimits,
}

/// Loads the inventory and selects its hosts.
///
/// # Errors
/// Configuration errors.
pub(super) fn open_site(
    common: &GlobalArgs,
    args: &MaintainArgs,
) -> anyhow::Result<MaintenanceSite> {
    open_hosts(common, &args.hosts, &args.selection)
}

/// Loads the inventory and selects the hosts that the arguments name; all hosts if there are none.
///
/// # Errors
/// Configuration errors.
pub(super) fn open_hosts(
    common: &GlobalArgs,
    hosts: &[String],
    selection: &InventorySelection,
) -> anyhow::Result<MaintenanceSite> {
    if !selection.limit.is_empty() {
        let why = "error: --limit does not belong to this verb\n  try: name the hosts, groups or patterns as arguments\n";
        return Err(ConfigurationError(why.into()).into());
    }
    let mut selection = selection.clone();
    selection.limit = hosts.to_vec();
    MaintenanceSite::open(common, &selection)
}

/// Drains nodes.
///
/// # Errors
/// Configuration errors, and a drain that is refused or fails.
pub(super) async fn drain_nodes(
    common: &GlobalArgs,
    args: &DrainArgs,
) -> anyhow::Result<ExitStatus> {
    let site = open_site(common, &args.common)?.limit(&args.limits);
    site.act(async |site| drain_site(common, args, site).await)
        .await
}

async fn drain_site(
    common: &GlobalArgs,
    args: &DrainArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let (started, screen) = (Instant::now(), &site.screen);
    let forks = site.options.forks;
    let plan = plan_drain(&site.fleet, &site.inventory, &site.hosts, forks).await?;
    if !common.json {
        screen.result(&plan_text(&plan.targets));
    }
    if !args.limits.allow_interruption {
        plan.check()?;
    }
    let question = format!("Drain {}?", names(&plan.targets));
    if !site.confirm(args.common.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let note = |line: &str| screen.note(&literal(line));
    let outcomes = drain(
        &site.fleet,
        &site.inventory,
        &plan,
        &site.options,
        &stop,
        &note,
    )
    .await?;
    if common.json {
        screen.json(&serde_json::json!({ "action": "drain", "nodes": outcomes }));
        return Ok(ExitStatus::Fine);
    }
    let moved: usize = outcomes
        .iter()
        .flat_map(|outcome| &outcome.services)
        .map(|service| service.moving)
        .sum();
    let tasks = if moved == 1 { "task" } else { "tasks" };
    screen.result(&format!(
        "{} drained, {moved} {tasks} moved, in {:.1} s; `skep node activate` takes {} back.\n",
        nodes(outcomes.len()),
        started.elapsed().as_secs_f64(),
        if outcomes.len() == 1 { "it" } else { "them" },
    ));
    Ok(ExitStatus::Fine)
}

/// Activates nodes.
///
/// # Errors
/// Configuration errors, and an act that is refused or fails.
pub(super) async fn activate_nodes(
    common: &GlobalArgs,
    args: &MaintainArgs,
) -> anyhow::Result<ExitStatus> {
    let site = open_site(common, args)?;
    site.act(async |site| activate_site(common, args, site).await)
        .await
}

async fn activate_site(
    common: &GlobalArgs,
    args: &MaintainArgs,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let listed: Vec<&str> = site.hosts.iter().map(HostName::as_str).collect();
    let question = format!("Let {} take tasks again?", listed.join(", "));
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    let changed = activate(
        &site.fleet,
        &site.inventory,
        &site.hosts,
        &site.options,
        &stop,
    )
    .await?;
    if common.json {
        site.screen
            .json(&serde_json::json!({ "action": "activate", "changed": changed }));
        return Ok(ExitStatus::Fine);
    }
    let already = site.hosts.len() - changed.len();
    let already = match already {
        0 => String::new(),
        count => format!(", {} active before", nodes(count)),
    };
    site.screen.result(&format!(
        "{} activated{already}; running tasks stay where they are, `skep rebalance` spreads them.\n",
        nodes(changed.len())
    ));
    Ok(ExitStatus::Fine)
}

/// Changes the role of nodes.
///
/// # Errors
/// Configuration errors, and a change that is refused or fails.
pub(super) async fn change_roles(
    common: &GlobalArgs,
    args: &MaintainArgs,
    role: NodeRole,
) -> anyhow::Result<ExitStatus> {
    let site = open_site(common, args)?;
    site.act(async |site| change_site(common, args, role, site).await)
        .await
}

async fn change_site(
    common: &GlobalArgs,
    args: &MaintainArgs,
    role: NodeRole,
    site: &MaintenanceSite,
) -> anyhow::Result<ExitStatus> {
    let forks = site.options.forks;
    let plan = plan_role(&site.fleet, &site.inventory, &site.hosts, role, forks).await?;
    let word = role.word();
    let hosts: Vec<&HostName> = plan
        .targets
        .iter()
        .map(|(target, _)| &target.host)
        .collect();
    if hosts.is_empty() {
        if common.json {
            let action = serde_json::json!({ "action": "role", "role": word, "changed": hosts });
            site.screen.json(&action);
        } else {
            site.screen
                .result(&format!("In sync: every named node is a {word}.\n"));
        }
        return Ok(ExitStatus::Fine);
    }
    if !common.json {
        for (target, note) in &plan.targets {
            let note = note
                .as_ref()
                .map_or_else(String::new, |note| format!("; {note}"));
            let line = format!(
                "{}: {} -> {word}{note}",
                target.host,
                target.node.role.word()
            );
            site.screen.result(&format!("{}\n", literal(&line)));
        }
    }
    let listed: Vec<&str> = hosts.iter().map(|host| host.as_str()).collect();
    let question = format!("Make {} a {word}?", listed.join(", "));
    if !site.confirm(args.yes, question).await? {
        return Ok(ExitStatus::Failed);
    }
    let stop = stop_on_interrupt();
    change_role(&site.fleet, &site.inventory, &plan, &site.options, &stop).await?;
    if common.json {
        let action = serde_json::json!({ "action": "role", "role": word, "changed": hosts });
        site.screen.json(&action);
    } else {
        let count = nodes(hosts.len());
        site.screen.result(&format!("{count} changed to {word}.\n"));
    }
    Ok(ExitStatus::Fine)
}
