//! What can go wrong between here and a host. Each variant says whether trying again can help.

use std::path::PathBuf;
use std::time::Duration;

/// Why a host could not be reached, or a command's end is unknown. The host's name is added by the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No TCP connection, or no SSH greeting.
    #[error("cannot connect to {address}: {why}")]
    Connect {
        /// Where.
        address: String,
        /// The system's words.
        why: String,
        /// Whether a machine that boots would look like this.
        retryable: bool,
    },
    /// The inventory's source knows that the machine does not run, so nothing was tried.
    #[error("not running: {0}")]
    NotRunning(String),
    /// The name does not resolve.
    #[error("cannot resolve {name}: {why}")]
    Resolve {
        /// The name.
        name: String,
        /// The resolver's words.
        why: String,
    },
    /// The server takes none of our keys.
    #[error("{user}@{address} refused every key ({tried})")]
    Authentication {
        /// Login account.
        user: String,
        /// Where.
        address: String,
        /// Which keys were offered.
        tried: String,
    },
    /// A private key could not be used.
    #[error("cannot use key {} ({place}): {why}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The setting that names it, and where that stands.
        place: String,
        /// Why.
        why: String,
    },
    /// A setting cannot be followed.
    #[error("{setting} ({place}): {why}")]
    Settings {
        /// Its name.
        setting: String,
        /// Where it stands.
        place: String,
        /// Why.
        why: String,
    },
    /// A password cannot be had.
    #[error("{setting}: {why}")]
    Secret {
        /// The inventory's setting.
        setting: &'static str,
        /// Why; never what a command printed.
        why: String,
    },
    /// A host on the way is the trouble.
    #[error("through {hop}: {error}")]
    Jump {
        /// The jump host, and which setting names it.
        hop: String,
        /// Its trouble.
        error: Box<TransportError>,
    },
    /// No file knows the host's key and the policy is strict.
    #[error("host key of {address} is not known ({fingerprint})")]
    HostKeyUnknown {
        /// Where.
        address: String,
        /// SHA256 fingerprint of the key that was shown.
        fingerprint: String,
    },
    /// The host shows another key than the one that is known.
    #[error("HOST KEY CHANGED for {address}: known is {known} ({place}), shown is {shown}")]
    HostKeyChanged {
        /// Where.
        address: String,
        /// Fingerprint that is written down.
        known: String,
        /// File and line of the known key.
        place: String,
        /// Fingerprint of the key that was shown.
        shown: String,
    },
    /// The key is marked `@revoked`.
    #[error("host key of {address} is revoked ({place})")]
    HostKeyRevoked {
        /// Where.
        address: String,
        /// File and line.
        place: String,
    },
    /// A file of known hosts cannot be read or written.
    #[error("cannot use {}: {why}", path.display())]
    KnownHosts {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The connection broke; what the command did is not known.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The command took too long and was ended.
    #[error("no end within {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// More output than the limit.
    #[error("more than {0} bytes of output")]
    TooMuchOutput(usize),
    /// sudo does not let the account become root.
    #[error("{user}@{address} cannot become root: {why}")]
    Privilege {
        /// Login account.
        user: String,
        /// Where.
        address: String,
        /// sudo's words.
        why: String,
    },
    /// The account's login shell did not run what it was given.
    #[error("the host runs no command: {0}")]
    NoShell(String),
    /// A script, an argument or a name that no shell can be given.
    #[error("cannot be sent to a shell: {0}")]
    Unsendable(String),
    /// Another run works on the host.
    #[error("locked by {owner} (process {process}) since {since}, last heartbeat {} ago", humantime::format_duration(*silent_for))]
    Locked {
        /// Who, as `user@machine`.
        owner: String,
        /// Its process there.
        process: String,
        /// Since when, by the host's clock.
        since: String,
        /// How old the last heartbeat is.
        silent_for: Duration,
    },
    /// The host's lock cannot be made, kept or freed.
    #[error("cannot lock the host: {0}")]
    Lock(String),
    /// Something on this machine, not on the host, got in the way.
    #[error("on this machine: {0}")]
    Local(String),
    /// The `docker` command, which a stack needs, is not on this machine.
    #[error("the `docker` command is not on this machine; a stack's compose files are read by it")]
    NoClient,
    /// No Engine listens on the host.
    #[error("no Engine answers: {why}")]
    NoDocker {
        /// Whether an Engine is installed at all (the socket or the program exists).
        installed: bool,
        /// Why.
        why: String,
    },
}

impl TransportError {
    /// Whether the same attempt may succeed a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { retryable, .. } => *retryable,
            Self::Jump { error, .. } => error.is_retryable(),
            Self::Resolve { .. } | Self::Lost(_) | Self::Timeout(_) => true,
            _ => false,
        }
    }

    /// Whether the host itself is out of reach. With all others it answers, and only this command or this lock failed.
    #[must_use]
    pub fn loses_host(&self) -> bool {
        !matches!(
            self,
            Self::Timeout(_)
                | Self::TooMuchOutput(_)
                | Self::Unsendable(_)
                | Self::Locked { .. }
                | Self::Lock(_)
                | Self::Local(_)
                | Self::NoClient
                | Self::NoDocker { .. }
        )
    }

    /// What to try, in one sentence.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Connect { .. } => "is the machine up and sshd listening on that port? try `ssh` to it by hand, or raise connect_wait".into(),
            Self::NotRunning(_) => "start the machine, then run again".into(),
            Self::Resolve { .. } => "set `address` of the host in the inventory to an IP address".into(),
            Self::Authentication { tried, .. } if tried.contains("does not answer") => "start that agent, or take the setting away that names it; or set `identity_file` in the inventory".into(),
            Self::Authentication { .. } => "set `user` and `identity_file` in the inventory, or add the key to the host's authorized_keys; for a password: --ask-pass. With `UsePAM no`, sshd also refuses accounts whose password is locked".into(),
            Self::Key { .. } => "give a readable private key; its passphrase is asked for on a terminal or taken from SKEP_KEY_PASSPHRASE, or load it into ssh-agent".into(),
            Self::Settings { place, setting, .. } if place == "skep's own list" => format!("name an algorithm of the host in {setting} of the SSH configuration, or let the host offer a newer one"),
            Self::Settings { .. } => "correct that setting, or give it in the inventory, which wins".into(),
            Self::Secret { .. } => "run the command by hand: it must print the password as its first line and end with status 0".into(),
            Self::Jump { hop, error } => format!("first reach {hop}: {}", error.hint()),
            Self::HostKeyUnknown { .. } => "compare the fingerprint on the machine's console, then use host_keys = \"accept-new\" or add it to known_hosts".into(),
            Self::HostKeyChanged { .. } => "if the machine was rebuilt on purpose: `skep known-hosts forget HOST`; if not, somebody may be in between".into(),
            Self::HostKeyRevoked { .. } => "the key was declared compromised: give the machine a new one".into(),
            Self::KnownHosts { .. } => "make the file readable and writable for you, or name another with known_hosts".into(),
            Self::Lost(_) => "run again: what was done is seen and kept".into(),
            Self::Timeout(_) => "look at the machine's load and at what the command waits for, then run again".into(),
            Self::TooMuchOutput(_) => "make the command print less".into(),
            Self::Locked { .. } => "wait for that run with --lock-wait; if it is dead, its lock expires within a minute".into(),
            Self::Lock(_) => "look whether /run is writable for root and has room, and util-linux (flock) is installed".into(),
            Self::NoShell(_) => "give the account a login shell such as /bin/sh; the host needs coreutils (timeout, dd)".into(),
            Self::Unsendable(_) => "take the named character out of the value".into(),
            Self::Local(_) => "look at the free space and the permissions of the folder for temporary files, then run again".into(),
            Self::NoClient => "install it here: the package docker-cli (Debian 13), docker.io (Debian 12, Ubuntu) or docker-ce-cli (Docker's own); no Engine has to run".into(),
            // The second are the words of sudo-rs.
            Self::Privilege { why, .. } if why.contains("password") || why.contains("authentication is required") => "give sudo's password with --ask-become-pass, SKEP_BECOME_PASSWORD or `become_password_command`, or a rule with NOPASSWD on the host".into(),
            Self::Privilege { why, .. } if why.contains("No such file") || why.contains("not found") => "sudo is not installed on the host: install it there, or log in as root (`user = \"root\"`)".into(),
            Self::Privilege { user, .. } => format!("set `become = true` in the inventory and give {user} passwordless sudo on the host (a line `{user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d/{user}), or log in as root"),
            Self::NoDocker { installed: true, .. } => "look at `systemctl status docker` and `journalctl -u docker` on the host".into(),
            Self::NoDocker { installed: false, .. } => "apply playbooks/docker.toml to the host first".into(),
        }
    }
}
