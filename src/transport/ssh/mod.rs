//! SSH: one russh session per host for the whole run. This module handles russh's traps (dead
//! channels without a reason, writers that wait forever, sessions that outlive their owners); no
//! module above it needs to.

mod agent;
mod algorithm_list;
mod algorithms;
mod authenticate;
mod batch;
mod bootstrap;
mod certificate;
mod connect;
mod dial;
mod docker_listener;
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
mod shell;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use russh::client::{Handle, Msg};
use russh::{Channel, ChannelMsg, Disconnect};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::batch::BatchWatch;
pub(super) use self::connect::connect_via;
pub(super) use self::dial::Route;
use self::elevate::{Elevation, SudoAction};
use self::handler::{ClientHandler, DisconnectState, SessionEnd};
pub use self::options::ConnectOptions;
pub(super) use self::scan::{line as known_line, scan};
use self::session::{CommandContext, KillGroups};
use self::shell::{PreparedShells, WaitingShell};
use super::{
    BatchOutput, Connection, DockerStream, Exec, ExecOutput, Privilege, StepBatch, TransportError,
};
pub(super) use crate::transport::ssh::login_limiter::LoginLimiter;

/// Maximum number of sessions on a connection: sshd allows 10 by default, and two are left for
/// other users of the connection.
const MOST_SESSIONS: usize = 8;

/// Maximum number of concurrent streams to an Engine: a check sends about as many reads to a
/// manager. Each stream is a session.
const MOST_ENGINE_STREAMS: usize = 3;

/// A channel, and its permit among the sessions that the host allows.
type SessionChannel = (Channel<Msg>, OwnedSemaphorePermit);

/// A logged-in connection to one host.
pub struct SshConnection {
    handle: Arc<Handle<ClientHandler>>,
    cause: DisconnectState,
    sessions: Arc<Semaphore>,
    prepared: PreparedShells,
    elevation: Arc<Elevation>,
    docker_socket: String,
    // True if the host has no `docker` command: streams go through sshd itself.
    docker_direct: AtomicBool,
    // True once a command was run.
    used: AtomicBool,
    // True if the host refused a session below the usual number.
    crowded: AtomicBool,
    docker_listener: docker_listener::ListenerCheck,
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
            prepared: PreparedShells::default(),
            elevation: Arc::new(elevation),
            docker_socket: options.docker_socket.clone(),
            docker_direct: AtomicBool::new(false),
            used: AtomicBool::new(false),
            crowded: AtomicBool::new(false),
            docker_listener: docker_listener::ListenerCheck::default(),
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
    fn end_groups(&self, privilege: Privilege) -> KillGroups {
        let elevation = Arc::clone(&self.elevation);
        let handle = Arc::clone(&self.handle);
        // Keeps the socket, although the connection itself may be dropped in the meantime.
        let guard = Arc::clone(&self.guard);
        let end = async move |groups: Vec<u32>| {
            let number = rand::random();
            let Ok(command) = bootstrap::end_groups(&groups, &privilege, &elevation, number) else {
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
        Box::new(move |groups| {
            Box::pin(async move {
                let _ = tokio::time::timeout(Duration::from_secs(5), end(groups)).await;
            })
        })
    }

    async fn run(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        self.elevation.check(&exec.privilege)?;
        let number = rand::random();
        let mut bootstrap = bootstrap::build(&exec, &self.elevation, number)?;
        let inline = match exec.is_public && exec.stdin.is_empty() && self.is_new() {
            true => {
                WaitingShell::inline_command(&bootstrap.shell, &self.elevation, &bootstrap.text)?
            }
            false => None,
        };
        let shell = match inline {
            Some(command) => {
                bootstrap.text.clear();
                let (channel, permit) = self.session().await?;
                let shell = WaitingShell::run(channel, permit, command, None);
                match shell.await {
                    Some(shell) => shell,
                    None => return Err(self.cause.lost().await),
                }
            }
            None => self.shell(&bootstrap.shell).await?,
        };
        let context = CommandContext {
            elevation: Arc::clone(&self.elevation),
            through_sudo: self.elevation.is_needed(&exec.privilege),
            cause: self.cause.clone(),
            end_groups: self.end_groups(exec.privilege.clone()),
            watch: None,
        };
        let is_step = exec.lock.is_some();
        let output = session::run(shell, exec, bootstrap, context).await;
        if is_step {
            // The step may have stopped the Engine.
            self.docker_listener.forget();
            return output.and_then(|output| lock_refusal(output, number));
        }
        output
    }

    /// Runs a batch in one shell of root; `None` if its steps cannot travel together.
    ///
    /// # Errors
    /// [`TransportError`] when the batch cannot begin.
    async fn run_batch(
        &self,
        batch: &StepBatch,
        stop: &CancellationToken,
    ) -> Result<Option<BatchOutput>, TransportError> {
        if !self.elevation.becomes_root() {
            return Ok(None);
        }
        let mark = rand::random();
        let Some(bootstrap) = bootstrap::batch::build(batch, mark)? else {
            return Ok(None);
        };
        self.elevation.check(&Privilege::Root)?;
        let watch = BatchWatch::new(mark, batch.progress.clone());
        let limits: Vec<Duration> = batch.steps().map(|(_, step)| step.timeout).collect();
        let exec = Exec {
            timeout: limits.iter().sum::<Duration>() + batch.reading.timeout,
            output_limit: batch.reading.output_limit,
            ..Exec::root("")
        };
        let shell = self.shell(&Privilege::Root).await?;
        let context = CommandContext {
            elevation: Arc::clone(&self.elevation),
            through_sudo: self.elevation.is_needed(&Privilege::Root),
            cause: self.cause.clone(),
            end_groups: self.end_groups(Privilege::Root),
            watch: Some(watch.clone()),
        };
        let running = session::run(shell, exec, bootstrap, context);
        tokio::pin!(running);
        let result = tokio::select! {
            result = &mut running => result,
            () = stop.cancelled() => {
                let ((), result) = tokio::join!(self.hold_back(batch, "on"), running);
                // The run still writes its record.
                self.hold_back(batch, "off").await;
                result
            }
        };
        // A step may have stopped the Engine.
        self.docker_listener.forget();
        Ok(Some(watch.read(result, &limits)))
    }

    /// Tells the shell of a batch that the run was interrupted, so that no further change begins,
    /// or ends that.
    async fn hold_back(&self, batch: &StepBatch, state: &str) {
        let Some(lock) = batch.lock() else {
            return;
        };
        let exec = Exec {
            arguments: vec![lock.path.clone(), lock.token.clone(), state.to_owned()],
            timeout: Duration::from_secs(30),
            ..Exec::root(bootstrap::step_lock::HOLD_BACK)
        };
        if let Err(error) = self.run(exec).await {
            tracing::debug!(%error, "the batch was not held back");
        }
    }

    /// Returns true for the first command of a connection.
    fn is_new(&self) -> bool {
        !self.used.swap(true, Ordering::Relaxed)
    }

    /// Returns a shell of the account: a prepared one if there is one.
    async fn shell(&self, account: &Privilege) -> Result<WaitingShell, TransportError> {
        if *account == Privilege::Root
            && let Some(shell) = self.prepared.take().await
        {
            self.prepare(self.prepared.missing());
            return Ok(shell);
        }
        let (channel, permit) = self.session().await?;
        self.prepare(self.prepared.missing());
        match WaitingShell::start(channel, permit, account, &self.elevation).await {
            Ok(shell) => Ok(shell),
            Err(Some(error)) => Err(error),
            Err(None) => Err(self.cause.lost().await),
        }
    }

    /// Starts shells of root. Does not wait for a free place: if there is none, the command itself
    /// waits.
    fn prepare(&self, shells: usize) {
        if !self.elevation.is_possible() || self.crowded.load(Ordering::Relaxed) {
            return;
        }
        for _ in 0..shells {
            let Ok(permit) = Arc::clone(&self.sessions).try_acquire_owned() else {
                return;
            };
            self.prepared.start(&self.handle, permit, &self.elevation);
        }
    }

    /// Opens a session channel, and waits for a free place first. A host that allows fewer sessions
    /// than expected refuses with "connect failed": skep then waits for one of its own sessions to
    /// end.
    async fn session(&self) -> Result<SessionChannel, TransportError> {
        let sessions = Arc::clone(&self.sessions);
        let Ok(permit) = sessions.acquire_owned().await else {
            return Err(self.cause.lost().await);
        };
        for tries in 1..=20 {
            match self.handle.channel_open_session().await {
                Ok(channel) => return Ok((channel, permit)),
                Err(russh::Error::ChannelOpenFailure(reason)) => {
                    // No further session is opened ahead, which another command may need.
                    self.crowded.store(true, Ordering::Relaxed);
                    self.prepared.keep(0);
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

/// Returns the error of a step that did not run because of its lock; any other output unchanged.
fn lock_refusal(output: ExecOutput, mark: u128) -> Result<ExecOutput, TransportError> {
    if output.status != bootstrap::step_lock::REFUSED {
        return Ok(output);
    }
    let said = output.stderr_tail();
    match said.strip_prefix(&bootstrap::step_lock::refusal_mark(mark)) {
        Some(why) => Err(TransportError::Lock(why.trim().to_owned())),
        None => Ok(output),
    }
}

#[async_trait]
impl Connection for SshConnection {
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        // sudo's requirements on this host are not known before the first command through sudo.
        let unproven = self.elevation.is_needed(&exec.privilege) && !self.elevation.is_proven();
        let is_public = exec.is_public;
        let spare = (unproven || is_public).then(|| exec.clone());
        match (self.run(exec).await, spare) {
            // A server may refuse a long command line. Only a reading is public.
            (Err(TransportError::NoShell(_)), Some(again)) if is_public => {
                let again = Exec {
                    is_public: false,
                    ..again
                };
                self.run(again).await
            }
            (Err(error), Some(again)) if self.elevation.learn(&error) => {
                self.prepared.forget();
                self.run(again).await
            }
            (result, _) => result,
        }
    }

    async fn exec_batch(&self, batch: StepBatch, stop: &CancellationToken) -> BatchOutput {
        match self.run_batch(&batch, stop).await {
            Ok(Some(output)) => output,
            Ok(None) => batch.run_one_by_one(self, stop).await,
            Err(error) => BatchOutput {
                steps: vec![Err(error.clone())],
                interrupted: false,
                reading: Err(error),
            },
        }
    }

    async fn open_docker(&self) -> Result<DockerStream, TransportError> {
        docker_socket::open(self).await
    }

    fn prepare_for(&self, commands: usize) {
        self.prepare(commands);
    }

    fn keep_prepared(&self, commands: usize) {
        self.prepared.keep(commands);
        self.prepare(self.prepared.missing());
    }

    fn docker_stream_broke(&self) {
        self.docker_listener.forget();
    }

    fn docker_stream_failed(&self, error: &TransportError) -> bool {
        match error {
            TransportError::NoDocker { why, .. } if why == bootstrap::dial::NO_PROGRAM => {
                !self.docker_direct.swap(true, Ordering::Relaxed)
            }
            error if !self.elevation.is_proven() && self.elevation.learn(error) => {
                self.prepared.forget();
                true
            }
            _ => false,
        }
    }

    fn docker_streams(&self) -> usize {
        if self.crowded.load(Ordering::Relaxed) {
            1
        } else {
            MOST_ENGINE_STREAMS
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
