//! SSH settings beyond the connection settings of an inventory, named as in `ssh_config(5)`.

use std::path::PathBuf;
use std::time::Duration;

/// Transport to the host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SshProxy {
    /// Direct TCP connection.
    #[default]
    Direct,
    /// Jump hosts in the order of the route: `[user@]host[:port],...`.
    Jump(String),
    /// Standard streams of a local command; its tokens are not expanded yet.
    Command(String),
}

/// SSH agent to use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum IdentityAgent {
    /// The agent of `SSH_AUTH_SOCK`.
    #[default]
    Environment,
    /// No agent.
    Off,
    /// The agent that listens on this socket.
    Socket(PathBuf),
}

/// Address family to use when a name has several addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum AddressFamily {
    /// Both families.
    #[default]
    Any,
    /// IPv4 only.
    Inet,
    /// IPv6 only.
    Inet6,
}

/// Limits on the silence of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keepalive {
    /// Silence after which a keepalive request is sent.
    pub interval: Duration,
    /// Number of unanswered keepalive requests after which the connection counts as lost.
    pub count: u32,
}

/// Settings from an SSH configuration. `None` and empty mean that the setting is not given there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SshSettings {
    /// `ProxyJump` and `ProxyCommand`.
    pub proxy: SshProxy,
    /// `HostKeyAlias`.
    pub host_key_alias: Option<String>,
    /// `IdentitiesOnly`: offer only the configured keys of the agent.
    pub identities_only: bool,
    /// `IdentityAgent`.
    pub identity_agent: IdentityAgent,
    /// `CertificateFile`, in addition to `KEY-cert.pub` of each key.
    pub certificate_files: Vec<PathBuf>,
    /// `HashKnownHosts`.
    pub hash_known_hosts: bool,
    /// `RevokedHostKeys`: files of keys that no host may present.
    pub revoked_host_keys: Vec<PathBuf>,
    /// `RequiredRSASize`: smallest RSA key of a host, in bits.
    pub required_rsa_size: Option<usize>,
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
    /// `PreferredAuthentications`, without the methods that `PubkeyAuthentication` and similar
    /// options disable.
    pub methods: Option<Vec<String>>,
    /// `AddressFamily`.
    pub family: AddressFamily,
    /// `BindAddress`.
    pub bind_address: Option<String>,
}
