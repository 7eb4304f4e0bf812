//! Callbacks for russh: checks the host key, refuses channels that a server opens, and records the
//! reason of a lost connection (a channel ends without a reason).

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, ChannelOpenHandle, DisconnectReason, Msg, Session};
use russh::keys::{PublicKey, PublicKeyOrCertificate};
use russh::{Channel, ChannelId, ChannelOpenFailure, Disconnect};
use tokio::sync::watch;

use crate::inventory::HostKeyPolicy;
use crate::transport::known_hosts::HostKeyTrust;
use crate::transport::{KnownHosts, TransportError};

/// Reason for the end of a session.
#[derive(Debug, Clone)]
pub(super) struct SessionEnd {
    /// Reason in words.
    pub why: String,
    /// True if the server said that too many keys were tried.
    pub too_many_keys: bool,
}

/// State of a connection, which holds the reason of its end for each caller that finds it gone.
#[derive(Debug, Clone)]
pub(super) struct DisconnectState {
    ending: Arc<watch::Sender<Option<SessionEnd>>>,
    booting: Arc<AtomicBool>,
    // The server's texts about channels that it did not open; russh gives the opener only a number.
    refusals: Arc<Mutex<VecDeque<String>>>,
}

impl DisconnectState {
    /// Returns the state of a connection that is not lost.
    pub(super) fn new() -> Self {
        Self {
            ending: Arc::new(watch::Sender::new(None)),
            booting: Arc::default(),
            refusals: Arc::default(),
        }
    }

    /// Records the reason; only the first reason is kept.
    pub(super) fn set(&self, ending: SessionEnd) {
        self.ending.send_if_modified(|slot| {
            let first = slot.is_none();
            if first {
                *slot = Some(ending);
            }
            first
        });
    }

    /// Returns true if the server said before the login that its machine still boots
    /// (`pam_nologin`): refusals are temporary then.
    pub(super) fn is_booting(&self) -> bool {
        self.booting.load(Ordering::Relaxed)
    }

    /// Returns the server's text about a channel that it just refused to open; the oldest text if
    /// there are several.
    pub(super) async fn refusal(&self) -> Option<String> {
        // russh informs the opener first, so the text may come a little later.
        for _ in 0..50 {
            let words = self
                .refusals
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .pop_front();
            if words.is_some() {
                return words;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        None
    }

    fn note_refusal(&self, words: &str) {
        let words = harmless(words);
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        refusals.push_back(words);
        if refusals.len() > 64 {
            refusals.pop_front();
        }
    }

    /// Returns true if the connection is known to be gone.
    pub(super) fn is_lost(&self) -> bool {
        self.ending.borrow().is_some()
    }

    /// Waits up to 0.5 s for the reason; channels end a little before it is known.
    pub(super) async fn ending(&self) -> Option<SessionEnd> {
        let mut receiver = self.ending.subscribe();
        let waited = tokio::time::timeout(
            Duration::from_millis(500),
            receiver.wait_for(Option::is_some),
        )
        .await;
        waited.ok()?.ok()?.clone()
    }

    /// Returns the error for a connection that is gone.
    pub(super) async fn lost(&self) -> TransportError {
        let why = self.ending().await.map_or_else(
            || "it ended without a reason".to_owned(),
            |ending| ending.why,
        );
        TransportError::Lost(why)
    }
}

/// An error that passes through russh, from skep or from russh.
#[derive(Debug, thiserror::Error)]
pub(super) enum HandlerError {
    /// A refused host key.
    #[error(transparent)]
    Ours(#[from] TransportError),
    /// Any other error.
    #[error(transparent)]
    Russh(#[from] russh::Error),
}

/// The key that a host has presented. Clones share it.
#[derive(Debug, Clone, Default)]
pub(super) struct PresentedKey(Arc<Mutex<(Option<PublicKey>, Option<HostKeyTrust>)>>);

impl PresentedKey {
    fn set(&self, key: &PublicKey, trust: Option<HostKeyTrust>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Some(key.clone()), trust);
    }

    /// Returns the key.
    pub(super) fn key(&self) -> Option<PublicKey> {
        let presented = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        presented.0.clone()
    }

    /// Returns the fingerprint of a key that this run has learned, and true if this connection has
    /// stored it.
    pub(super) fn learned(&self) -> Option<(String, bool)> {
        match &self.0.lock().unwrap_or_else(PoisonError::into_inner).1 {
            Some(HostKeyTrust::Learned { fingerprint, first }) => {
                Some((fingerprint.clone(), *first))
            }
            Some(HostKeyTrust::Known) | None => None,
        }
    }
}

/// Callbacks of one session.
pub(super) struct ClientHandler {
    /// Name of the host in known hosts.
    pub address: String,
    /// The TCP port.
    pub port: u16,
    /// Known keys.
    pub known: KnownHosts,
    /// Policy for unknown keys.
    pub policy: HostKeyPolicy,
    /// True if names of new hosts are stored as hashes.
    pub hash: bool,
    /// Smallest RSA key that is accepted, in bits.
    pub required_rsa_size: usize,
    /// Receives the presented key and the verdict about it.
    pub presented: PresentedKey,
    /// Receives the reason of the end.
    pub cause: DisconnectState,
}

impl ClientHandler {
    /// Refuses an RSA key that is smaller than `RequiredRSASize`.
    fn check_rsa_size(&self, key: &PublicKey) -> Result<(), TransportError> {
        let Some(rsa) = key.key_data().rsa() else {
            return Ok(());
        };
        let bits = rsa.key_size() as usize;
        if bits >= self.required_rsa_size {
            return Ok(());
        }
        let required = self.required_rsa_size;
        Err(TransportError::Settings {
            setting: "RequiredRSASize".into(),
            place: format!("the SSH configuration of {}", self.address).into(),
            why: format!("the host's RSA key has {bits} bits, but {required} are required"),
        })
    }
}

/// Refuses channels that a server opens: skep forwards nothing.
macro_rules! refuse {
    ($($name:ident($($argument:ident: $type:ty),*);)*) => { $(
        async fn $name(
            &mut self, channel: Channel<Msg>, $($argument: $type,)* reply: ChannelOpenHandle, _: &mut Session,
        ) -> Result<(), Self::Error> {
            $(let _ = $argument;)*
            drop(channel);
            drop(reply);
            Ok(())
        }
    )* };
}

impl client::Handler for ClientHandler {
    type Error = HandlerError;

    async fn check_server_key(
        &mut self,
        shown: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        let key = match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } => key.clone(),
            PublicKeyOrCertificate::Certificate(certificate) => {
                match self.known.vouches(&self.address, self.port, certificate)? {
                    Ok(()) => return Ok(true),
                    // As in OpenSSH: the key in the certificate may be known by itself.
                    Err(why) => tracing::debug!(why, "a host certificate is not accepted"),
                }
                certificate.public_key().clone().into()
            }
        };
        self.check_rsa_size(&key)?;
        self.presented.set(&key, None);
        let trust = self
            .known
            .verify(&self.address, self.port, &key, self.policy, self.hash)
            .await?;
        self.presented.set(&key, Some(trust));
        Ok(true)
    }

    async fn auth_banner(&mut self, banner: &str, _: &mut Session) -> Result<(), Self::Error> {
        if banner.contains("booting up") || banner.contains("not permitted to log in yet") {
            self.cause.booting.store(true, Ordering::Relaxed);
        }
        Ok(())
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        reason: ChannelOpenFailure,
        description: &str,
        _: &str,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.cause.note_refusal(if description.is_empty() {
            "no reason given"
        } else {
            description
        });
        tracing::debug!(?reason, description, "a channel was not opened");
        Ok(())
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        let ending = match reason {
            DisconnectReason::ReceivedDisconnect(info) => SessionEnd {
                too_many_keys: matches!(info.reason_code, Disconnect::NoMoreAuthMethodsAvailable)
                    || info.message.starts_with("Too many authentication failures"),
                why: format!(
                    "the host closed the connection: {}",
                    harmless(info.message.trim())
                ),
            },
            DisconnectReason::Error(error) => SessionEnd {
                why: plain_words(&error),
                too_many_keys: false,
            },
        };
        self.cause.set(ending);
        Ok(())
    }

    refuse! {
        server_channel_open_forwarded_tcpip(a: &str, b: u32, c: &str, d: u32);
        server_channel_open_forwarded_streamlocal(a: &str);
        server_channel_open_agent_forward();
        server_channel_open_unknown();
        server_channel_open_session();
        server_channel_open_direct_tcpip(a: &str, b: u32, c: &str, d: u32);
        server_channel_open_direct_streamlocal(a: &str);
        server_channel_open_x11(a: &str, b: u32);
    }
}

/// Returns a server's own text for messages: at most 200 characters, without control characters.
fn harmless(words: &str) -> String {
    words
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(200)
        .collect()
}

/// Returns the error in words that a user can act on, instead of russh's short names.
pub(super) fn plain_words(error: &HandlerError) -> String {
    match error {
        HandlerError::Russh(russh::Error::HUP | russh::Error::Disconnect) => {
            "the host closed the connection".into()
        }
        HandlerError::Russh(russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout) => {
            "the host was silent for too long".into()
        }
        HandlerError::Russh(russh::Error::IO(error))
            if error.kind() == std::io::ErrorKind::UnexpectedEof =>
        {
            "the host closed the connection".into()
        }
        HandlerError::Russh(russh::Error::IO(error)) => error.to_string(),
        other => other.to_string(),
    }
}
