//! `skep swarm`: work on the swarm as a whole.

mod backup;
mod recipients;
mod recover;
mod restore;
mod rotate;
mod unlock;

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
    /// Copy the state of the swarm from a manager into an encrypted file
    Backup(backup::BackupArgs),
    /// Make a machine the manager of the swarm of a backup
    Restore(restore::RestoreArgs),
    /// Start the swarm anew with what one manager knows, after the loss of the majority
    Recover(recover::RecoverArgs),
    /// Make new join tokens, a new certificate authority or a new unlock key
    Rotate(rotate::RotateArgs),
    /// Unlock the managers of an autolocked swarm after a restart
    Unlock(unlock::UnlockArgs),
}

/// Runs the verb.
///
/// # Errors
/// Configuration errors, and an act that is refused, not confirmed, or fails.
pub(super) async fn run(common: &GlobalArgs, args: &SwarmArgs) -> anyhow::Result<ExitStatus> {
    match &args.act {
        SwarmCommand::Backup(args) => Box::pin(backup::backup_swarm(common, args)).await,
        SwarmCommand::Restore(args) => restore::restore_swarm(common, args).await,
        SwarmCommand::Recover(args) => recover::recover_swarm(common, args).await,
        SwarmCommand::Rotate(args) => rotate::rotate(common, args).await,
        SwarmCommand::Unlock(args) => unlock::unlock_swarm(common, args).await,
    }
}
