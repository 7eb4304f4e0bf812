//! Transport to hosts: SSH, known hosts, privileges, streams to Docker Engine, the host's lock, and
//! a scripted host for tests. No module above this one uses russh: russh changes its interface
//! often and stays behind [`Connection`].

mod error;
mod exec;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod host_lock;
mod known_hosts;
mod network;
pub mod scripted;
mod secrets;
mod ssh;
mod ssh_config;

pub use error::{PrivilegeReason, SettingPlace, TransportError};
pub use exec::{Exec, ExecOutput, Privilege};
pub use host_lock::{HostLock, LockSettings};
pub use hyper::Method;
pub use known_hosts::{ForgetResult, HostKeyListener, KnownHosts, LearnedHostKey, forget};
pub use network::{SshNetwork, connect_with};
pub use secrets::{KnownSecrets, SecretPrompt, SecretStore, read_value};
pub use ssh::{ConnectOptions, SshConnection};

/// Connection to a host, held for the whole run. All methods may be called concurrently.
#[async_trait::async_trait]
pub trait Connection: Send + Sync {
    /// Runs a script on the host and returns its whole output.
    ///
    /// A status other than 0 is an [`ExecOutput`], not an error: an error means that the end of the
    /// command is unknown.
    ///
    /// # Errors
    /// [`TransportError`] when the connection is lost, the time limit is exceeded or sudo refuses.
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, TransportError>;

    /// Opens a stream to the host's Engine: directly to its socket if the login account may use it,
    /// otherwise through `docker system dial-stdio` as root.
    ///
    /// # Errors
    /// [`TransportError::NoDocker`] when no Engine responds, other variants when the connection is
    /// lost.
    async fn open_docker(&self) -> Result<DockerStream, TransportError>;

    /// Announces that this many commands follow soon, one after the other. A connection may open
    /// the channels for all of them at once, which saves one round trip per command on a distant
    /// host. This is only a hint; the default does nothing.
    fn prepare_for(&self, _commands: usize) {}

    /// Returns the maximum number of concurrent streams to the Engine, which is known once the
    /// first stream was opened. Default 1.
    fn docker_streams(&self) -> usize {
        1
    }

    /// Returns the SHA256 fingerprint of the host's key if this run has learned the key. Default
    /// `None`.
    fn new_host_key(&self) -> Option<&str> {
        None
    }

    /// Closes the connection in order.
    async fn close(&self);
}

/// A stream to the API of a Docker Engine.
pub type DockerStream = Box<dyn ByteStream>;

/// A stream of bytes in both directions.
pub trait ByteStream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> ByteStream for T {}
