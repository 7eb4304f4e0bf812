//! Opens a connection: attempts have a time limit each, and are repeated while a machine boots or a
//! busy sshd drops connections (`MaxStartups`).

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use russh::client;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::bootstrap::LONGEST;
use super::dial::{Route, connect_error};
use super::elevate::Elevation;
use super::handler::{ClientHandler, DisconnectState, HandlerError, plain_words};
use super::options::ConnectOptions;
use super::stream::QuickStream;
use super::{SshConnection, algorithms, authenticate};
use crate::inventory::SshTarget;
use crate::transport::ssh::login_deadline::LoginDeadline;
use crate::transport::ssh::login_limiter;
use crate::transport::ssh::login_limiter::LoginLimiter;
use crate::transport::{KnownHosts, TransportError};

/// Number of retries after dropped connections, even without `connect_wait`.
const DROPPED_RETRIES: u32 = 8;

/// An attempt that failed.
struct ConnectFailure {
    error: TransportError,
    /// True if sshd accepted the connection and dropped it before the login, as with `MaxStartups`.
    dropped: bool,
}

impl From<TransportError> for ConnectFailure {
    fn from(error: TransportError) -> Self {
        Self {
            error,
            dropped: false,
        }
    }
}

/// Connects and logs in.
///
/// # Errors
/// [`TransportError`]; attempts with retryable errors were repeated for
/// [`SshTarget::connect_wait`].
pub(crate) async fn connect_via(
    route: &Route,
    target: &SshTarget,
    known: &KnownHosts,
    options: &ConnectOptions,
    login_limiter: &LoginLimiter,
) -> Result<Arc<SshConnection>, TransportError> {
    let start = Instant::now();
    let mut queued = Duration::ZERO;
    let mut dropped = 0;
    let mut tries = 0;
    loop {
        let queues = Instant::now();
        let permit = login_limiter
            .acquire(login_limiter::server_key(target))
            .await;
        queued += queues.elapsed();
        let failure = match attempt(route, target, known, options).await {
            Ok(connection) => {
                permit.logged_in();
                return Ok(Arc::new(connection));
            }
            Err(failure) => failure,
        };
        if failure.dropped {
            permit.dropped();
        } else {
            drop(permit);
        }
        let elapsed = start.elapsed();
        let waits = failure.error.is_retryable() && elapsed < target.connect_wait;
        // Time spent waiting for the login limiter does not count against the host's own time
        // limit.
        let again = failure.dropped
            && dropped < DROPPED_RETRIES
            && elapsed.saturating_sub(queued) < target.connect_timeout;
        if !waits && !again {
            return Err(failure.error);
        }
        dropped += u32::from(failure.dropped);
        tracing::debug!(host = %target.name, error = %failure.error, "not connected yet");
        tokio::time::sleep(pause(tries)).await;
        tries += 1;
    }
}

/// Returns the pause before the next attempt: 0.1 s doubled each time up to 3.2 s, less a random
/// half, so that many hosts do not come back at the same moment.
fn pause(tries: u32) -> Duration {
    let whole = Duration::from_millis(100) * 2_u32.pow(tries.min(5));
    whole.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}

async fn attempt(
    route: &Route,
    target: &SshTarget,
    known: &KnownHosts,
    options: &ConnectOptions,
) -> Result<SshConnection, ConnectFailure> {
    let deadline = Instant::now() + target.connect_timeout.min(LONGEST);
    let late = |what: &str| {
        connect_error(
            target,
            format!("{what} timed out after {}", words(target.connect_timeout)),
            true,
        )
    };
    let (address, port) = target.known_name();
    let certificates = known.has_authority(address, port);
    let config = algorithms::config(
        target,
        &known.key_types(address, port),
        certificates,
        options.keepalive,
    )?;
    let become_password = options.secrets.become_password(target).await?;

    let (link, said) = match timeout_at(deadline, route.open(target)).await {
        Ok(result) => result?,
        Err(_) => return Err(late("connecting").into()),
    };
    // An early end of this attempt also ends russh's session task, which would keep the socket.
    let token = CancellationToken::new();
    let guard = token.clone().drop_guard();
    let stream = QuickStream::new(link, token)
        .map_err(|error| connect_error(target, error.to_string(), true))?;

    let cause = DisconnectState::new();
    let handler = ClientHandler {
        address: address.to_owned(),
        port,
        known: known.clone(),
        policy: target.host_key_policy,
        hash: target.ssh.hash_known_hosts,
        cause: cause.clone(),
    };
    let mut handle =
        match timeout_at(deadline, client::connect_stream(config, stream, handler)).await {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) => return Err(handshake_failure(target, error, &said.text())),
            Err(_) => return Err(late("the SSH greeting and key exchange").into()),
        };
    let login_deadline = LoginDeadline::until(deadline);
    match login_deadline
        .limit(authenticate::log_in(
            &mut handle,
            target,
            options,
            &cause,
            &login_deadline,
        ))
        .await
    {
        // Debian 13's sshd closes the connection when PAM accepts no login.
        Some(Err(
            TransportError::Authentication { .. }
            | TransportError::AgentSilent { .. }
            | TransportError::Lost(_),
        )) if cause.is_booting() => {
            let why = "the machine is booting up and accepts no login yet".to_owned();
            return Err(connect_error(target, why, true).into());
        }
        Some(result) => result?,
        None => {
            let waited = login_deadline
                .helper()
                .map(|helper| format!(": waited for {helper}"))
                .unwrap_or_default();
            return Err(connect_error(
                target,
                format!(
                    "the login timed out after {}{waited}",
                    words(target.connect_timeout)
                ),
                waited.is_empty(),
            )
            .into());
        }
    }
    let elevation = Elevation::new(target, become_password);
    Ok(SshConnection::new(
        handle,
        cause,
        guard,
        elevation,
        route.clone(),
        options,
    ))
}

/// Turns the error of a handshake into a failed attempt. `said` is the stderr of the
/// `ProxyCommand`.
fn handshake_failure(target: &SshTarget, error: HandlerError, said: &str) -> ConnectFailure {
    let dropped = match &error {
        HandlerError::Ours(_) => false,
        HandlerError::Russh(russh::Error::HUP | russh::Error::Disconnect) => true,
        HandlerError::Russh(russh::Error::IO(error)) => {
            matches!(
                error.kind(),
                ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof
            )
        }
        HandlerError::Russh(_) => false,
    };
    match error {
        HandlerError::Ours(error) => ConnectFailure { error, dropped },
        HandlerError::Russh(russh::Error::NoCommonAlgo { kind, ours, theirs }) => {
            algorithms::nothing_in_common(target, &kind, &ours, &theirs).into()
        }
        error => {
            let mut why = plain_words(&error);
            if !said.is_empty() {
                why.push_str(&format!(" (stderr of its ProxyCommand: {said})"));
            }
            // A program that ends does not mean a busy server, unless the program is `ssh` and its
            // own server dropped the connection.
            let dropped_it = said.is_empty() || said.contains("kex_exchange_identification");
            ConnectFailure {
                error: connect_error(target, why, dropped),
                dropped: dropped && dropped_it,
            }
        }
    }
}

fn words(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
