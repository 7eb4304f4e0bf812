//! Options that a connection takes from this machine rather than from the inventory. Per-host
//! settings are in `SshTarget`.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::transport::{HostKeyListener, SecretStore};

/// Options of a connection. The default comes from the environment.
#[derive(Debug, Clone)]
pub struct ConnectOptions {
    /// The Engine's socket on the host; default `/var/run/docker.sock`.
    pub docker_socket: String,
    /// Socket of the running agent; default: `SSH_AUTH_SOCK`.
    pub agent_socket: Option<PathBuf>,
    /// Time of silence after which the host gets a keepalive; default 15 s. After three unanswered
    /// keepalives the connection counts as lost.
    pub keepalive: Duration,
    /// Private keys that are tried when the inventory names no key; default `~/.ssh/id_ed25519`,
    /// `id_ecdsa`, `id_rsa`.
    pub default_identities: Vec<PathBuf>,
    /// Receives the host keys that are learned; default: nobody.
    pub host_key_listener: HostKeyListener,
    /// Passwords and passphrases, and the prompt for them; default: no secrets and no prompt.
    pub secrets: Arc<SecretStore>,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        let home = std::env::home_dir().unwrap_or_default();
        let names = ["id_ed25519", "id_ecdsa", "id_rsa"];
        Self {
            docker_socket: "/var/run/docker.sock".into(),
            agent_socket: std::env::var_os("SSH_AUTH_SOCK")
                .filter(|path| !path.is_empty())
                .map(PathBuf::from),
            keepalive: Duration::from_secs(15),
            default_identities: names
                .iter()
                .map(|name| home.join(".ssh").join(name))
                .collect(),
            host_key_listener: HostKeyListener::default(),
            secrets: Arc::default(),
        }
    }
}
