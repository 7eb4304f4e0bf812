//! Commands for a host and their results, as data. [`super::Connection`] runs them; this file does
//! no I/O.

use std::borrow::Cow;
use std::time::Duration;

/// Account that a script runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Privilege {
    /// The login account.
    Login,
    /// Root: directly for a root login, otherwise through sudo (`sudo -n`, or `sudo -S` if a
    /// password is known) if the inventory sets `become = true`.
    Root,
    /// Another account, in a fresh session (`runuser -u NAME` as root), in which new groups already
    /// count.
    User(String),
}

/// A POSIX sh script with literal arguments and standard input. Script and arguments travel over
/// stdin, never on the command line, so neither length limits nor process lists see them.
#[derive(Clone)]
pub struct Exec {
    /// Shell text.
    pub script: Cow<'static, str>,
    /// Positional parameters; any bytes but NUL.
    pub arguments: Vec<String>,
    /// Standard input of the script. A broken connection truncates it: a script that stores its
    /// input must check the length first.
    pub stdin: Vec<u8>,
    /// Account that the script runs as.
    pub privilege: Privilege,
    /// Time limit, after which the host ends the command and its children.
    pub timeout: Duration,
    /// Maximum size of stdout in bytes; more output fails the command. Default: 64 MiB.
    pub output_limit: usize,
    /// Kernel lock that a command of a step holds for as long as it runs. Default: none.
    pub lock: Option<StepLock>,
    /// True if process lists may show the script and its arguments: it may then travel in the
    /// command line, which saves a round trip if the connection is new. Default: false.
    pub is_public: bool,
}

/// Kernel lock on a host that the command of a step holds. The command does not run unless the run
/// still has the lock of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepLock {
    /// Folder of the host's lock; see [`super::LockSettings::path`].
    pub path: String,
    /// Token of the run that has the lock of the host.
    pub token: String,
    /// Owner of that run, as `user@machine`.
    pub owner: String,
    /// Summary of the step, without secrets.
    pub summary: String,
}

impl StepLock {
    /// Returns true if both are of the same run's lock of the host.
    pub(super) fn is_of_the_same_run(&self, other: &Self) -> bool {
        self.path == other.path && self.token == other.token && self.owner == other.owner
    }
}

impl Exec {
    /// Returns a script that runs as root, with no arguments, no input and a time limit of one
    /// minute.
    pub fn root(script: impl Into<Cow<'static, str>>) -> Self {
        Self {
            script: script.into(),
            arguments: Vec::new(),
            stdin: Vec::new(),
            privilege: Privilege::Root,
            timeout: Duration::from_secs(60),
            output_limit: 64 * 1024 * 1024,
            lock: None,
            is_public: false,
        }
    }
}

/// Result of a finished command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Exit status; 128 + N for a command ended by signal N.
    pub status: i32,
    /// Standard output, whole.
    pub stdout: Vec<u8>,
    /// Standard error, its last 64 KiB.
    pub stderr: Vec<u8>,
}

impl ExecOutput {
    /// Returns true if the status is 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// Returns the last six non-empty lines of standard error for messages, with control characters
    /// replaced by spaces.
    #[must_use]
    pub fn stderr_tail(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let lines: Vec<&str> = text
            .lines()
            .filter(|line| !line.trim().is_empty())
            .collect();
        let tail = lines[lines.len().saturating_sub(6)..].join("; ");
        tail.chars()
            .map(|character| {
                if character.is_control() {
                    ' '
                } else {
                    character
                }
            })
            .collect()
    }
}
