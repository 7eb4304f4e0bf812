//! Login, with OpenSSH's order of methods: keys (`publickey.rs`), then the server's questions and a
//! password (`password.rs`). Also builds the error if the server refuses all of them.

use russh::client::{AuthResult, Handle};
use russh::{MethodKind, MethodSet};

use super::agent::{self, SshAgent};
use super::handler::{ClientHandler, DisconnectState};
use super::options::ConnectOptions;
use crate::inventory::SshTarget;
use crate::transport::TransportError;
use crate::transport::ssh::login_deadline::LoginDeadline;
use crate::transport::ssh::publickey::OfferedKeys;

/// Methods by their names, in OpenSSH's order.
const METHODS: &[(&str, MethodKind)] = &[
    ("publickey", MethodKind::PublicKey),
    ("keyboard-interactive", MethodKind::KeyboardInteractive),
    ("password", MethodKind::Password),
];

/// Result of an authentication step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AuthOutcome {
    /// Logged in.
    LoggedIn,
    /// Accepted, but the server requires a further method.
    PartialSuccess,
    /// Not accepted.
    Refused,
}

/// State of a login: the methods that were tried, and the keys that could not be used.
pub(super) struct LoginAttempt<'a> {
    pub(super) handle: &'a mut Handle<ClientHandler>,
    pub(super) target: &'a SshTarget,
    pub(super) options: &'a ConnectOptions,
    pub(super) login_deadline: &'a LoginDeadline,
    pub(super) tried: Vec<String>,
    pub(super) partial_success: bool,
    pub(super) password_sent: bool,
    pub(super) questions_answered: bool,
    pub(super) cause: &'a DisconnectState,
    /// Fingerprint of a host key that is too new for passwords.
    pub(super) untrusted: Option<&'a str>,
    pub(super) offered: OfferedKeys,
    pub(super) agent: Option<SshAgent>,
    // Reason why the agent that the settings name is not usable.
    silent_agent: Option<String>,
    // Methods that the server still accepts, once it has named them.
    remaining: Option<MethodSet>,
}

/// Logs in.
///
/// # Errors
/// [`TransportError::Authentication`] or [`TransportError::AgentSilent`] when the server refuses
/// everything, [`TransportError::Key`] when no key could be offered because a file is not usable,
/// [`TransportError::PasswordWithheld`] when only a password is left and `untrusted` names the key
/// of the host, [`TransportError::Lost`] when the host closes the connection.
pub(super) async fn log_in(
    handle: &mut Handle<ClientHandler>,
    target: &SshTarget,
    options: &ConnectOptions,
    cause: &DisconnectState,
    login_deadline: &LoginDeadline,
    untrusted: Option<&str>,
) -> Result<(), TransportError> {
    let (agent, silent_agent) = agent::reach(target, options, login_deadline).await;
    let mut login = LoginAttempt {
        handle,
        target,
        options,
        login_deadline,
        tried: Vec::new(),
        partial_success: false,
        password_sent: false,
        questions_answered: false,
        cause,
        untrusted,
        offered: OfferedKeys::default(),
        agent,
        silent_agent,
        remaining: None,
    };
    if login.run().await? {
        Ok(())
    } else {
        Err(login.refused())
    }
}

impl LoginAttempt<'_> {
    async fn run(&mut self) -> Result<bool, TransportError> {
        let wanted: Vec<MethodKind> = match &self.target.ssh.methods {
            None => METHODS.iter().map(|(_, kind)| *kind).collect(),
            Some(names) => {
                let kind = |name: &String| {
                    METHODS
                        .iter()
                        .find(|(known, _)| known == name)
                        .map(|(_, kind)| *kind)
                };
                names.iter().filter_map(kind).collect()
            }
        };
        if wanted.is_empty() {
            return Err(TransportError::Settings {
                setting: "PreferredAuthentications".into(),
                place: format!("the SSH configuration of {}", self.target.name).into(),
                why: "skep supports none of the remaining methods".into(),
            });
        }
        // After each accepted method the server may require another; there are three methods.
        for _ in 0..METHODS.len() {
            match self.once(&wanted).await? {
                AuthOutcome::LoggedIn => return Ok(true),
                AuthOutcome::PartialSuccess => self.partial_success = true,
                AuthOutcome::Refused => break,
            }
        }
        if !self.tried.is_empty() {
            return Ok(false);
        }
        // There is nothing to offer, but the server may require no authentication.
        let result = self
            .handle
            .authenticate_none(self.target.user.as_str())
            .await;
        Ok(self
            .judge(MethodKind::None, result.map_err(|error| error.to_string()))
            .await?
            == AuthOutcome::LoggedIn)
    }

    async fn once(&mut self, wanted: &[MethodKind]) -> Result<AuthOutcome, TransportError> {
        for method in wanted {
            if !self.takes(*method) {
                continue;
            }
            let progress = match method {
                MethodKind::PublicKey => self.keys().await?,
                MethodKind::KeyboardInteractive => self.keyboard_interactive().await?,
                _ => self.password().await?,
            };
            if progress != AuthOutcome::Refused {
                return Ok(progress);
            }
        }
        Ok(AuthOutcome::Refused)
    }

    /// Returns true if the server may still accept the method.
    pub(super) fn takes(&self, method: MethodKind) -> bool {
        self.remaining
            .as_ref()
            .is_none_or(|remaining| remaining.contains(&method))
    }

    /// Interprets the server's answer to a method.
    pub(super) async fn judge(
        &mut self,
        method: MethodKind,
        result: Result<AuthResult, String>,
    ) -> Result<AuthOutcome, TransportError> {
        match result {
            Ok(AuthResult::Success) => Ok(AuthOutcome::LoggedIn),
            // russh reports "failure, nothing remains" for a connection that is gone.
            Ok(AuthResult::Failure {
                remaining_methods,
                partial_success,
            }) if !remaining_methods.is_empty() => {
                tracing::debug!(?method, partial_success, "not logged in yet");
                self.remaining = Some(remaining_methods);
                Ok(if partial_success {
                    AuthOutcome::PartialSuccess
                } else {
                    AuthOutcome::Refused
                })
            }
            Ok(AuthResult::Failure { .. }) | Err(_) => match self.cause.ending().await {
                Some(ending) if ending.too_many_keys => Err(self.refused()),
                Some(ending) => Err(TransportError::Lost(format!(
                    "during login: {}",
                    ending.why
                ))),
                None if self.handle.is_closed() => Err(TransportError::Lost("during login".into())),
                None => Ok(AuthOutcome::Refused),
            },
        }
    }

    fn refused(&mut self) -> TransportError {
        match self.offered.unusable.take() {
            Some(error) if self.tried.is_empty() => error,
            unusable => {
                let mut tried = self.tried.join(", ");
                if tried.is_empty() {
                    tried.push_str("there is no key or password to offer");
                }
                if let Some(TransportError::Key { path, place, why }) = unusable {
                    tried.push_str(&format!(
                        "; not usable: {} ({place}): {why}",
                        path.display()
                    ));
                }
                let (user, address) = (self.target.user.clone(), self.target.address.clone());
                match self.silent_agent.take() {
                    Some(agent) => TransportError::AgentSilent {
                        user,
                        address,
                        tried,
                        agent,
                    },
                    None => TransportError::Authentication {
                        user,
                        address,
                        tried,
                    },
                }
            }
        }
    }
}
