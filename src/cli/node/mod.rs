//! `skep node`: work on single machines of the cluster.

mod maintain;
mod reboot;
mod rebuild;
mod remove;
mod replace;

use clap::{Args, Subcommand};

use super::GlobalArgs;
use super::exit_code::ExitStatus;
use crate::swarm::NodeRole;

/// Work on machines of the cluster.
#[derive(Debug, Args)]
pub(super) struct NodeArgs {
    #[command(subcommand)]
    act: NodeCommand,
}

#[derive(Debug, Subcommand)]
enum NodeCommand {
    /// Take all tasks off nodes, and wait until their replacements run on other nodes
    Drain(maintain::DrainArgs),
    /// Let nodes take tasks again
    Activate(maintain::MaintainArgs),
    /// Make workers managers
    Promote(maintain::MaintainArgs),
    /// Make managers workers, never below a majority
    Demote(maintain::MaintainArgs),
    /// Drain nodes, reboot their machines one after the other, and take them back
    Reboot(reboot::RebootArgs),
    /// Take nodes out of the swarm: drain, demote, leave and remove; also nodes that are dead
    Remove(remove::RemoveArgs),
    /// Let another machine take the place of a node: role, labels, availability
    Replace(replace::ReplaceArgs),
    /// Destroy a machine of Vagrant or the lab, make it again, and apply: same name, same role,
    /// same labels, no ghost
    Rebuild(rebuild::RebuildArgs),
}

/// Runs the verb.
///
/// # Errors
/// Configuration errors, and an act that is refused, not confirmed, or fails.
pub(super) async fn run(common: &GlobalArgs, args: &NodeArgs) -> anyhow::Result<ExitStatus> {
    match &args.act {
        NodeCommand::Drain(args) => maintain::drain_nodes(common, args).await,
        NodeCommand::Activate(args) => maintain::activate_nodes(common, args).await,
        NodeCommand::Promote(args) => maintain::change_roles(common, args, NodeRole::Manager).await,
        NodeCommand::Demote(args) => maintain::change_roles(common, args, NodeRole::Worker).await,
        NodeCommand::Reboot(args) => reboot::reboot(common, args).await,
        NodeCommand::Remove(args) => remove::remove(common, args).await,
        NodeCommand::Replace(args) => Box::pin(replace::replace(common, args)).await,
        NodeCommand::Rebuild(args) => rebuild::run(common, args).await,
    }
}
