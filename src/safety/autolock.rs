//! Forecast for an autolocked swarm: a manager that restarts stays locked until somebody gives it
//! the unlock key.

use async_trait::async_trait;

use crate::names::HostName;
use crate::runner::{DisruptionForecast, DockerReader};
use crate::swarm::{DockerStatus, STAYS_LOCKED};

/// Notes restarts of managers that stay locked.
#[derive(Debug, Clone, Copy)]
pub struct AutolockForecast {
    /// True if skep unlocks the manager with a key that is kept.
    pub unlocks: bool,
}

#[async_trait]
impl DisruptionForecast for AutolockForecast {
    async fn forecast(&self, host: &HostName, engines: &dyn DockerReader) -> Vec<String> {
        let status = DockerStatus::read(&engines.get(host, "/info").await);
        let locks = status.is_manager() && status.info().is_some_and(|info| info.autolock);
        locks
            .then(|| {
                let after = if self.unlocks {
                    "skep unlocks it after the restart with the key that is kept".to_owned()
                } else {
                    format!(
                        "after the restart it {STAYS_LOCKED}; `apply` refuses that without --force"
                    )
                };
                format!("{host} is a manager of an autolocked swarm: {after}")
            })
            .into_iter()
            .collect()
    }
}
