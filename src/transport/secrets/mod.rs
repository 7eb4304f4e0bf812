//! Passwords and passphrases of a run: from a prompt, the environment or a command, asked for once, held in types that
//! wipe themselves and print nothing.

mod command;
mod passphrases;
mod value;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Mutex;

use self::passphrases::UnlockedKeys;
use super::TransportError;
use crate::inventory::SshTarget;
pub use value::read_value;

/// Asks the user. The command line gives one that has a terminal.
#[async_trait]
pub trait SecretPrompt: Send + Sync {
    /// The answer, not shown while it is typed; `None` when nobody can be asked or nothing was given.
    async fn ask(&self, question: &str) -> Option<SecretString>;
}

/// What is known without asking. The default is nothing.
#[derive(Clone, Default)]
pub struct KnownSecrets {
    /// The login's password, of `--ask-pass` or `SKEP_SSH_PASSWORD`.
    pub password: Option<SecretString>,
    /// The password for sudo, of `--ask-become-pass` or `SKEP_BECOME_PASSWORD`.
    pub become_password: Option<SecretString>,
    /// The passphrase of keys, of `SKEP_KEY_PASSPHRASE`.
    pub passphrase: Option<SecretString>,
}

/// Environment variables that hold secrets: programs that are started do not get them.
const VARIABLES: &[&str] = &[
    "SKEP_SSH_PASSWORD",
    "SKEP_BECOME_PASSWORD",
    "SKEP_KEY_PASSPHRASE",
];

/// Keeps secrets of the environment from a program.
pub(super) fn hide_secrets(command: &mut tokio::process::Command) {
    for variable in VARIABLES {
        command.env_remove(variable);
    }
}

/// Secrets of a run, shared by all its connections. The default knows none and asks nobody.
#[derive(Default)]
pub struct SecretStore {
    known: KnownSecrets,
    asker: Option<Arc<dyn SecretPrompt>>,
    passphrases: UnlockedKeys,
    // What commands printed, by command line. Held while a command runs, so that each runs once.
    printed: Mutex<HashMap<String, Result<SecretString, TransportError>>>,
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(..)")
    }
}

impl SecretStore {
    /// What is known, and who can be asked for the rest.
    pub fn new(known: KnownSecrets, asker: Option<Arc<dyn SecretPrompt>>) -> Self {
        Self {
            known,
            asker,
            ..Self::default()
        }
    }

    /// The password to log in with, when there is one.
    ///
    /// # Errors
    /// [`TransportError::Secret`] when the host's command for it fails.
    pub(super) async fn password(
        &self,
        target: &SshTarget,
    ) -> Result<Option<SecretString>, TransportError> {
        self.choose(
            self.known.password.as_ref(),
            target.password_command.as_deref(),
            "password_command",
        )
        .await
    }

    /// The password for sudo, when there is one.
    ///
    /// # Errors
    /// [`TransportError::Secret`] when the host's command for it fails.
    pub(super) async fn become_password(
        &self,
        target: &SshTarget,
    ) -> Result<Option<SecretString>, TransportError> {
        let command = target.become_password_command.as_deref();
        self.choose(
            self.known.become_password.as_ref(),
            command,
            "become_password_command",
        )
        .await
    }

    /// A host's own command is closer to it than what was given for all hosts.
    async fn choose(
        &self,
        known: Option<&SecretString>,
        command: Option<&str>,
        setting: &'static str,
    ) -> Result<Option<SecretString>, TransportError> {
        let Some(command) = command else {
            return Ok(known.cloned());
        };
        let mut printed = self.printed.lock().await;
        if let Some(result) = printed.get(command) {
            return result.clone().map(Some);
        }
        let result = command::first_line(command, setting).await;
        printed.insert(command.to_owned(), result.clone());
        result.map(Some)
    }

    /// The user's answer to a server's own question; `None` when nobody can be asked.
    pub(super) async fn answer(&self, question: &str) -> Option<SecretString> {
        self.asker.as_ref()?.ask(question).await
    }

    pub(super) fn passphrases(&self) -> &UnlockedKeys {
        &self.passphrases
    }

    /// Unlocks a key, asking at most once a run. Afterwards [`UnlockedKeys::unlocked`] has it, or it stays locked.
    pub(super) async fn unlock(&self, path: &std::path::Path, key: russh::keys::PrivateKey) {
        self.passphrases
            .unlock(
                path,
                key,
                self.known.passphrase.as_ref(),
                self.asker.as_deref(),
            )
            .await;
    }

    /// Whether a locked key has a chance.
    pub(super) fn can_unlock(&self) -> bool {
        self.known.passphrase.is_some() || self.asker.is_some()
    }
}
