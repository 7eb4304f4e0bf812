//! The gate before a disturbing change and the wait behind it. The rules themselves are the swarm's (`swarm::guard`);
//! the engine only knows that there is somebody to ask.

use crate::model::{Change, DockerAnswer, Refusal};
use crate::names::HostName;

/// Who allows a disturbing change, and waits until its host is whole again.
#[async_trait::async_trait]
pub trait DisruptionGuard: Send + Sync {
    /// Called right before the steps of a change that disturbs; returns remarks for people.
    ///
    /// # Errors
    /// A [`Refusal`] when the change would hurt: it is not performed.
    async fn before(
        &self,
        host: &HostName,
        change: &Change,
        engines: &dyn DockerReader,
    ) -> Result<Vec<String>, Refusal>;

    /// Called after the steps; returns when the host is whole again.
    ///
    /// # Errors
    /// A [`Refusal`] when it does not become whole in time: nothing further is disturbed.
    async fn after(
        &self,
        host: &HostName,
        change: &Change,
        engines: &dyn DockerReader,
    ) -> Result<(), Refusal>;
}

/// Reads at any host's Engine.
#[async_trait::async_trait]
pub trait DockerReader: Send + Sync {
    /// One `GET`, never from a memory.
    async fn get(&self, host: &HostName, path: &str) -> DockerAnswer;
    /// All hosts of the inventory.
    fn hosts(&self) -> Vec<HostName>;
}
