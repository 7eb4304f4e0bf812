//! How one host is reached: every connection setting, merged.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::SshSettings;
use crate::names::HostName;

/// Where the value of a setting came from. Settings that are in no map of origins have their default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingOrigin {
    /// The inventory: it wins.
    Inventory,
    /// The user's or the system's SSH configuration.
    SshConfig,
}

/// Which SSH configuration counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SshConfigFile {
    /// What `ssh` reads: `~/.ssh/config` and `/etc/ssh/ssh_config`.
    #[default]
    Usual,
    /// None.
    Off,
    /// This file alone, as with `ssh -F`.
    File(PathBuf),
}

/// How one host is reached. Made by the inventory from `[defaults]` and the host's own settings.
#[derive(Debug, Clone)]
pub struct SshTarget {
    /// The host's name in the inventory.
    pub name: HostName,
    /// Name or address where SSH connects.
    pub address: String,
    /// TCP port; default 22.
    pub port: u16,
    /// Login account; default: the name of the local user.
    pub user: String,
    /// Private keys to offer, in order; empty means the agent, then ~/.ssh/id_ed25519, id_ecdsa, id_rsa.
    pub identity_files: Vec<PathBuf>,
    /// Whether the running agent (`SSH_AUTH_SOCK`) is asked; default true.
    pub agent: bool,
    /// Whether commands run through `sudo`; default false. Root logins never use sudo.
    pub become_root: bool,
    /// Whom sudo makes us; default root.
    pub become_user: String,
    /// A local command that prints the password for sudo; default none.
    pub become_password_command: Option<String>,
    /// A local command that prints the login's password; default none.
    pub password_command: Option<String>,
    /// What is done about an unknown host key.
    pub host_key_policy: HostKeyPolicy,
    /// Files of known hosts, first one written to; default ~/.ssh/known_hosts, then /etc/ssh/ssh_known_hosts.
    pub known_hosts: Vec<PathBuf>,
    /// Limit of time for one attempt to connect and log in; default 10 s.
    pub connect_timeout: Duration,
    /// How long refused or silent connections are tried again while a machine boots; default 0 s (one attempt).
    pub connect_wait: Duration,
    /// Which SSH configuration is read beneath the inventory; default: the usual one.
    pub ssh_config: SshConfigFile,
    /// What only `proxy_jump`, `proxy_command` and the SSH configuration say.
    pub ssh: SshSettings,
    /// Why there is nothing to connect to now, where the inventory's source knows it.
    pub not_running: Option<String>,
    /// Where values that are not defaults came from, by setting.
    pub origins: BTreeMap<&'static str, SettingOrigin>,
}

impl SshTarget {
    /// A host of which nothing but name and address is known: every other setting has its default, and the user is root.
    #[must_use]
    pub fn new(name: HostName, address: String) -> Self {
        Self {
            name,
            address,
            port: 22,
            user: "root".into(),
            identity_files: Vec::new(),
            agent: true,
            become_root: false,
            become_user: "root".into(),
            become_password_command: None,
            password_command: None,
            host_key_policy: HostKeyPolicy::default(),
            known_hosts: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            connect_wait: Duration::ZERO,
            ssh_config: SshConfigFile::default(),
            ssh: SshSettings::default(),
            not_running: None,
            origins: BTreeMap::new(),
        }
    }

    /// A host that no inventory has, with a user's own files.
    #[must_use]
    pub fn unlisted(host: &str) -> Self {
        super::settings::ConnectionSettings::default().target(HostName::new(host), host.to_owned())
    }

    /// Whether the inventory gave this setting, so that nothing weaker may.
    #[must_use]
    pub fn is_given(&self, setting: &str) -> bool {
        self.origins.get(setting) == Some(&SettingOrigin::Inventory)
    }

    /// What known hosts call the server: `HostKeyAlias` where there is one, else name or address and port.
    #[must_use]
    pub fn known_name(&self) -> (&str, u16) {
        match &self.ssh.host_key_alias {
            Some(alias) => (alias, 22),
            None => (&self.address, self.port),
        }
    }
}

/// What is done about a host key that no file knows. A changed key is refused always.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeyPolicy {
    /// Refuse.
    Strict,
    /// Accept and write it down, once.
    #[default]
    AcceptNew,
}
