//! A command for a host, as data, and what came of it.

use std::borrow::Cow;
use std::time::Duration;

/// As whom a script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Privilege {
    /// As the login account.
    Login,
    /// As root: directly for a root login, else through `sudo -n`, where the inventory says `become = true`.
    Root,
    /// As another account, in a fresh session (`runuser -u NAME` as root), so that new groups count.
    User(String),
}

/// A POSIX sh script with literal arguments and standard input. Script and arguments travel over stdin, never on the
/// command line, so neither length limits nor process lists see them.
#[derive(Clone)]
pub struct Exec {
    /// Shell text.
    pub script: Cow<'static, str>,
    /// Positional parameters; any bytes but NUL.
    pub arguments: Vec<String>,
    /// What the script reads from its standard input. A broken connection ends it early: a script that keeps what it
    /// reads must check the length first.
    pub stdin: Vec<u8>,
    /// As whom.
    pub privilege: Privilege,
    /// Limit of time, after which the command is ended on the host with its children.
    pub timeout: Duration,
    /// Most bytes of stdout kept (the rest fails the command); default 64 MiB.
    pub output_limit: usize,
}

impl Exec {
    /// A script as root with no arguments, no input, and a limit of one minute.
    pub fn root(script: impl Into<Cow<'static, str>>) -> Self {
        Self {
            script: script.into(),
            arguments: Vec::new(),
            stdin: Vec::new(),
            privilege: Privilege::Root,
            timeout: Duration::from_secs(60),
            output_limit: 64 * 1024 * 1024,
        }
    }
}

/// What a finished command left.
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
    /// Whether the status is 0.
    #[must_use]
    pub fn success(&self) -> bool {
        self.status == 0
    }

    /// The last lines of standard error, control characters replaced, for messages.
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
