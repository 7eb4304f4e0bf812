//! `skep node drain | activate | promote | demote`: arguments, the plan, the question, output and
//! exit code. The acts themselves are in `crate::maintenance`.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::GlobalArgs;
use crate::cli::apply::run_owner;
use crate::cli::execute::fleet;
use crate::cli::exit_code::ExitStatus;
use crate::cli::interrupt::stop_on_interrupt;
use crate::cli::selection::{ConfigurationError, InventorySelection, reject};
use crate::inventory::Inventory;
use crate::maintenance::{
    DrainOptions, DrainPurpose, MaintenanceError, NodeTarget, activate, change_role, drain,
    plan_drain, plan_role,
};
use crate::names::HostName;
use crate::report::{Screen, TextTable, literal};
use crate::runner::{EventSender, Fleet};
use crate::swarm::NodeRole;

/// Time to wait for another run that disrupts the swarm.
const LEASE_WAIT: Duration = Duration::from_secs(60);

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
    /// Drain although services are interrupted
    #[arg(long)]
    pub allow_interruption: bool,
    /// Time for the tasks of one node to leave it; after it, the node gets its availability back
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
}

/// The inventory, the hosts and the connections of an act.
pub(super) struct MaintenanceSite {
    pub inventory: Inventory,
    pub hosts: Vec<HostName>,
    pub fleet: Arc<Fleet>,
    pub options: DrainOptions,
    pub screen: Screen,
}

impl MaintenanceSite {
    /// Loads the inventory and selects its hosts.
    ///
    /// # Errors
    /// Configuration errors.
    pub(super) fn open(common: &GlobalArgs, args: &MaintainArgs) -> anyhow::Result<Self> {
        let screen = common.screen();
        if !args.selection.limit.is_empty() {
            let why = "error: --limit does not belong to this verb\n  try: name the hosts, groups or patterns as arguments\n";
            return Err(ConfigurationError(why.into()).into());
        }
        let mut selection = args.selection.clone();
        selection.limit.clone_from(&args.hosts);
        let selected = selection.hosts(&screen);
        let (inventory, hosts) = selected.map_err(|errors| reject(&errors, &screen))?;
        let fleet = fleet(
            &inventory,
            EventSender::silent(),
            &args.selection.login,
            &screen,
        )?;
        let options = DrainOptions {
            purpose: DrainPurpose::Drain,
            allow_interruption: false,
            limit: Duration::ZERO,
            lease_wait: LEASE_WAIT,
            owner: run_owner(),
            forks: args.selection.forks(&inventory),
        };
        Ok(Self {
            inventory,
            hosts,
            fleet,
            options,
            screen,
        })
    }

    /// Loads the inventory and selects its hosts, for an act that drains them.
    ///
    /// # Errors
    /// Configuration errors.
    pub(super) fn open_for_drain(common: &GlobalArgs, args: &DrainArgs) -> anyhow::Result<Self> {
        let mut site = Self::open(common, &args.common)?;
        site.options.allow_interruption = args.allow_interruption;
        site.options.limit = args.timeout;
        Ok(site)
    }

    /// Asks the operator; notes a refusal.
    ///
    /// # Errors
    /// If the question panics.
    pub(super) async fn confirm(&self, yes: bool, question: String) -> anyhow::Result<bool> {
        if yes {
            return Ok(true);
        }
        let screen = self.screen.clone();
        let ask = move || screen.can_ask() && screen.ask(&question);
        let confirmed = tokio::task::spawn_blocking(ask).await?;
        if !confirmed {
            self.screen
                .note("Nothing was changed: not confirmed; pass --yes to skip the prompt");
        }
        Ok(confirmed)
    }
}

/// Drains nodes.
///
/// # Errors
/// Configuration errors, and a drain that is refused or fails.
pub(super) async fn drain_nodes(
    common: &GlobalArgs,
    args: &DrainArgs,
) -> anyhow::Result<ExitStatus> {
    let site = MaintenanceSite::open_for_drain(common, args)?;
    let outcome = drain_site(common, args, &site).await;
    site.fleet.close().await;
    settle(outcome, &site.screen)
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
    if !args.allow_interruption {
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
    let site = MaintenanceSite::open(common, args)?;
    let outcome = activate_site(common, args, &site).await;
    site.fleet.close().await;
    settle(outcome, &site.screen)
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
        "{} activated{already}; running tasks stay where they are.\n",
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
    let site = MaintenanceSite::open(common, args)?;
    let outcome = change_site(common, args, role, &site).await;
    site.fleet.close().await;
    settle(outcome, &site.screen)
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

/// Prints the error of an act, and returns its exit code.
pub(super) fn settle(
    outcome: anyhow::Result<ExitStatus>,
    screen: &Screen,
) -> anyhow::Result<ExitStatus> {
    let error = match outcome {
        Ok(exit) => return Ok(exit),
        Err(error) => error.downcast::<MaintenanceError>()?,
    };
    screen.note(&format!("error: {}", literal(&error.to_string())));
    Ok(match error {
        MaintenanceError::Interrupted(_) => ExitStatus::Interrupted,
        MaintenanceError::Unreadable { .. } => ExitStatus::Unreachable,
        _ => ExitStatus::Failed,
    })
}

pub(super) fn names<'a>(targets: impl IntoIterator<Item = &'a NodeTarget>) -> String {
    let names: Vec<&str> = targets
        .into_iter()
        .map(|target| target.host.as_str())
        .collect();
    names.join(", ")
}

pub(super) fn nodes(count: usize) -> String {
    match count {
        1 => "1 node".into(),
        count => format!("{count} nodes"),
    }
}

/// Returns the plan: per node, each service with tasks there, and what becomes of it.
pub(super) fn plan_text<'a>(targets: impl IntoIterator<Item = &'a NodeTarget>) -> String {
    let mut table = TextTable::new(&["HOST", "SERVICE", "TASKS", "MOVE", "ELSEWHERE", "EFFECT"]);
    for target in targets {
        let host = target.host.to_string();
        if target.impacts.is_empty() {
            let none = || "-".to_owned();
            table.row([
                host,
                none(),
                "0".into(),
                "0".into(),
                none(),
                "runs no task".into(),
            ]);
            continue;
        }
        for impact in &target.impacts {
            let effect = match (&impact.interruption, &impact.stops) {
                (Some(why), _) => format!("interrupted: {why}"),
                (None, Some(why)) => format!("stops here: {why}"),
                (None, None) => "moves".to_owned(),
            };
            table.row([
                host.clone(),
                impact.service.clone(),
                impact.tasks.to_string(),
                impact.moving.to_string(),
                impact.elsewhere.to_string(),
                effect,
            ]);
        }
    }
    table.text()
}
