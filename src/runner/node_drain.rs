//! The drain of a node around a restart of its Engine, for plays with `drain = true`. The rules are
//! in `maintenance`; the runner only calls them.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::mpsc::UnboundedSender;
use tokio_util::sync::CancellationToken;

use super::Fleet;
use crate::model::Refusal;
use crate::names::HostName;
use crate::playbook::DrainRule;

/// Receives lines of progress.
pub type ProgressNotes = UnboundedSender<String>;

/// Takes the tasks off nodes before their Engines restart.
#[async_trait]
pub trait NodeDrain: Send + Sync {
    /// Returns notes about the drain of a host's node, for a plan that nobody has confirmed yet.
    async fn forecast(
        &self,
        fleet: &Arc<Fleet>,
        host: &HostName,
        rule: DrainRule,
        stop: &CancellationToken,
    ) -> Vec<String>;

    /// Takes all tasks off the node of a host, and waits until their replacements run elsewhere.
    /// The caller holds the lease of the swarm. `None` if the host is no node of a swarm, or its
    /// Engine does not run.
    ///
    /// # Errors
    /// A [`Refusal`] if a service would be interrupted or a task does not leave the node; the node
    /// then has its previous availability.
    async fn drain(
        &self,
        fleet: &Arc<Fleet>,
        host: &HostName,
        rule: DrainRule,
        stop: &CancellationToken,
        notes: ProgressNotes,
    ) -> Result<Option<Box<dyn DrainedNode>>, Refusal>;

    /// Gives the nodes of these hosts their availability back if an interrupted apply has drained
    /// them. Returns a line about each of them.
    async fn take_back(
        &self,
        fleet: &Arc<Fleet>,
        hosts: &[HostName],
        stop: &CancellationToken,
    ) -> Vec<String>;
}

/// A node without tasks, whose Engine restarts.
#[async_trait]
pub trait DrainedNode: Send + Sync {
    /// Waits until the node is ready, gives it its previous availability, and waits until the tasks
    /// that had stopped run again.
    ///
    /// # Errors
    /// A [`Refusal`] if that does not happen in time.
    async fn bring_back(
        &self,
        fleet: &Arc<Fleet>,
        stop: &CancellationToken,
        notes: ProgressNotes,
    ) -> Result<(), Refusal>;
}
