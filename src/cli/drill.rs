//! `skep drill`: arguments, output and exit code. The drill itself is in `crate::drill`.

use std::sync::Arc;

use clap::{Args, ValueEnum};
use tokio_util::sync::CancellationToken;

use super::GlobalArgs;
use super::apply::run_owner;
use super::execute::fleet;
use super::exit_code::ExitStatus;
use super::interrupt::stop_on_interrupt;
use super::selection::{InventorySelection, reject};
use crate::drill::{DrillRequest, DrillResult, DrillSession, Scenario, run_drill};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::report::{Screen, TextTable, literal};
use crate::runner::{EventSender, Fleet, LeaseOwner};

/// Stop machines on purpose, and see whether the swarm does what it should. For disposable machines
/// only.
#[derive(Debug, Args)]
pub(super) struct DrillArgs {
    /// The loss to cause
    #[arg(value_enum, value_name = "DRILL")]
    scenario: ScenarioName,
    #[command(flatten)]
    selection: InventorySelection,
    /// Lose this host; may be repeated [default: the leader, the first worker, a host of the group
    /// load_balancers]
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// The published TCP port that requests are sent to [default: the first that a service
    /// publishes]
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

/// Runs a drill. The exit code is 1 if an expectation was not met, and 130 after an interrupt.
///
/// # Errors
/// Configuration errors, a machine that is not disposable, or a machine that cannot be stopped.
pub(super) async fn run(common: &GlobalArgs, args: &DrillArgs) -> anyhow::Result<ExitStatus> {
    let session = CliDrillSession {
        selection: &args.selection,
        screen: common.screen(),
    };
    let request = DrillRequest {
        scenario: args.scenario.into(),
        hosts: args.hosts.iter().map(HostName::new).collect(),
        port: args.port,
    };
    let report = run_drill(&session, &request).await?;
    print_results(common, &session.screen, &report.results);
    Ok(if report.interrupted {
        ExitStatus::Interrupted
    } else if report.failed() {
        ExitStatus::Failed
    } else {
        ExitStatus::Fine
    })
}

/// The drill's access to the command line.
struct CliDrillSession<'a> {
    selection: &'a InventorySelection,
    screen: Screen,
}

impl DrillSession for CliDrillSession<'_> {
    type Error = anyhow::Error;

    fn load(&self) -> anyhow::Result<(Inventory, Vec<HostName>)> {
        let loaded = self.selection.hosts(&self.screen);
        Ok(loaded.map_err(|errors| reject(&errors, &self.screen))?)
    }

    fn connect(&self, inventory: &Inventory) -> anyhow::Result<Arc<Fleet>> {
        let login = &self.selection.login;
        fleet(inventory, EventSender::silent(), login, &self.screen)
    }

    fn forks(&self, inventory: &Inventory) -> usize {
        self.selection.forks(inventory)
    }

    fn note(&self, line: &str) {
        self.screen.note(&literal(line));
    }

    fn stop_on_interrupt(&self) -> CancellationToken {
        stop_on_interrupt()
    }

    fn run_owner(&self) -> LeaseOwner {
        run_owner()
    }
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
