//! Client of the running SSH agent: lists its keys and certificates. Offering them is the job of
//! `publickey.rs`.

use std::path::{Path, PathBuf};

use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::{Certificate, PublicKey};
use tokio::net::UnixStream;

use super::options::ConnectOptions;
use crate::inventory::{IdentityAgent, SshTarget};
use crate::transport::ssh::login_deadline::LoginDeadline;

/// A connected agent with its keys and certificates, each with its comment.
pub(super) struct SshAgent {
    /// Name in messages: the socket, and the setting that names it.
    pub name: String,
    /// Client for signatures.
    pub client: AgentClient<UnixStream>,
    /// Keys of the agent.
    pub keys: Vec<(PublicKey, String)>,
    /// Certificates of the agent.
    pub certificates: Vec<(Certificate, String)>,
}

/// Connects to the agent that the host's settings name. The second value is the reason if an agent
/// is named and cannot be used.
pub(super) async fn reach(
    target: &SshTarget,
    options: &ConnectOptions,
    login_deadline: &LoginDeadline,
) -> (Option<SshAgent>, Option<String>) {
    let socket = match &target.ssh.identity_agent {
        _ if !target.agent => None,
        IdentityAgent::Off => None,
        IdentityAgent::Environment => options.agent_socket.clone(),
        IdentityAgent::Socket(path) => Some(path.clone()),
    };
    let Some(socket) = socket else {
        return (None, None);
    };
    let name = place(target, &socket);
    match login_deadline
        .while_waiting_for(format!("{name} to list its keys"), list(&socket))
        .await
    {
        Ok(agent) => (Some(SshAgent { name, ..agent }), None),
        Err(why) => {
            tracing::debug!(why, "the agent does not answer");
            (None, Some(format!("{name} does not answer: {why}")))
        }
    }
}

/// Returns the agent's socket and the setting that names it, for messages.
fn place(target: &SshTarget, socket: &Path) -> String {
    let source = match &target.ssh.identity_agent {
        IdentityAgent::Socket(_) => "IdentityAgent of the SSH configuration",
        IdentityAgent::Environment | IdentityAgent::Off => "SSH_AUTH_SOCK",
    };
    format!("the agent at {} ({source})", socket.display())
}

async fn list(socket: &Path) -> Result<SshAgent, String> {
    let words = |error: russh::keys::Error| error.to_string();
    let mut client = AgentClient::connect_uds(PathBuf::from(socket))
        .await
        .map_err(words)?;
    let identities = client.request_identities().await.map_err(words)?;
    let (mut keys, mut certificates) = (Vec::new(), Vec::new());
    for identity in identities {
        match identity {
            AgentIdentity::PublicKey { key, comment } => keys.push((key, comment)),
            AgentIdentity::Certificate {
                certificate,
                comment,
            } => certificates.push((certificate, comment)),
        }
    }
    Ok(SshAgent {
        name: String::new(),
        client,
        keys,
        certificates,
    })
}
