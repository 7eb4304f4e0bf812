//! SSH: one russh session per host for the whole run. This module handles russh's traps (dead
//! channels without a reason, writers that wait forever, sessions that outlive their owners); no
//! module above it needs to.

mod agent;
mod algorithm_list;
mod algorithms;
mod authenticate;
mod bootstrap;
mod certificate;
mod connect;
mod dial;
mod docker_socket;
mod elevate;
mod frame;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;
mod handler;
mod key_agent;
mod key_file;
mod login_deadline;
mod login_limiter;
mod options;
mod password;
mod proxy_command;
mod publickey;
mod scan;
mod session;
mod stream;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, Disconnect};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::DropGuard;

pub(super) use self::connect::connect_via;
pub(super) use self::dial::Route;
use self::elevate::{Elevation, SudoAction};
use self::handler::{ClientHandler, DisconnectState, SessionEnd};
pub use self::options::ConnectOptions;
pub(super) use self::scan::{line as known_line, scan};
use self::session::{CommandPrivilege, KillGroup};
use super::{Connection, DockerStream, Exec, ExecOutput, Privilege, TransportError};
pub(super) use crate::transport::ssh::login_limiter::LoginLimiter;

/// Maximum number of sessions on a connection: sshd allows 10 by default, and two are left for
/// other users of the connection.
const MOST_SESSIONS: usize = 8;

/// Maximum number of concurrent streams to an Engine if a stream costs no session: a check sends
/// about as many reads to a manager.
const MOST_ENGINE_STREAMS: usize = 4;

/// A channel, and its permit among the sessions that the host allows.
type SessionChannel = (Channel<Msg>, OwnedSemaphorePermit);

/// A logged-in connection to one host.
pub struct SshConnection {
    handle: Arc<Handle<ClientHandler>>,
    cause: DisconnectState,
    sessions: Arc<Semaphore>,
    // Channels that are open, or being opened, for expected commands.
    expected: Mutex<Vec<JoinHandle<Option<SessionChannel>>>>,
    elevation: Arc<Elevation>,
    docker_socket: String,
    // True if the login account may use the Engine's socket: a stream is then forwarded, and does
    // not count as a session.
    docker_socket_usable: AtomicBool,
    // Ends the socket and russh's session task when it is dropped.
    guard: Arc<DropGuard>,
    // Fingerprint of the host's key, if this run has learned it.
    new_host_key: Option<String>,
    // Keeps a jump host's connection as long as the connections through it.
    _route: Route,
}

impl SshConnection {
    fn new(
        handle: Handle<ClientHandler>,
        cause: DisconnectState,
        guard: DropGuard,
        elevation: Elevation,
        route: Route,
        options: &ConnectOptions,
    ) -> Self {
        Self {
            handle: Arc::new(handle),
            cause,
            sessions: Arc::new(Semaphore::new(MOST_SESSIONS)),
            expected: Mutex::default(),
            elevation: Arc::new(elevation),
            docker_socket: options.docker_socket.clone(),
            docker_socket_usable: AtomicBool::new(false),
            guard: Arc::new(guard),
            new_host_key: None,
            _route: route,
        }
    }

    /// Sets the fingerprint of a host key that this run has learned.
    fn with_new_host_key(self, fingerprint: Option<String>) -> Self {
        Self {
            new_host_key: fingerprint,
            ..self
        }
    }

    /// Returns true if the connection is known to be gone.
    pub(super) fn is_lost(&self) -> bool {
        self.cause.is_lost() || self.handle.is_closed()
    }

    /// Returns the function that ends an abandoned command: it runs a further command, on a session
    /// beyond the counted ones.
    fn end_group(&self, privilege: Privilege) -> KillGroup {
        let elevation = Arc::clone(&self.elevation);
        let handle = Arc::clone(&self.handle);
        // Keeps the socket, although the connection itself may be dropped in the meantime.
        let guard = Arc::clone(&self.guard);
        let end = async move |group: u32| {
            let number = rand::random();
            let Ok(command) = bootstrap::end_group(group, &privilege, &elevation, number) else {
                return;
            };
            let Ok(mut channel) = handle.channel_open_session().await else {
                return;
            };
            let mut dialogue = elevation.dialogue(&privilege, number);
            if channel.exec(false, command).await.is_ok() {
                while let Some(message) = channel.wait().await {
                    if let ChannelMsg::ExtendedData { data, .. } = message
                        && let Some(Ok(SudoAction::Send(line))) = dialogue
                            .as_mut()
                            .map(|dialogue| dialogue.follow(&data, &elevation))
                    {
                        let _ = channel.data_bytes(line).await;
                    }
                }
            }
            let _ = channel.close().await;
            drop(guard);
        };
        Box::new(move |group| {
            Box::pin(async move {
                let _ = tokio::time::timeout(Duration::from_secs(5), end(group)).await;
            })
        })
    }

    async fn run(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        self.elevation.check(&exec.privilege)?;
        let number = rand::random();
        let bootstrap = bootstrap::build(&exec, &self.elevation, number)?;
        let (channel, permit) = self.session().await?;
        let privilege = CommandPrivilege {
            elevation: Arc::clone(&self.elevation),
            through_sudo: self.elevation.is_needed(&exec.privilege),
            dialogue: self.elevation.dialogue(&exec.privilege, number),
        };
        let end_group = self.end_group(exec.privilege.clone());
        session::run(
            channel,
            permit,
            exec,
            bootstrap,
            self.cause.clone(),
            privilege,
            end_group,
        )
        .await
    }

    /// Returns a session channel that was opened for an expected command.
    async fn expected_session(&self) -> Option<SessionChannel> {
        let next = || {
            self.expected
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop()
        };
        // After a refused channel there may be a granted one, which no other caller would use.
        while let Some(opening) = next() {
            if let Ok(Some(session)) = opening.await {
                return Some(session);
            }
        }
        None
    }

    /// Opens a session channel, and waits for a free place first. A host that allows fewer sessions
    /// than expected refuses with "connect failed": skep then waits for one of its own sessions to
    /// end.
    async fn session(&self) -> Result<SessionChannel, TransportError> {
        if let Some(session) = self.expected_session().await {
            return Ok(session);
        }
        let sessions = Arc::clone(&self.sessions);
        let Ok(permit) = sessions.acquire_owned().await else {
            return Err(self.cause.lost().await);
        };
        for tries in 1..=20 {
            match self.handle.channel_open_session().await {
                Ok(channel) => return Ok((channel, permit)),
                Err(russh::Error::ChannelOpenFailure(reason)) => {
                    if self.sessions.available_permits() + 1 >= MOST_SESSIONS && tries > 3 {
                        return Err(TransportError::NoShell(format!(
                            "the host refuses to open a session ({reason:?})"
                        )));
                    }
                    tokio::time::sleep(Duration::from_millis(50) * tries).await;
                }
                Err(_) => return Err(self.cause.lost().await),
            }
        }
        Err(TransportError::NoShell(
            "the host refuses to open a further session (MaxSessions)".into(),
        ))
    }
}

#[async_trait]
impl Connection for SshConnection {
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        // sudo's requirements on this host are not known before the first command through sudo.
        let spare = (self.elevation.is_needed(&exec.privilege) && !self.elevation.is_proven())
            .then(|| exec.clone());
        match (self.run(exec).await, spare) {
            (Err(error), Some(again)) if self.elevation.learn(&error) => self.run(again).await,
            (result, _) => result,
        }
    }

    async fn open_docker(&self) -> Result<DockerStream, TransportError> {
        docker_socket::open(self).await
    }

    fn prepare_for(&self, commands: usize) {
        let mut expected = self.expected.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..commands {
            // Does not wait for a free place: if there is none, the command itself waits.
            let Ok(permit) = Arc::clone(&self.sessions).try_acquire_owned() else {
                return;
            };
            let handle = Arc::clone(&self.handle);
            expected.push(tokio::spawn(async move {
                Some((handle.channel_open_session().await.ok()?, permit))
            }));
        }
    }

    fn docker_streams(&self) -> usize {
        if self.docker_socket_usable.load(Ordering::Relaxed) {
            MOST_ENGINE_STREAMS
        } else {
            1
        }
    }

    fn new_host_key(&self) -> Option<&str> {
        self.new_host_key.as_deref()
    }

    async fn close(&self) {
        self.cause.set(SessionEnd {
            why: "skep closed it".into(),
            too_many_keys: false,
        });
        let goodbye = async {
            let _ = self
                .handle
                .disconnect(Disconnect::ByApplication, "done", "")
                .await;
            // A queued message is not sent yet: the session closes its end of the queue when it has
            // ended.
            while !self.handle.is_closed() {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let _ = tokio::time::timeout(Duration::from_secs(2), goodbye).await;
    }
}
