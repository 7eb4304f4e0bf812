//! Runs the built `skep` like a user, and keeps its output.

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Returns the repository's own folder, since the tests use the shipped playbooks.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns a command of the built binary, in the repository's folder.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_skep"));
    command
        .args(arguments)
        .current_dir(root())
        .stdin(Stdio::null())
        .env_remove("SSH_AUTH_SOCK");
    command
}

/// Exit code and output of a finished run.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Said {
    pub fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
        }
    }

    /// Fails the test with the whole output unless the exit code is this one.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(
            self.code, code,
            "exit code\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Fails the test unless stdout or stderr has this text.
    #[track_caller]
    pub fn says(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(
            said,
            "`{text}` was not said\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }

    /// Fails the test if stdout or stderr has this text.
    #[track_caller]
    pub fn does_not_say(self, text: &str) -> Self {
        let said = self.stdout.contains(text) || self.stderr.contains(text);
        assert!(
            !said,
            "`{text}` was said\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout, self.stderr
        );
        self
    }
}

/// Runs skep to its end.
pub fn skep(arguments: &[&str]) -> Said {
    Said::from(command(arguments).output().expect("skep starts"))
}
