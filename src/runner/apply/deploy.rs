//! Deploys a stack: runs the `docker` command of this machine against a proxy that forwards its
//! writes to a manager.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Response;
use tokio_util::sync::CancellationToken;

use super::Permit;
use super::live_manager::live_manager;
use super::step_error::StepError;
use crate::docker::{DockerProxy, ProxiedWrite, ProxyWriter, run_stack_deploy};
use crate::model::DeployStack;
use crate::runner::{ConnectedHost, Fleet};
use crate::transport::TransportError;

/// A manager, with the permit to write to it.
struct ManagerWriter {
    host: Arc<ConnectedHost>,
    permit: Arc<Permit>,
}

#[async_trait]
impl ProxyWriter for ManagerWriter {
    async fn write(&self, write: ProxiedWrite) -> Result<Response<Bytes>, TransportError> {
        self.host.forward_write(&self.permit, write).await
    }
}

/// Time for a network to be removed completely.
const GOING: Duration = Duration::from_secs(3);

/// Returns true if a network of the stack vanished after the command had read it and before it used
/// it.
fn is_going(said: &str) -> bool {
    let last = said.lines().last().unwrap_or_default();
    last.contains("failed to create service")
        && last.contains("network")
        && last.contains("not found")
}

/// Runs the command to its end.
pub(super) async fn deploy(
    permit: &Arc<Permit>,
    fleet: &Fleet,
    deploy: &DeployStack,
    stop: &CancellationToken,
) -> Result<(), StepError> {
    let manager = live_manager(fleet, &deploy.managers).await?;
    let host = fleet.host(&manager).await?;
    let proxy = Arc::new(DockerProxy::recording(
        host.clone(),
        Arc::new(ManagerWriter {
            host,
            permit: permit.clone(),
        }),
    ));
    let said = match run_stack_deploy(&proxy, &deploy.deployment, deploy.timeout).await? {
        Ok(_) => return Ok(()),
        Err(said) => said,
    };
    if said.contains("update out of sequence") {
        return Err(StepError::OutOfSequence);
    }
    // `docker stack rm` was removing the network when the command read it: the existing objects are
    // read again.
    if is_going(&said) {
        tokio::select! {
            () = tokio::time::sleep(GOING) => {}
            () = stop.cancelled() => {}
        }
        return Err(StepError::OutOfSequence);
    }
    let done: Vec<String> = proxy
        .recorded()
        .iter()
        .map(|write| format!("{write:?}"))
        .collect();
    let half = match done.as_slice() {
        [] => "nothing was written".to_owned(),
        done => format!("before that, it wrote: {}", done.join(", ")),
    };
    Err(StepError::Failed {
        said: format!("{said} ({half})"),
    })
}

#[cfg(test)]
mod tests {
    use super::is_going;

    #[test]
    fn only_a_network_being_removed_is_retried() {
        for (said, expected) in [
            (
                "Creating service web_a\nfailed to create service web_a: Error response from daemon: network web_default not found",
                true,
            ),
            (
                "failed to create service web_a: Error response from daemon: secret not found: x",
                false,
            ),
            (
                "network \"lost\" is declared as external, but could not be found",
                false,
            ),
            ("", false),
        ] {
            assert_eq!(is_going(said), expected, "{said}");
        }
    }
}
