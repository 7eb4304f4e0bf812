//! The guard of changes that disrupt the swarm or request a change of its nodes: a check before the
//! change and a wait after it. The rules are in `safety::guard`; the runner only calls them.

use std::collections::BTreeSet;

use crate::model::{Change, DockerAnswer, Refusal};
use crate::names::HostName;

/// Foretells the effect of a restart of an Engine, for a plan that nobody has confirmed yet.
#[async_trait::async_trait]
pub trait DisruptionForecast: Send + Sync {
    /// Returns notes about a restart of the host's Engine.
    async fn forecast(&self, host: &HostName, engines: &dyn DockerReader) -> Vec<String>;
}

/// Allows a disruptive change, and waits until its host is ready again.
#[async_trait::async_trait]
pub trait DisruptionGuard: DisruptionForecast {
    /// Checks a change right before its steps; returns notes for people. Changes that neither
    /// disrupt a host nor change a node of the swarm pass.
    ///
    /// # Errors
    /// A [`Refusal`] when the change would do harm: it is then not performed.
    async fn before(
        &self,
        host: &HostName,
        change: &Change,
        engines: &dyn DockerReader,
    ) -> Result<Vec<String>, Refusal>;

    /// Returns true if the operator forces disruptions that may take the majority away. Default
    /// false.
    fn is_forced(&self) -> bool {
        false
    }

    /// Waits after the steps until the host is ready again.
    ///
    /// # Errors
    /// A [`Refusal`] when the host is not ready in time: no further host is disrupted.
    async fn after(
        &self,
        host: &HostName,
        change: &Change,
        engines: &dyn DockerReader,
    ) -> Result<(), Refusal>;

    /// Returns those of the hosts whose Engines say that they are one of these nodes of the swarm.
    async fn owners(
        &self,
        hosts: &[HostName],
        node_ids: &BTreeSet<String>,
        engines: &dyn DockerReader,
    ) -> Vec<HostName>;
}

/// Reads from any host and its Docker Engine.
#[async_trait::async_trait]
pub trait DockerReader: Send + Sync {
    /// Makes one `GET`, never answered from a cache.
    async fn get(&self, host: &HostName, path: &str) -> DockerAnswer;
    /// Reads a file of a host as root; `None` if it does not exist or cannot be read.
    async fn content(&self, host: &HostName, path: &str) -> Option<Vec<u8>>;
    /// Returns all hosts of the inventory.
    fn hosts(&self) -> Vec<HostName>;
}
