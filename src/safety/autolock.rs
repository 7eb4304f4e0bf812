//! Forecast for an autolocked swarm: a manager that restarts stays locked until somebody gives it
//! the unlock key.

use async_trait::async_trait;

use crate::names::HostName;
use crate::runner::{DisruptionForecast, DockerReader};
use crate::swarm::{DockerStatus, STAYS_LOCKED};

/// Notes restarts of managers that stay locked.
#[derive(Debug, Clone, Copy)]
pub struct AutolockForecast;

#[async_trait]
impl DisruptionForecast for AutolockForecast {
    async fn forecast(&self, host: &HostName, engines: &dyn DockerReader) -> Vec<String> {
        let status = DockerStatus::read(&engines.get(host, "/info").await);
        let locks = status.is_manager() && status.info().is_some_and(|info| info.autolock);
        locks
            .then(|| {
                format!(
                    "{host} is a manager of an autolocked swarm: after the restart it {STAYS_LOCKED}; `apply` refuses that without --force"
                )
            })
            .into_iter()
            .collect()
    }
}
