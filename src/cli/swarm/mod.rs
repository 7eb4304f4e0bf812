//! `skep swarm`: work on the swarm as a whole.

mod recover;

use clap::{Args, Subcommand};

use super::GlobalArgs;
use super::exit_code::ExitStatus;

/// Work on the swarm as a whole.
#[derive(Debug, Args)]
pub(super) struct SwarmArgs {
    #[command(subcommand)]
    act: SwarmCommand,
}

#[derive(Debug, Subcommand)]
enum SwarmCommand {
    /// Start the swarm anew with what one manager knows, after the loss of the majority
    Recover(recover::RecoverArgs),
}

/// Runs the verb.
///
/// # Errors
/// Configuration errors, and an act that is refused, not confirmed, or fails.
pub(super) async fn run(common: &GlobalArgs, args: &SwarmArgs) -> anyhow::Result<ExitStatus> {
    match &args.act {
        SwarmCommand::Recover(args) => recover::recover_swarm(common, args).await,
    }
}
