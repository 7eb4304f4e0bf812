//! Settings of SSH beyond those that every inventory has: as `ssh_config(5)` names them.

use std::path::PathBuf;
use std::time::Duration;

/// How the bytes get to the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SshProxy {
    /// By TCP.
    #[default]
    Direct,
    /// Through these hosts, the first one first: `[user@]host[:port],...`.
    Jump(String),
    /// Through the standard streams of a local command, tokens not yet replaced.
    Command(String),
}

/// Which agent is asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IdentityAgent {
    /// That of `SSH_AUTH_SOCK`.
    #[default]
    Environment,
    /// None.
    Off,
    /// The one that listens there.
    Socket(PathBuf),
}

/// Which addresses of a name count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AddressFamily {
    /// All.
    #[default]
    Any,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

/// How long a host may be silent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence after which it is asked whether it lives.
    pub interval: Duration,
    /// Unanswered questions after which it counts as lost.
    pub count: u32,
}

/// Settings that stand in an SSH configuration. `None` and empty mean: not given there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshSettings {
    /// `ProxyJump` and `ProxyCommand`.
    pub proxy: SshProxy,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `IdentitiesOnly`: of the agent's keys only the configured ones.
    pub identities_only: bool,
    /// `IdentityAgent`.
    pub identity_agent: IdentityAgent,
    /// `CertificateFile`, beside `KEY-cert.pub` of each key.
    pub certificate_files: Vec<PathBuf>,
    /// `HashKnownHosts`.
    pub hash_known_hosts: bool,
    /// `ServerAliveInterval` and `ServerAliveCountMax`.
    pub keepalive: Option<Keepalive>,
    /// `KexAlgorithms`.
    pub key_exchanges: Option<Vec<String>>,
    /// `Ciphers`.
    pub ciphers: Option<Vec<String>>,
    /// `MACs`.
    pub macs: Option<Vec<String>>,
    /// `HostKeyAlgorithms`.
    pub host_key_algorithms: Option<Vec<String>>,
    /// `PreferredAuthentications`, less what is switched off by `PubkeyAuthentication` and its like.
    pub methods: Option<Vec<String>>,
    /// `AddressFamily`.
    pub family: AddressFamily,
    /// `BindAddress`.
    pub bind_address: Option<String>,
}
