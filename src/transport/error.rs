//! Errors between this machine and a host, each with a hint. Each variant states whether a later
//! attempt can help; retries themselves are made elsewhere.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::names::HostName;

/// Error of reaching a host, or of a command whose end is unknown. The caller adds the host's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// No TCP connection, no SSH greeting, or no login in time.
    #[error("cannot connect to {address}: {why}")]
    Connect {
        /// Address and port, as `ADDRESS:PORT`.
        address: String,
        /// Reason, usually in the system's words.
        why: String,
        /// True if a booting machine would fail in this way.
        retryable: bool,
    },
    /// The inventory's source reports that the machine is not running; no connection was attempted.
    #[error("not running: {0}")]
    NotRunning(String),
    /// The name does not resolve.
    #[error("cannot resolve {name}: {why}")]
    Resolve {
        /// Name that was looked up.
        name: String,
        /// Reason, in the resolver's words.
        why: String,
    },
    /// The server refused every key and password that was offered.
    #[error("{user}@{address} refused every key ({tried})")]
    Authentication {
        /// Login account.
        user: String,
        /// Address of the host.
        address: String,
        /// Keys and methods that were offered, and the reason if a key was not usable.
        tried: String,
    },
    /// The server refused every key and password that was offered, and the SSH agent, which may
    /// hold another key, did not respond.
    #[error("{user}@{address} refused every key ({tried}; {agent})")]
    AgentSilent {
        /// Login account.
        user: String,
        /// Address of the host.
        address: String,
        /// Keys and methods that were offered, as in [`TransportError::Authentication`].
        tried: String,
        /// Socket of the agent, the setting that names it, and the reason.
        agent: String,
    },
    /// A private key could not be used.
    #[error("cannot use key {} ({place}): {why}", path.display())]
    Key {
        /// Path of the key file.
        path: PathBuf,
        /// Setting that names the file, and the place of that setting.
        place: String,
        /// Reason.
        why: String,
    },
    /// skep cannot follow a setting.
    #[error("{setting} ({place}): {why}")]
    Settings {
        /// Name of the setting.
        setting: String,
        /// Place of the setting.
        place: SettingPlace,
        /// Reason.
        why: String,
    },
    /// A value would change the meaning of a command line, of a path, or of a line of known hosts.
    #[error("{setting} ({place}): {token} would become `{value}`, and {fault}")]
    UnsafeValue {
        /// Name of the setting that uses the value.
        setting: String,
        /// Place of the setting.
        place: String,
        /// Token that the value would replace, or a description of the value.
        token: String,
        /// The value.
        value: String,
        /// Reason why it is refused.
        fault: String,
    },
    /// A password could not be obtained.
    #[error("{setting}: {why}")]
    Secret {
        /// Setting of the inventory that gives the password.
        setting: &'static str,
        /// Reason; never contains the output of a command.
        why: String,
    },
    /// A jump host could not be used.
    #[error("through {hop}: {error}")]
    Jump {
        /// The jump host, and the setting that names it.
        hop: String,
        /// Error of the jump host.
        error: Box<Self>,
    },
    /// No known-hosts file contains the host's key, and the policy is strict.
    #[error("host key of {address} is not known ({fingerprint})")]
    HostKeyUnknown {
        /// Name in known hosts: `host`, or `[host]:port` if the port is not 22.
        address: String,
        /// SHA256 fingerprint of the key that the host presented.
        fingerprint: String,
    },
    /// A password was not sent, because this run has learned the host's key.
    #[error(
        "{password} was not sent to {address}: its host key is new in this run ({fingerprint})"
    )]
    PasswordWithheld {
        /// Password in words, e.g. `the login password`.
        password: &'static str,
        /// Address of the host.
        address: String,
        /// SHA256 fingerprint of the key.
        fingerprint: String,
    },
    /// The host presented a key that differs from the known key.
    #[error(
        "HOST KEY CHANGED for {address}: the known key is {known} ({place}), the host presented {shown}"
    )]
    HostKeyChanged {
        /// Name in known hosts, as in [`TransportError::HostKeyUnknown`].
        address: String,
        /// SHA256 fingerprint of the known key.
        known: String,
        /// File and line of the known key.
        place: String,
        /// SHA256 fingerprint of the key that the host presented.
        shown: String,
    },
    /// The key is marked `@revoked`.
    #[error("host key of {address} is revoked ({place})")]
    HostKeyRevoked {
        /// Name in known hosts, as in [`TransportError::HostKeyUnknown`].
        address: String,
        /// File and line of the mark.
        place: String,
    },
    /// A known-hosts file cannot be read or written.
    #[error("cannot use {}: {why}", path.display())]
    KnownHosts {
        /// Path of the file.
        path: PathBuf,
        /// Reason.
        why: String,
    },
    /// The connection broke; the outcome of the command is unknown.
    #[error("connection lost: {0}")]
    Lost(String),
    /// The command exceeded its time limit and was ended.
    #[error("timed out after {}", humantime::format_duration(*.0))]
    Timeout(Duration),
    /// The command printed more than the limit, in bytes.
    #[error("more than {0} bytes of output")]
    TooMuchOutput(usize),
    /// sudo does not let the account become root.
    #[error("{user}@{address} cannot become root: {why}")]
    Privilege {
        /// Login account.
        user: String,
        /// Address of the host.
        address: String,
        /// Reason.
        why: PrivilegeReason,
    },
    /// The account's login shell did not run the command.
    #[error("the login shell did not run the command: {0}")]
    NoShell(String),
    /// A script, an argument or an account name that cannot be passed to a shell.
    #[error("cannot be sent to a shell: {0}")]
    Unsendable(String),
    /// Another run holds the host's lock.
    #[error("locked by {owner} (process {process}) since {since}, last heartbeat {} ago", humantime::format_duration(*silent_for))]
    Locked {
        /// Owner of the lock, as `user@machine`.
        owner: String,
        /// Process ID of that run on its machine.
        process: String,
        /// Time when the lock was taken, by the host's clock.
        since: String,
        /// Age of the last heartbeat.
        silent_for: Duration,
    },
    /// A step of a run that is gone still works on the host.
    #[error(
        "a step of {owner} still works on the host: {step} (process {process} of the host, since {since})"
    )]
    StepRuns {
        /// Owner of the run, as `user@machine`.
        owner: String,
        /// Process ID of the step's shell on the host.
        process: String,
        /// Time when the step began, by the host's clock.
        since: String,
        /// Summary of the step.
        step: String,
    },
    /// This very run holds the lock, for another host of the inventory.
    #[error("{host} and {other} are one machine: this run already holds its lock for {other}")]
    OneMachine {
        /// Host that cannot be locked.
        host: HostName,
        /// Host for which the lock was taken.
        other: HostName,
    },
    /// The host's lock cannot be created, renewed or released.
    #[error("cannot lock the host: {0}")]
    Lock(String),
    /// A failure on this machine, not on the host.
    #[error("on this machine: {0}")]
    Local(String),
    /// The `docker` command, which a stack needs, is not installed on this machine.
    #[error(
        "the `docker` command is not installed on this machine; skep needs it to read a stack's compose files"
    )]
    NoClient,
    /// No Docker Engine responds on the host.
    #[error("the Docker Engine does not respond: {why}")]
    NoDocker {
        /// True if an Engine is installed at all (the socket or the program exists).
        installed: bool,
        /// Reason.
        why: String,
    },
}

/// Place of a setting of [`TransportError::Settings`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SettingPlace {
    /// No configuration gives the setting, and skep's own list of algorithms applies.
    OwnList,
    /// A file, or the SSH configuration of a host.
    Named(String),
}

impl From<String> for SettingPlace {
    fn from(place: String) -> Self {
        Self::Named(place)
    }
}

impl fmt::Display for SettingPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::OwnList => "skep's own list",
            Self::Named(place) => place,
        })
    }
}

/// Reason of [`TransportError::Privilege`]. A text is the message of sudo.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivilegeReason {
    /// The inventory does not set `become` for the host.
    NotAllowed,
    /// sudo rejected the password.
    WrongPassword,
    /// sudo needs a password, and none is known.
    PasswordNeeded(String),
    /// sudo requires a terminal (`requiretty`).
    NeedsTty(String),
    /// The host has no sudo.
    NotInstalled(String),
    /// Any other refusal of sudo.
    Other(String),
}

impl fmt::Display for PrivilegeReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NotAllowed => "`become` is not set for this host",
            Self::WrongPassword => "sudo rejected the password",
            Self::PasswordNeeded(said)
            | Self::NeedsTty(said)
            | Self::NotInstalled(said)
            | Self::Other(said) => said,
        })
    }
}

impl TransportError {
    /// Returns true if the same attempt may succeed a little later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Connect { retryable, .. } => *retryable,
            Self::Jump { error, .. } => error.is_retryable(),
            Self::Resolve { .. } | Self::Lost(_) | Self::Timeout(_) => true,
            _ => false,
        }
    }

    /// Returns true if the host itself is out of reach. After any other error the host still
    /// answers, and only this command or this lock failed.
    #[must_use]
    pub fn loses_host(&self) -> bool {
        !matches!(
            self,
            Self::Timeout(_)
                | Self::TooMuchOutput(_)
                | Self::Unsendable(_)
                | Self::Locked { .. }
                | Self::StepRuns { .. }
                | Self::OneMachine { .. }
                | Self::Lock(_)
                | Self::Local(_)
                | Self::NoClient
                | Self::NoDocker { .. }
        )
    }

    /// Returns the next step to try, in one sentence.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Connect { .. } => "check that the machine is up and sshd listens on that port; try `ssh` by hand, or raise connect_wait".into(),
            Self::NotRunning(_) => "start the machine, then run again".into(),
            Self::Resolve { .. } => "set `address` of the host in the inventory to an IP address".into(),
            Self::AgentSilent { .. } => "start that agent, or remove the setting that names it; or set `identity_file` in the inventory".into(),
            Self::Authentication { .. } => "set `user` and `identity_file` in the inventory, or add the key to the host's authorized_keys; use --ask-pass for a password. With `UsePAM no`, sshd also refuses accounts whose password is locked".into(),
            Self::Key { .. } => "give a readable private key, or load it into ssh-agent; skep asks for its passphrase on a terminal or takes it from SKEP_KEY_PASSPHRASE".into(),
            Self::Settings { place: SettingPlace::OwnList, setting, .. } => format!("name an algorithm of the host in {setting} of the SSH configuration, or let the host offer a newer one"),
            Self::Settings { .. } => "correct that setting, or set it in the inventory, which takes precedence".into(),
            Self::UnsafeValue { .. } => "correct the address, user or alias of the host: letters, digits and -_.:@%+=, are allowed, and it must not begin with `-`. If you did not write this value, find out who did".into(),
            Self::Secret { .. } => "run the command by hand: it must print the password as its first line and end with status 0".into(),
            Self::Jump { hop, error } => format!("first reach {hop}: {}", error.hint()),
            Self::HostKeyUnknown { .. } => "compare the fingerprint with the one on the machine's console, then set host_keys = \"accept-new\" or add the key to known_hosts".into(),
            Self::PasswordWithheld { .. } => "compare the fingerprint with the one on the machine's console, then run again: the key is known now. Or set host_keys = \"accept-new\" in the inventory (or --host-keys accept-new) to send passwords at the first contact".into(),
            Self::HostKeyChanged { .. } => "if the machine was rebuilt on purpose: `skep known-hosts forget HOST`; if not, another machine may be intercepting the connection".into(),
            Self::HostKeyRevoked { .. } => "the key was declared compromised: give the machine a new host key".into(),
            Self::KnownHosts { .. } => "make the file readable and writable for your account, or name another file with known_hosts".into(),
            Self::Lost(_) => "run again; completed steps are not repeated".into(),
            Self::Timeout(_) => "check the machine's load and find out what the command waits for, then run again".into(),
            Self::TooMuchOutput(_) => "make the command print less".into(),
            Self::Locked { .. } => "wait for that run with --lock-wait; if that run has died, its lock expires within a minute".into(),
            Self::StepRuns { process, .. } => format!("wait for it with --lock-wait; if it will never end, end it on the host (`ps -o pid,pgid,args -g {process}` shows it)"),
            Self::OneMachine { host, other } => format!("list the machine once in the inventory, in the groups of both {host} and {other}; or correct the address of one of them"),
            Self::Lock(_) => "check that /run is writable for root and has free space, and that util-linux (flock) is installed".into(),
            Self::NoShell(why) if other_login(why).is_some() => format!("set user = \"{}\" in the inventory, and become = true for root", other_login(why).unwrap_or_default()),
            Self::NoShell(_) => "give the account a login shell such as /bin/sh; the host needs coreutils (timeout, dd)".into(),
            Self::Unsendable(_) => "remove that character from the value".into(),
            Self::Local(_) => "check the free space and the permissions of the folder for temporary files, then run again".into(),
            Self::NoClient => "install it on this machine: the package docker-cli (Debian 13), docker.io (Debian 12, Ubuntu) or docker-ce-cli (Docker's repository); no Docker Engine needs to run".into(),
            Self::Privilege { why: PrivilegeReason::PasswordNeeded(_) | PrivilegeReason::WrongPassword, .. } => "give sudo's password with --ask-become-pass, SKEP_BECOME_PASSWORD or `become_password_command`, or add a rule with NOPASSWD on the host".into(),
            Self::Privilege { why: PrivilegeReason::NotInstalled(_), .. } => "sudo is not installed on the host: install it there, or log in as root (`user = \"root\"`)".into(),
            Self::Privilege { user, .. } => format!("set `become = true` in the inventory and give {user} passwordless sudo on the host (a line `{user} ALL=(ALL) NOPASSWD: ALL` in /etc/sudoers.d/{user}), or log in as root"),
            Self::NoDocker { installed: true, .. } => "check `systemctl status docker` and `journalctl -u docker` on the host".into(),
            Self::NoDocker { installed: false, .. } => "apply playbooks/docker.toml to the host first".into(),
        }
    }
}
/// Returns the login that a host asks for: "Please login as the user "ubuntu" rather than the user
/// "root"" of cloud-init, and similar sentences.
fn other_login(words: &str) -> Option<&str> {
    let lower = words.to_ascii_lowercase();
    let after = |mark: &str| lower.find(mark).map(|at| at + mark.len());
    let start = [
        "login as the user ",
        "log in as the user ",
        "login as user ",
        "log in as user ",
    ]
    .iter()
    .find_map(|mark| after(mark))?;
    let rest = words.get(start..)?.trim_start_matches(['"', '\'', '`']);
    let end = rest.find(|letter: char| !letter.is_ascii_alphanumeric() && !"-_.".contains(letter));
    let name = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
    // cloud-init writes NONE if the image has no other account.
    (!name.is_empty() && name != "NONE").then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_login_that_an_image_asks_for_is_found() {
        for (words, login) in [
            (
                "Please login as the user \"ubuntu\" rather than the user \"root\".",
                Some("ubuntu"),
            ),
            (
                "Please log in as the user ann rather than root.",
                Some("ann"),
            ),
            (
                "Please login as the user \"ec2-user\" rather than the user \"root\".; bye",
                Some("ec2-user"),
            ),
            (
                "Please login as the user \"NONE\" rather than the user \"root\".",
                None,
            ),
            ("This account is currently not available.", None),
        ] {
            assert_eq!(other_login(words), login, "{words}");
            let hint = TransportError::NoShell(words.to_owned()).hint();
            assert_eq!(hint.contains("user = \""), login.is_some(), "{hint}");
        }
    }
}
