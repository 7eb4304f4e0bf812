//! Login options of every verb that contacts hosts, and the sources of its secrets.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use secrecy::SecretString;

use crate::inventory::{HostKeyPolicy, SettingOrigin, SshConfigFile, SshTarget};
use crate::report::{Screen, literal};
use crate::transport::{KnownSecrets, SecretPrompt, SecretStore};

/// Options for the login on hosts.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct LoginArgs {
    /// SSH configuration instead of ~/.ssh/config and the system's; `none` for no configuration
    #[arg(short = 'F', long = "ssh-config", value_name = "FILE")]
    pub ssh_config: Option<PathBuf>,

    /// Policy for host keys that are not known: `strict`, `ask` or `accept-new` [default: host_keys
    /// of the inventory]
    #[arg(long, value_name = "POLICY", value_parser = host_keys)]
    pub host_keys: Option<HostKeyPolicy>,

    /// Ask once for the login password [env: SKEP_SSH_PASSWORD]
    #[arg(short = 'k', long)]
    pub ask_pass: bool,

    /// Ask once for the sudo password [env: SKEP_BECOME_PASSWORD]
    #[arg(short = 'K', long)]
    pub ask_become_pass: bool,
}

fn host_keys(word: &str) -> Result<HostKeyPolicy, String> {
    let known = HostKeyPolicy::NAMES;
    let found = known.iter().find(|(name, _)| *name == word);
    found.map(|(_, policy)| *policy).ok_or_else(|| {
        let names = known.map(|(name, _)| name);
        format!("the policies are {}", names.join(", "))
    })
}

impl LoginArgs {
    /// Returns the target with the options of the command line.
    ///
    /// # Errors
    /// Fails if the file of `-F` does not exist.
    pub(super) fn apply(&self, target: &SshTarget) -> anyhow::Result<SshTarget> {
        let ssh_config = match &self.ssh_config {
            None => target.ssh_config.clone(),
            Some(path) if path.as_os_str() == "none" => SshConfigFile::Off,
            Some(path) if path.is_file() => SshConfigFile::File(path.clone()),
            Some(path) => anyhow::bail!("file {} does not exist (--ssh-config)", path.display()),
        };
        let mut target = SshTarget {
            ssh_config,
            ..target.clone()
        };
        if let Some(policy) = self.host_keys {
            target.host_key_policy = policy;
            // As a setting of the inventory, it takes precedence over the SSH configuration.
            target.origins.insert("host_keys", SettingOrigin::Inventory);
        }
        Ok(target)
    }

    /// Returns the same options without password prompts: reading settings needs no passwords.
    pub(super) fn quiet(&self) -> Self {
        Self {
            ask_pass: false,
            ask_become_pass: false,
            ..self.clone()
        }
    }

    /// Returns the known secrets, with a prompt for others. Asks at once for the requested
    /// passwords, because hosts would wait for them later.
    ///
    /// # Errors
    /// Fails if a password is requested and there is no terminal.
    pub(super) fn secrets(&self, screen: &Screen) -> anyhow::Result<Arc<SecretStore>> {
        let ordered = |wanted: bool,
                       variable: &str,
                       question: &str|
         -> anyhow::Result<Option<SecretString>> {
            if !wanted {
                return Ok(std::env::var(variable)
                    .ok()
                    .filter(|secret| !secret.is_empty())
                    .map(SecretString::from));
            }
            match screen.ask_secret(question) {
                Some(secret) => Ok(Some(secret)),
                None => anyhow::bail!(
                    "no password was given for `{question}`; without a terminal, use {variable}"
                ),
            }
        };
        let known = KnownSecrets {
            password: ordered(self.ask_pass, "SKEP_SSH_PASSWORD", "Password to log in: ")?,
            become_password: ordered(
                self.ask_become_pass,
                "SKEP_BECOME_PASSWORD",
                "Password for sudo: ",
            )?,
            passphrase: ordered(false, "SKEP_KEY_PASSPHRASE", "")?,
        };
        let asker = Screen::has_keyboard()
            .then(|| Arc::new(TerminalPrompt(screen.clone())) as Arc<dyn SecretPrompt>);
        Ok(Arc::new(SecretStore::new(known, asker)))
    }
}

/// Asks on the terminal.
struct TerminalPrompt(Screen);

#[async_trait::async_trait]
impl SecretPrompt for TerminalPrompt {
    async fn ask(&self, question: &str) -> Option<SecretString> {
        let (screen, question) = (self.0.clone(), question.to_owned());
        tokio::task::spawn_blocking(move || screen.ask_secret(&question))
            .await
            .ok()
            .flatten()
    }

    async fn confirm(&self, question: &str) -> bool {
        let (screen, question) = (self.0.clone(), literal(question).into_owned());
        tokio::task::spawn_blocking(move || screen.ask_keyboard(&question))
            .await
            .unwrap_or(false)
    }
}
