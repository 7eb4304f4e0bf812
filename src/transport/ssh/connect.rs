//! Opens a connection: attempts have a time limit each, and are repeated while a machine boots or a
//! busy sshd drops connections (`MaxStartups`).

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use russh::client;
use russh::keys::{HashAlg, PublicKey};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use super::bootstrap::LONGEST;
use super::dial::{Route, connect_error};
use super::elevate::Elevation;
use super::handler::{ClientHandler, DisconnectState, HandlerError, PresentedKey, plain_words};
use super::options::ConnectOptions;
use super::stream::QuickStream;
use super::{SshConnection, algorithms, authenticate};
use crate::inventory::{HostKeyPolicy, SshTarget};
use crate::transport::known_hosts::lookup_name;
use crate::transport::ssh::login_deadline::LoginDeadline;
use crate::transport::ssh::login_limiter;
use crate::transport::ssh::login_limiter::LoginLimiter;
use crate::transport::{KnownHosts, LearnedHostKey, TransportError};

/// Number of retries after dropped connections, even without `connect_wait`.
const DROPPED_RETRIES: u32 = 8;

/// An attempt that failed.
struct ConnectFailure {
    error: TransportError,
    /// True if sshd accepted the connection and dropped it before the login, as with `MaxStartups`.
    dropped: bool,
    /// Key that the host presented, if the error is about an unknown key.
    unknown_key: Option<PublicKey>,
}

impl From<TransportError> for ConnectFailure {
    fn from(error: TransportError) -> Self {
        Self {
            error,
            dropped: false,
            unknown_key: None,
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
        // The question has no time limit of a connection: the host is contacted again afterwards.
        if target.host_key_policy == HostKeyPolicy::Ask
            && let Some(key) = &failure.unknown_key
            && approve(target, key, known, options).await?
        {
            continue;
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

/// Asks the user about an unknown key, and stores a trusted key; returns false if the key is not
/// trusted.
async fn approve(
    target: &SshTarget,
    key: &PublicKey,
    known: &KnownHosts,
    options: &ConnectOptions,
) -> Result<bool, TransportError> {
    let (address, port) = target.known_name();
    let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
    let name = lookup_name(address, port);
    let line = format!(
        "{} ({name}): {} {fingerprint}",
        target.name,
        key.algorithm()
    );
    if options.secrets.approve_host_key(line).await != Some(true) {
        return Ok(false);
    }
    let hash = target.ssh.hash_known_hosts;
    known.store_confirmed(address, port, key, hash).await?;
    notify(target, fingerprint, known, options);
    Ok(true)
}

/// Reports a key that was stored.
fn notify(target: &SshTarget, fingerprint: String, known: &KnownHosts, options: &ConnectOptions) {
    let (address, port) = target.known_name();
    options.host_key_listener.notify(&LearnedHostKey {
        host: target.name.clone(),
        name: lookup_name(address, port),
        fingerprint,
        file: known.first_file().cloned(),
    });
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
    let presented = PresentedKey::default();
    let handler = ClientHandler {
        address: address.to_owned(),
        port,
        known: known.clone(),
        policy: target.host_key_policy,
        hash: target.ssh.hash_known_hosts,
        required_rsa_size: target.ssh.required_rsa_size.unwrap_or_default(),
        presented: presented.clone(),
        cause: cause.clone(),
    };
    let shaken = timeout_at(deadline, client::connect_stream(config, stream, handler)).await;
    // Reported even if the handshake or the login fails: the key is stored.
    let learned = presented.learned();
    if let Some((fingerprint, true)) = &learned {
        notify(target, fingerprint.clone(), known, options);
    }
    let mut handle = match shaken {
        Ok(Ok(handle)) => handle,
        Ok(Err(error)) => {
            let mut failure = handshake_failure(target, error, &said.text());
            if matches!(failure.error, TransportError::HostKeyUnknown { .. }) {
                failure.unknown_key = presented.key();
            }
            return Err(failure);
        }
        Err(_) => return Err(late("the SSH greeting and key exchange").into()),
    };
    let learned = learned.map(|(fingerprint, _)| fingerprint);
    let untrusted = learned
        .clone()
        .filter(|_| target.host_key_policy != HostKeyPolicy::AcceptNew);
    let login_deadline = LoginDeadline::until(deadline);
    match login_deadline
        .limit(authenticate::log_in(
            &mut handle,
            target,
            options,
            &cause,
            &login_deadline,
            untrusted.as_deref(),
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
    let elevation = Elevation::new(target, become_password, untrusted);
    let connection = SshConnection::new(handle, cause, guard, elevation, route.clone(), options);
    Ok(connection.with_new_host_key(learned))
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
        HandlerError::Ours(error) => ConnectFailure {
            error,
            dropped,
            unknown_key: None,
        },
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
                unknown_key: None,
            }
        }
    }
}

fn words(duration: Duration) -> String {
    humantime::format_duration(duration).to_string()
}
