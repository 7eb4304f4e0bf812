//! The command line, and the only module that uses clap. Each verb has a file with its arguments
//! and a `run`.

mod apply;
mod check;
mod connect;
mod drill;
mod execute;
pub mod exit_code;
mod facts;
mod history;
mod images;
mod interrupt;
mod inventory;
mod known_hosts;
mod lab;
mod logging;
mod login;
mod maintenance_site;
mod node;
mod origins;
mod outputs;
mod ping;
mod plan;
mod process_hardening;
mod query_hosts;
mod rebalance;
mod schedule;
mod schema;
mod selection;
mod status;
mod swarm;
mod unlock_key;
mod upgrade;
mod validate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::{ColorChoice, Screen, literal};
use crate::runner::fan_out::keep_panics_off_the_screen;
use exit_code::ExitStatus;

/// Turn bare Ubuntu and Debian machines into a Docker Swarm over SSH, and prove that they still are
/// one.
#[derive(Parser)]
#[command(name = "skep", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Cli {
    #[command(flatten)]
    common: GlobalArgs,
    #[command(subcommand)]
    verb: CliCommand,
}

const AFTER_HELP: &str = "Exit codes: 0 in sync or applied; 1 a resource or host failed; 2 usage or configuration; \
3 drift; 4 a host unreachable; 130 interrupted.";

/// Flags of every verb.
#[derive(clap::Args, Clone)]
pub struct GlobalArgs {
    /// Print one JSON object per event on stdout.
    #[arg(long, global = true)]
    json: bool,
    /// Print more: -v steps, -vv resources in sync, -vvv the log of the transport.
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Colour results and messages.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    color: ColorChoice,
}

impl GlobalArgs {
    fn screen(&self) -> Screen {
        Screen::new(self.color, !self.json, self.verbose)
    }
}

#[derive(Subcommand)]
enum CliCommand {
    Validate(validate::ValidateArgs),
    Inventory(inventory::InventoryArgs),
    Ping(ping::PingArgs),
    Facts(facts::FactsArgs),
    Plan(plan::PlanArgs),
    Check(check::CheckArgs),
    Apply(apply::ApplyArgs),
    Status(status::StatusArgs),
    Upgrade(upgrade::UpgradeArgs),
    Rebalance(rebalance::RebalanceArgs),
    Node(node::NodeArgs),
    Swarm(swarm::SwarmArgs),
    Drill(drill::DrillArgs),
    History(history::HistoryArgs),
    Schema(schema::SchemaArgs),
    Schedule(schedule::ScheduleArgs),
    KnownHosts(known_hosts::KnownHostsArgs),
    Lab(lab::LabArgs),
}

/// Parses the command line, runs the verb and returns its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::start(cli.common.verbose);
    process_hardening::disable_core_dumps();
    keep_panics_off_the_screen();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            return fail(
                &cli.common,
                &anyhow::Error::new(error).context("cannot start"),
            );
        }
    };
    let result = runtime.block_on(dispatch(&cli.common, cli.verb));
    // A task that hangs (a resolver, a half-open connection) must not keep the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(200));
    match result {
        Ok(exit) => exit.into(),
        Err(error) => fail(&cli.common, &error),
    }
}

async fn dispatch(common: &GlobalArgs, verb: CliCommand) -> anyhow::Result<ExitStatus> {
    match verb {
        CliCommand::Validate(args) => validate::run(common, &args),
        CliCommand::Inventory(args) => inventory::run(common, &args),
        CliCommand::Ping(args) => ping::run(common, &args).await,
        CliCommand::Facts(args) => facts::run(common, &args).await,
        CliCommand::Plan(args) => plan::run(common, &args).await,
        CliCommand::Check(args) => check::run(common, &args).await,
        CliCommand::Apply(args) => apply::run(common, &args).await,
        CliCommand::Status(args) => status::run(common, &args).await,
        CliCommand::Upgrade(args) => Box::pin(upgrade::run(common, &args)).await,
        CliCommand::Rebalance(args) => Box::pin(rebalance::run(common, &args)).await,
        CliCommand::Node(args) => Box::pin(node::run(common, &args)).await,
        CliCommand::Swarm(args) => swarm::run(common, &args).await,
        CliCommand::Drill(args) => drill::run(common, &args).await,
        CliCommand::History(args) => history::run(common, &args),
        CliCommand::Schema(args) => Ok(schema::run(common, &args)),
        CliCommand::Schedule(args) => schedule::run(common, &args),
        CliCommand::KnownHosts(args) => known_hosts::run(common, &args).await,
        CliCommand::Lab(args) => Ok(lab::main(&args)),
    }
}

/// Prints an error that ended the verb before its run began, most often a configuration error.
fn fail(common: &GlobalArgs, error: &anyhow::Error) -> ExitCode {
    let screen = common.screen();
    // Diagnostics are rendered with their own headings; other errors get a heading here.
    match error.downcast_ref::<selection::ConfigurationError>() {
        Some(rejected) => screen.note(rejected.0.trim_end()),
        None => screen.styled_note(
            &console::Style::new().red(),
            &format!("error: {}", literal(&format!("{error:#}"))),
        ),
    }
    ExitStatus::Usage.into()
}
