//! Runs one child command: starts it, feeds its stdin, reads its output and enforces a time limit.
//! Every program that the lab starts goes through this file, except dockerd itself.

use std::io::{Read, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use super::error::LabError;
use crate::base::child_command;

/// Interval between two checks whether the child has ended.
const POLL: Duration = Duration::from_millis(10);
/// Time for which the pipes of an ended child may stay open; a grandchild may hold them.
const PIPE_GRACE: Duration = Duration::from_secs(2);
/// Number of lines of stderr that an error carries.
const TAIL_LINES: usize = 12;

/// A command that has not been started. The default time limit is 60 s.
pub(crate) struct LocalCommand {
    command: Command,
    input: Vec<u8>,
    timeout: Duration,
    hint: Option<String>,
}

/// Status and output of a command that has ended.
pub(crate) struct CommandOutput {
    /// True if the command ended with status 0.
    pub(crate) success: bool,
    /// Text that the command wrote to stdout.
    pub(crate) stdout: String,
    /// Text that the command wrote to stderr.
    pub(crate) stderr: String,
    status: String,
    line: String,
}

impl LocalCommand {
    /// Creates a command without arguments.
    pub(crate) fn new(program: &str) -> Self {
        let mut command = child_command(program);
        command.env("LC_ALL", "C.UTF-8");
        Self {
            command,
            input: Vec::new(),
            timeout: Duration::from_secs(60),
            hint: None,
        }
    }

    /// Appends arguments.
    pub(crate) fn arguments<I, S>(mut self, arguments: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: AsRef<std::ffi::OsStr>,
    {
        self.command.args(arguments);
        self
    }

    /// Sets one environment variable.
    pub(crate) fn environment(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Starts the command in this folder.
    pub(crate) fn folder(mut self, path: &Path) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Feeds these bytes to stdin.
    pub(crate) fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Kills the command after this many seconds.
    pub(crate) fn seconds(mut self, seconds: u64) -> Self {
        self.timeout = Duration::from_secs(seconds);
        self
    }

    /// Sets the hint for a missing program. By default it names the Debian package after the
    /// program.
    pub(crate) fn install_hint(mut self, hint: &str) -> Self {
        self.hint = Some(hint.to_owned());
        self
    }

    /// Runs the command to its end and returns stdout. A status other than 0 is an error.
    pub(crate) fn run(self) -> Result<String, LabError> {
        let finished = self.finish()?;
        if finished.success {
            return Ok(finished.stdout);
        }
        Err(finished.into_error())
    }

    /// Runs the command to its end, whatever its status is.
    pub(crate) fn finish(mut self) -> Result<CommandOutput, LabError> {
        let line = display(&self.command);
        let child = self
            .command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let mut child = match child {
            Ok(child) => child,
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => {
                let program = self.command.get_program().to_string_lossy().into_owned();
                let hint = self
                    .hint
                    .unwrap_or_else(|| format!("apt-get install {program}"));
                return Err(LabError::ProgramMissing { program, hint });
            }
            Err(source) => {
                return Err(LabError::Command {
                    command: line,
                    status: "no start".to_owned(),
                    tail: source.to_string(),
                });
            }
        };
        if let Some(mut stdin) = child.stdin.take() {
            let input = std::mem::take(&mut self.input);
            // A child that ends without reading breaks the pipe; its exit status is the relevant
            // error.
            std::thread::spawn(move || stdin.write_all(&input));
        }
        let stdout = child.stdout.take().map(drain);
        let stderr = child.stderr.take().map(drain);
        let Some(status) = wait(&mut child, self.timeout) else {
            return Err(LabError::CommandTimeout {
                command: line,
                seconds: self.timeout.as_secs(),
            });
        };
        Ok(CommandOutput {
            success: status.success(),
            stdout: collect(stdout),
            stderr: collect(stderr),
            status: status.to_string(),
            line,
        })
    }
}

impl CommandOutput {
    /// Returns the error for a status other than 0.
    pub(crate) fn into_error(self) -> LabError {
        let said = if self.stderr.trim().is_empty() {
            &self.stdout
        } else {
            &self.stderr
        };
        LabError::Command {
            tail: tail(said, TAIL_LINES),
            command: self.line,
            status: self.status,
        }
    }
}

/// Returns the last `count` lines of a text.
pub(crate) fn tail(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn wait(child: &mut Child, timeout: Duration) -> Option<std::process::ExitStatus> {
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if started.elapsed() < timeout => std::thread::sleep(POLL),
            _ => {
                // Both calls fail only if the child has just ended by itself.
                let _ = child.kill();
                let _ = child.wait();
                return None;
            }
        }
    }
}

fn drain(mut pipe: impl Read + Send + 'static) -> Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut block = vec![0; 65536];
        while let Ok(length) = pipe.read(&mut block) {
            if length == 0 || sender.send(block[..length].to_vec()).is_err() {
                break;
            }
        }
    });
    receiver
}

fn collect(pipe: Option<Receiver<Vec<u8>>>) -> String {
    let mut bytes = Vec::new();
    if let Some(pipe) = pipe {
        while let Ok(block) = pipe.recv_timeout(PIPE_GRACE) {
            bytes.extend(block);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn display(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    if line.len() > 300 {
        let cut = (0..=300).rev().find(|at| line.is_char_boundary(*at));
        line.truncate(cut.unwrap_or(0));
        line.push_str(" ...");
    }
    line
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn feeds_and_reads() {
        let said = LocalCommand::new("cat").input("hello").run().unwrap();
        assert_eq!(said, "hello");
    }

    #[test]
    fn failure_carries_command_and_tail() {
        let error = LocalCommand::new("sh")
            .arguments(["-c", "echo why >&2; exit 3"])
            .run()
            .unwrap_err();
        let said = error.to_string();
        assert!(
            said.contains("sh -c") && said.contains('3') && said.contains("why"),
            "{said}"
        );
    }

    #[test]
    fn a_missing_program_says_what_to_install() {
        let error = LocalCommand::new("skep-no-such-program").run().unwrap_err();
        assert!(error.to_string().contains("apt-get install"));
    }

    #[test]
    fn a_slow_command_is_killed() {
        let error = LocalCommand::new("sleep")
            .arguments(["30"])
            .seconds(0)
            .run()
            .unwrap_err();
        assert!(matches!(error, LabError::CommandTimeout { .. }));
    }

    #[test]
    fn tail_keeps_the_end() {
        assert_eq!(tail("a\nb\nc\n", 2), "b\nc");
        assert_eq!(tail("", 2), "");
    }
}
