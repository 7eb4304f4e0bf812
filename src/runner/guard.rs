//! The guard of disruptive changes: a check before the change and a wait after it. The rules are in
//! `safety::guard`; the runner only calls them.

use crate::model::{Change, DockerAnswer, Refusal};
use crate::names::HostName;

/// Allows a disruptive change, and waits until its host is ready again.
#[async_trait::async_trait]
pub trait DisruptionGuard: Send + Sync {
    /// Checks a disruptive change right before its steps; returns notes for people.
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
}

/// Reads from any host's Docker Engine.
#[async_trait::async_trait]
pub trait DockerReader: Send + Sync {
    /// Makes one `GET`, never answered from a cache.
    async fn get(&self, host: &HostName, path: &str) -> DockerAnswer;
    /// Returns all hosts of the inventory.
    fn hosts(&self) -> Vec<HostName>;
}
