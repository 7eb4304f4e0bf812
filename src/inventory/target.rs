//! The connection settings of one host, merged from all sources.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use super::SshSettings;
use crate::names::HostName;

/// Source of a setting's value. A setting without an origin has its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SettingOrigin {
    /// The inventory, which overrides the SSH configuration.
    Inventory,
    /// The user's or the system's SSH configuration.
    SshConfig,
}

/// SSH configuration to read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SshConfigFile {
    /// The files that `ssh` reads: `~/.ssh/config` and `/etc/ssh/ssh_config`.
    #[default]
    Usual,
    /// No SSH configuration.
    Off,
    /// Only this file, as with `ssh -F`.
    File(PathBuf),
}

/// Connection settings of one host. The inventory merges them from `[defaults]` and the host's own
/// settings.
#[derive(Debug, Clone)]
pub struct SshTarget {
    /// Name of the host in the inventory.
    pub name: HostName,
    /// Name or address that SSH connects to.
    pub address: String,
    /// TCP port; default 22.
    pub port: u16,
    /// Login account; default: the name of the local user.
    pub user: String,
    /// Private keys to offer, in order. Empty means the agent's keys, then `~/.ssh/id_ed25519`,
    /// `id_ecdsa`, `id_rsa`.
    pub identity_files: Vec<PathBuf>,
    /// True if the running agent (`SSH_AUTH_SOCK`) is used; default true.
    pub agent: bool,
    /// True if commands run through `sudo`; default false. Root logins never use sudo.
    pub become_root: bool,
    /// Account that sudo switches to; default root.
    pub become_user: String,
    /// Local command that prints the password for sudo; default none.
    pub become_password_command: Option<String>,
    /// Local command that prints the login password; default none.
    pub password_command: Option<String>,
    /// Policy for unknown host keys.
    pub host_key_policy: HostKeyPolicy,
    /// Files of known hosts; new keys are written to the first. Default: `~/.ssh/known_hosts`, then
    /// `/etc/ssh/ssh_known_hosts`.
    pub known_hosts: Vec<PathBuf>,
    /// Time limit for one attempt to connect and log in; default 10 s.
    pub connect_timeout: Duration,
    /// Time during which refused or silent connections are retried while a machine boots. Default:
    /// 0 s, which means one attempt.
    pub connect_wait: Duration,
    /// SSH configuration that fills in settings that the inventory does not give; default: the
    /// files that `ssh` reads.
    pub ssh_config: SshConfigFile,
    /// Settings that only come from `proxy_jump`, `proxy_command`, `host_key_alias` and the SSH
    /// configuration.
    pub ssh: SshSettings,
    /// Reason why the machine is not running now, if the source of the inventory knows it.
    pub not_running: Option<String>,
    /// Origins of the values that are not defaults, by setting.
    pub origins: BTreeMap<&'static str, SettingOrigin>,
}

impl SshTarget {
    /// Makes the settings of a host of which only name and address are known. Every other setting
    /// has its default, and the user is root.
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

    /// Makes the settings of a host that is in no inventory, with the local user's name and files.
    #[must_use]
    pub fn unlisted(host: &str) -> Self {
        super::settings::ConnectionSettings::default().target(HostName::new(host), host.to_owned())
    }

    /// Returns true if the inventory gives this setting. A weaker source must not override it.
    #[must_use]
    pub fn is_given(&self, setting: &str) -> bool {
        self.origins.get(setting) == Some(&SettingOrigin::Inventory)
    }

    /// Returns the name and port of the server in known hosts files: `HostKeyAlias` if it is set
    /// (with port 22), otherwise the name or address and the port.
    #[must_use]
    pub fn known_name(&self) -> (&str, u16) {
        match &self.ssh.host_key_alias {
            Some(alias) => (alias, 22),
            None => (&self.address, self.port),
        }
    }
}

/// Policy for a host key that is in no known hosts file. A changed key is always refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostKeyPolicy {
    /// Refuse the key.
    Strict,
    /// Ask a person about the key. Without a terminal, refuse the key.
    Ask,
    /// Accept the key and record it.
    AcceptNew,
    /// Accept the key and record it, but send no password in the run that has learned it.
    #[default]
    AcceptNewWithoutPasswords,
}

impl HostKeyPolicy {
    /// Every policy, with its name in the inventory and on the command line.
    pub const NAMES: [(&'static str, Self); 4] = [
        ("strict", Self::Strict),
        ("ask", Self::Ask),
        ("accept-new", Self::AcceptNew),
        (
            "accept-new-without-passwords",
            Self::AcceptNewWithoutPasswords,
        ),
    ];

    /// Returns the name of the policy in the inventory.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, policy)| *policy == self)
            .map_or("strict", |(name, _)| name)
    }

    /// Returns true if unknown keys are accepted without a person.
    #[must_use]
    pub fn accepts_new(self) -> bool {
        matches!(self, Self::AcceptNew | Self::AcceptNewWithoutPasswords)
    }
}
