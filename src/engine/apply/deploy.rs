//! Deploys a stack: the `docker` command of this machine behind a gate that lets its writes through to a manager.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::Response;

use super::Permit;
use super::perform::{StepError, live_manager};
use crate::engine::{Fleet, Host, stack_client};
use crate::resource::Deploy;
use crate::transport::{Gate, GateWrites, PassedWrite, TransportError};

/// A manager, with leave to write to it.
struct Writes {
    host: Arc<Host>,
    permit: Arc<Permit>,
}

#[async_trait]
impl GateWrites for Writes {
    async fn write(&self, write: PassedWrite) -> Result<Response<Bytes>, TransportError> {
        self.host.pass_write(&self.permit, write).await
    }
}

/// Runs the command to its end.
pub(super) async fn deploy(permit: &Arc<Permit>, fleet: &Fleet, deploy: &Deploy) -> Result<(), StepError> {
    let manager = live_manager(fleet, &deploy.managers).await?;
    let host = fleet.host(&manager).await?;
    let gate = Arc::new(Gate::open(host.clone(), Arc::new(Writes { host, permit: permit.clone() })));
    let said = match stack_client::run(&gate, &deploy.deployment, deploy.timeout).await? {
        Ok(_) => return Ok(()),
        Err(said) => said,
    };
    if said.contains("update out of sequence") {
        return Err(StepError::OutOfSequence);
    }
    let done: Vec<String> = gate.recorded().iter().map(|write| format!("{write:?}")).collect();
    let half = match done.as_slice() {
        [] => "nothing was written".to_owned(),
        done => format!("before that it wrote: {}", done.join(", ")),
    };
    Err(StepError::Failed { said: format!("{said} ({half})") })
}
