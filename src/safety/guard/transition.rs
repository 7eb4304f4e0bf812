//! Waits for the end of a role change. An Engine that restarts while it is being demoted keeps part
//! of its data as a manager, and fails at every start once it is promoted again.

use tokio::time::{Instant, sleep};

use super::SwarmGuard;
use crate::model::Refusal;
use crate::names::HostName;
use crate::runner::DockerReader;
use crate::swarm::{DockerStatus, NodeRole, SwarmNode, certificate_role};

/// Path of the node's certificate below the folder of the Engine's data.
const CERTIFICATE: &str = "/swarm/certificates/swarm-node.crt";

/// Number of readings in a row that must agree after a transition was seen.
const CALM_READINGS: u32 = 3;

impl SwarmGuard {
    /// Waits until the managers' list and the host's own Engine agree about the role of its node.
    /// Returns at once if they do, or if the Engine does not run in a swarm.
    ///
    /// # Errors
    /// A [`Refusal`] if they do not agree in time.
    pub(super) async fn wait_until_settled(
        &self,
        host: &HostName,
        engines: &dyn DockerReader,
    ) -> Result<(), Refusal> {
        let end = Instant::now() + self.patience;
        let mut calm = CALM_READINGS;
        loop {
            match self.transition(host, engines).await {
                None if calm >= CALM_READINGS => return Ok(()),
                None => calm += 1,
                Some(text) if Instant::now() >= end => return Err(self.never_settled(host, &text)),
                Some(_) => calm = 1,
            }
            sleep(self.pause).await;
        }
    }

    fn never_settled(&self, host: &HostName, text: &str) -> Refusal {
        Refusal {
            why: format!(
                "the role of {host} has not settled within {} s: {text}; an Engine that restarts or is promoted meanwhile may fail at \
                 every later start",
                self.patience.as_secs()
            ),
            hint: format!(
                "read `journalctl -u docker` on {host}; if its Engine does not settle, make the machine anew: `skep node rebuild {host}`"
            ),
        }
    }

    /// Returns the contradiction between the managers and the host's own Engine; `None` if they
    /// agree, or if the Engine is not active in a swarm.
    async fn transition(&self, host: &HostName, engines: &dyn DockerReader) -> Option<String> {
        let mut reports = self.reports(host, engines).await;
        let info = reports.get(host).and_then(DockerStatus::info)?.clone();
        if info.state != "active" {
            return None;
        }
        let listing = self.listing(host, &mut reports, engines).await.ok()??;
        let node = listing.nodes.iter().find(|node| node.id == info.node_id)?;
        if node.is_changing_role(info.control_available) {
            return Some(contradiction(node, info.control_available));
        }
        // During a demotion, all of these agree before the node has its new certificate. An Engine
        // that starts with the old one joins the voters again.
        let folder = Some(info.root_folder.as_str()).filter(|folder| !folder.is_empty());
        let certificate = format!("{}{CERTIFICATE}", folder.unwrap_or("/var/lib/docker"));
        let certificate = engines.content(host, &certificate).await?;
        let role = certificate_role(&certificate).filter(|role| *role != node.role)?;
        Some(format!(
            "the managers list its node as a {}, and its certificate is still that of a {}",
            node.role.word(),
            role.word()
        ))
    }
}

fn contradiction(node: &SwarmNode, control_available: bool) -> String {
    let wanted = match node.role {
        NodeRole::Manager => "a manager",
        NodeRole::Worker => "a worker",
    };
    let votes = if node.manager.is_some() {
        "has a vote"
    } else {
        "has no vote"
    };
    let own = if control_available {
        "acts as a manager"
    } else {
        "acts as a worker"
    };
    format!("the managers list its node as {wanted}, it {votes}, and its own Engine {own}")
}
