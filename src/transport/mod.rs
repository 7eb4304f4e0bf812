//! Reach: SSH, known hosts, privilege, the tunnel to the Engine, the host's lock, and a scripted host for tests.
//! Nothing above this module knows russh; russh breaks its interface often and stays behind [`Connection`].

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

pub use error::TransportError;
pub use exec::{Exec, ExecOutput, Privilege};
pub use host_lock::{HostLock, LockSettings};
pub use hyper::Method;
pub use known_hosts::{ForgetResult, KnownHosts, forget};
pub use network::{SshNetwork, connect_with};
pub use secrets::{KnownSecrets, SecretPrompt, SecretStore, read_value};
pub use ssh::{ConnectOptions, SshConnection};

/// One host's connection, held for the whole run. All methods may be called at once.
#[async_trait::async_trait]
pub trait Connection: Send + Sync {
    /// Runs a script on the host and brings back its whole output.
    ///
    /// A status other than 0 is an [`ExecOutput`], not an error: errors mean that nothing is known about the end of the command.
    ///
    /// # Errors
    /// [`TransportError`] when the connection, the time limit or sudo got in the way.
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, TransportError>;

    /// Opens a stream to the host's Engine: straight to its socket where the login may, else through
    /// `docker system dial-stdio` as root.
    ///
    /// # Errors
    /// [`TransportError::NoDocker`] when nothing listens there, others when the connection is lost.
    async fn open_docker(&self) -> Result<DockerStream, TransportError>;

    /// So many commands come soon, one after the other: what each needs on the way is opened for all of them at once, which saves a far
    /// host a round trip for each. Only a hint; by default nothing is done.
    fn prepare_for(&self, _commands: usize) {}

    /// How many streams to the Engine it can bear at once, once one was opened. Default 1.
    fn docker_streams(&self) -> usize {
        1
    }

    /// Ends the connection in order.
    async fn close(&self);
}

/// A stream to an Engine's API.
pub type DockerStream = Box<dyn ByteStream>;

/// Bytes in both directions.
pub trait ByteStream: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> ByteStream for T {}
