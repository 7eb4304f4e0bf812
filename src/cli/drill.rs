//! `skep drill`: stop machines on purpose, watch, start them again, and say whether what should hold did.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};

use super::GlobalArgs;
use super::cluster::read_cluster;
use super::execute::fleet;
use super::exit_code::ExitStatus;
use super::interrupt::stop_on_interrupt;
use super::selection::{InventorySelection, reject};
use crate::drill::{
    DrillMeasurement, DrillNode, DrillResult, PortProber, Scenario, drill_results, plan_drill,
    published_port, watch,
};
use crate::inventory::Inventory;
use crate::machine::Machines;
use crate::names::HostName;
use crate::report::{Screen, TextTable};
use crate::runner::{EventSender, Fleet, fan_out};
use crate::swarm::{NodeRole, host_part, overview::ClusterOverview};

/// How long the swarm is watched while machines are away.
const WATCH: Duration = Duration::from_secs(150);
/// The same where no majority is left, and so nothing is waited for.
const WATCH_WITHOUT_MAJORITY: Duration = Duration::from_secs(20);
/// How long the cluster may take to be whole again.
const WHOLE: Duration = Duration::from_secs(240);

/// Stop machines on purpose, and see whether the swarm does what it should. For disposable machines only.
#[derive(Debug, Args)]
pub(super) struct DrillArgs {
    /// What is lost
    #[arg(value_enum, value_name = "DRILL")]
    scenario: ScenarioName,
    #[command(flatten)]
    selection: InventorySelection,
    /// Lose this host; may be repeated [default: the leader, the first worker, a host of the group load_balancers]
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// The published TCP port that requests are sent to [default: the first that a service publishes]
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum ScenarioName {
    /// The leader
    ManagerLoss,
    /// Two managers, the leader among them
    TwoManagers,
    /// A worker
    WorkerLoss,
    /// Two workers
    TwoWorkers,
    /// The host in front of the cluster: of the group load_balancers, or --host
    LoadBalancerHost,
}

/// Runs a drill; 1 when what should hold did not.
///
/// # Errors
/// Configuration errors, a machine that is not disposable, or one that cannot be stopped.
pub(super) async fn run(common: &GlobalArgs, args: &DrillArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let (inventory, hosts) = args
        .selection
        .hosts()
        .map_err(|errors| reject(&errors, &screen))?;
    // All of the inventory, whatever --limit says: the swarm is of all of them.
    if let Some((name, host)) = inventory.hosts().find(|(_, host)| !host.disposable) {
        anyhow::bail!(
            "{name} is not disposable, so no drill is run: {} does not say `disposable = true` at its top",
            host.place.source.path().display()
        );
    }
    let machines = Machines::of(&inventory)?;
    let forks = args.selection.forks(&inventory);
    let open = || {
        fleet(
            &inventory,
            EventSender::silent(),
            &args.selection.login,
            &screen,
        )
    };
    let before = open()?;
    let seen = read_cluster(&before, &hosts, forks, true).await;
    if !seen.page.problems.is_empty() || !seen.listed {
        before.close().await;
        anyhow::bail!(
            "the cluster is not whole before the drill: {}; see `skep status`",
            seen.page.problems.join("; ")
        );
    }
    let chosen: Vec<HostName> = args.hosts.iter().map(HostName::new).collect();
    let plan = match plan_drill(
        args.scenario.into(),
        &members(&seen.page, &inventory),
        &chosen,
    ) {
        Ok(plan) => plan,
        Err(why) => anyhow::bail!(why),
    };
    machines.check(&inventory, &plan.lost, "stop")?;
    let left: Vec<HostName> = hosts
        .iter()
        .filter(|host| !plan.lost.contains(host))
        .cloned()
        .collect();
    let lost = plan
        .lost
        .iter()
        .map(HostName::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    let say = |line: &str| screen.note(line);
    say(&format!("{lost} will be stopped. What should happen:"));
    plan.expected
        .iter()
        .for_each(|line| say(&format!("  - {line}")));

    let port = match args.port {
        Some(port) => Some(port),
        None => published_port(&before, &left).await,
    };
    let prober = match port {
        Some(port) => Some(PortProber::start(&addresses(&inventory, &hosts), port).await),
        None => None,
    };
    let stop = stop_on_interrupt();
    let ids: Vec<String> = seen
        .page
        .rows
        .iter()
        .filter(|row| {
            row.host
                .as_ref()
                .is_some_and(|host| plan.lost.contains(host))
        })
        .map(|row| row.node_id.clone())
        .collect();
    say(&format!("stopping {lost}"));
    let stopped = on_each(&machines, &plan.lost, false).await;
    let mut measured = DrillMeasurement::default();
    if stopped.is_ok() {
        say("watching the others");
        let patience = if plan.keeps_majority() {
            WATCH
        } else {
            WATCH_WITHOUT_MAJORITY
        };
        measured.watched =
            watch(&before, &left, &ids, plan.keeps_majority(), patience, &stop).await;
    }
    before.close().await;
    // Whatever happened: what was stopped is started again.
    say(&format!("starting {lost}"));
    let begun = Instant::now();
    let started = on_each(&machines, &plan.lost, true).await;
    stopped.and(started)?;
    // The address of a machine may be another one now.
    let (inventory, hosts) = args
        .selection
        .hosts()
        .map_err(|errors| reject(&errors, &screen))?;
    while begun.elapsed() < WHOLE {
        let after = fleet(
            &inventory,
            EventSender::silent(),
            &args.selection.login,
            &screen,
        )?;
        measured.problems = problems(&after, &hosts, forks).await;
        after.close().await;
        if measured.problems.is_empty() {
            measured.whole = Some(begun.elapsed());
            break;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    if let Some(prober) = prober {
        // A last round, so that a port that answers again is seen to.
        tokio::time::sleep(Duration::from_secs(2)).await;
        measured.requests = Some(prober.stop().await).filter(|all_stats| !all_stats.is_empty());
    }
    let rows = drill_results(&plan, &measured);
    print_results(common, &screen, &rows);
    if stop.is_cancelled() {
        return Ok(ExitStatus::Interrupted);
    }
    Ok(if rows.iter().any(|row| row.held == Some(false)) {
        ExitStatus::Failed
    } else {
        ExitStatus::Fine
    })
}

fn print_results(common: &GlobalArgs, screen: &Screen, rows: &[DrillResult]) {
    if common.json {
        screen.json(&serde_json::json!({ "schema_version": 1, "rows": rows }));
        return;
    }
    let mut table = TextTable::new(&["WHAT", "EXPECTED", "MEASURED", "HELD"]);
    for row in rows {
        let held = row.held.map_or("-", |held| if held { "yes" } else { "NO" });
        let expected = if row.expected.is_empty() {
            "-"
        } else {
            &row.expected
        };
        table.row([row.what.as_str(), expected, &row.measured, held]);
    }
    screen.result(&table.text());
}

/// What is wrong with the cluster, tasks that are missing included.
async fn problems(fleet: &Arc<Fleet>, hosts: &[HostName], forks: usize) -> Vec<String> {
    let seen = read_cluster(fleet, hosts, forks, true).await;
    let mut problems = seen.page.problems;
    if !seen.listed {
        problems.push("no manager lists the nodes".into());
    }
    for service in &seen.page.services {
        if let Some((running, desired)) =
            service.tasks.filter(|(running, desired)| running < desired)
        {
            problems.push(format!("{} has {running} of {desired} tasks", service.name));
        }
    }
    problems
}

/// Stops or starts all of them at once; the first failure is told when all have ended.
async fn on_each(machines: &Machines, hosts: &[HostName], start: bool) -> anyhow::Result<()> {
    let done = fan_out(hosts.to_vec(), hosts.len(), |host| {
        let machines = machines.clone();
        async move {
            // It waits for programs of this machine, as long as they take.
            tokio::task::block_in_place(|| {
                if start {
                    machines.start(&host, &|_| {})
                } else {
                    machines.stop(&host)
                }
            })
        }
    })
    .await;
    let mut result = Ok(());
    for (host, done) in hosts.iter().zip(done) {
        result = result.and(match done {
            Ok(done) => done.map_err(anyhow::Error::from),
            Err(panic) => Err(anyhow::anyhow!("{}; {}", panic.why(host), panic.hint())),
        });
    }
    result
}

fn members(page: &ClusterOverview, inventory: &Inventory) -> Vec<DrillNode> {
    let member = |row: &crate::swarm::overview::OverviewRow| {
        let host = row.host.clone()?;
        let balances = inventory
            .host(&host)?
            .groups
            .iter()
            .any(|group| group == "load_balancers");
        let role = if row.role == NodeRole::Manager.word() {
            NodeRole::Manager
        } else {
            NodeRole::Worker
        };
        Some(DrillNode {
            host,
            role,
            leader: row.leader,
            balances,
        })
    };
    page.rows.iter().filter_map(member).collect()
}

/// Where clients reach the machines: the swarm's network, which people's requests come by too.
fn addresses(inventory: &Inventory, hosts: &[HostName]) -> Vec<(HostName, IpAddr)> {
    let roster = inventory.roster();
    let address = |host: &HostName| {
        let entry = roster.hosts.get(host)?;
        let address = entry
            .swarm_address
            .as_deref()
            .map_or(entry.address.as_str(), host_part);
        Some((host.clone(), address.parse().ok()?))
    };
    hosts.iter().filter_map(address).collect()
}

impl From<ScenarioName> for Scenario {
    fn from(name: ScenarioName) -> Self {
        match name {
            ScenarioName::ManagerLoss => Self::ManagerLoss,
            ScenarioName::TwoManagers => Self::TwoManagers,
            ScenarioName::WorkerLoss => Self::WorkerLoss,
            ScenarioName::TwoWorkers => Self::TwoWorkers,
            ScenarioName::LoadBalancerHost => Self::LoadBalancerHost,
        }
    }
}
