//! Transport to hosts: SSH, known hosts, privileges, streams to Docker Engine, the host's lock, and
//! a scripted host for tests. No module above this one uses russh: russh changes its interface
//! often and stays behind [`Connection`].

mod batch;
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

pub use batch::{BatchOutput, StepBatch, StepProgress};
pub use error::{PrivilegeReason, SettingPlace, TransportError};
pub use exec::{Exec, ExecOutput, Privilege, StepLock};
pub use host_lock::{HostLock, LOOK_AT_LOCK, LockSettings};
pub use hyper::Method;
pub use known_hosts::{ForgetResult, HostKeyListener, KnownHosts, LearnedHostKey, forget};
pub use network::{SshNetwork, connect_with};
pub use secrets::{KnownSecrets, SecretPrompt, SecretStore, encrypt_for, read_value};
pub use ssh::{ConnectOptions, SshConnection};

use tokio_util::sync::CancellationToken;

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

    /// Runs steps in order until one of them fails, and a reading after them. A connection may send
    /// them all together. After `stop`, no further step begins, and the running one ends.
    async fn exec_batch(&self, batch: StepBatch, stop: &CancellationToken) -> BatchOutput {
        batch.run_one_by_one(self, stop).await
    }

    /// Opens a stream to the host's Engine, as root if the login may become root. Never starts a
    /// stopped Engine, as a connection to a socket of systemd would.
    ///
    /// # Errors
    /// [`TransportError`] when the connection is lost. That no Engine responds may be the error of
    /// the first read: its inner error is then [`TransportError::NoDocker`].
    async fn open_docker(&self) -> Result<DockerStream, TransportError>;

    /// Announces that this many commands of root follow soon, one after the other. A connection may
    /// start the shells for all of them at once, which saves two round trips per command on a
    /// distant host. This is only a hint; the default does nothing.
    fn prepare_for(&self, _commands: usize) {}

    /// Announces that commands of root follow until the end of the run, up to this many at the same
    /// time. This is only a hint; the default does nothing.
    fn keep_prepared(&self, _commands: usize) {}

    /// Returns the maximum number of concurrent streams to the Engine. Default 1.
    fn docker_streams(&self) -> usize {
        1
    }

    /// Tells that a stream to the Engine failed before the Engine answered; returns true if another
    /// attempt may succeed, because the reason was learned. Default false.
    fn docker_stream_failed(&self, _error: &TransportError) -> bool {
        false
    }

    /// Tells that a stream to the Engine broke: the next stream is opened only after another check
    /// that a process listens. The default does nothing.
    fn docker_stream_broke(&self) {}

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
