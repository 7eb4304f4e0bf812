//! Passwords and passphrases of a run, from a prompt, the environment or a command. Each is
//! obtained once, and held in a type that wipes its memory and never prints its value.

mod approvals;
mod command;
mod passphrases;
mod value;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use tokio::sync::Mutex;

use self::approvals::HostKeyApprovals;
use self::passphrases::UnlockedKeys;
use super::TransportError;
use crate::inventory::SshTarget;
pub use value::{encrypt_for, read_value};

/// Prompt for secrets. The command line provides an implementation that uses the terminal.
#[async_trait]
pub trait SecretPrompt: Send + Sync {
    /// Returns the answer, which is not shown while the user types it; `None` when there is no user
    /// to prompt or the answer is empty.
    async fn ask(&self, question: &str) -> Option<SecretString>;

    /// Returns true if the user answers a question with yes. The default has no user to prompt.
    async fn confirm(&self, _question: &str) -> bool {
        false
    }
}

/// Secrets that are known without a prompt. The default has none.
#[derive(Clone, Default)]
pub struct KnownSecrets {
    /// Password of the login, from `--ask-pass` or `SKEP_SSH_PASSWORD`.
    pub password: Option<SecretString>,
    /// Password for sudo, from `--ask-become-pass` or `SKEP_BECOME_PASSWORD`.
    pub become_password: Option<SecretString>,
    /// Passphrase of keys, from `SKEP_KEY_PASSPHRASE`.
    pub passphrase: Option<SecretString>,
}

/// Secrets of a run, shared by all its connections. The default has no secrets and no prompt.
#[derive(Default)]
pub struct SecretStore {
    known: KnownSecrets,
    asker: Option<Arc<dyn SecretPrompt>>,
    passphrases: UnlockedKeys,
    approvals: HostKeyApprovals,
    // Output of commands, by command line. The lock is held while a command runs, which makes each
    // command run only once.
    printed: Mutex<HashMap<String, Result<SecretString, TransportError>>>,
}

impl fmt::Debug for SecretStore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secrets(..)")
    }
}

impl SecretStore {
    /// Returns a store with the known secrets, and a prompt for the others.
    pub fn new(known: KnownSecrets, asker: Option<Arc<dyn SecretPrompt>>) -> Self {
        Self {
            known,
            asker,
            ..Self::default()
        }
    }

    /// Returns the password for the login, if there is one.
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

    /// Returns the password for sudo, if there is one.
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

    /// Returns the secret of the host's own command, which takes precedence over the secret for all
    /// hosts.
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

    /// Returns the user's answer to a question of a server; `None` when there is no user to prompt.
    pub(super) async fn answer(&self, question: &str) -> Option<SecretString> {
        self.asker.as_ref()?.ask(question).await
    }

    /// Returns true if the user trusts an unknown host key, which `line` describes; `None` when
    /// there is no user to prompt.
    pub(super) async fn approve_host_key(&self, line: String) -> Option<bool> {
        let asker = self.asker.as_ref()?;
        Some(self.approvals.approve(&**asker, line).await)
    }

    pub(super) fn passphrases(&self) -> &UnlockedKeys {
        &self.passphrases
    }

    /// Unlocks a key; the passphrase is requested for each key at most once per run. Afterwards
    /// [`UnlockedKeys::unlocked`] returns the key, or reports that it stays locked.
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

    /// Returns true if a locked key can perhaps be unlocked: there is a passphrase or a prompt.
    pub(super) fn can_unlock(&self) -> bool {
        self.known.passphrase.is_some() || self.asker.is_some()
    }
}
