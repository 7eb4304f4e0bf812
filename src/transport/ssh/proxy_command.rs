//! `ProxyCommand`: a local program whose standard streams are the connection. Tokens are replaced
//! before it starts.

use std::io;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, ReadBuf};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::base::child_command;

/// Maximum number of bytes kept of the program's stderr, for messages.
const WORDS_LIMIT: usize = 1024;

/// Last part of the program's stderr.
#[derive(Debug, Clone, Default)]
pub(crate) struct ProxyStderr(Arc<Mutex<Vec<u8>>>);

impl ProxyStderr {
    /// Returns the last three lines as one line; empty if the program printed nothing.
    pub(crate) fn text(&self) -> String {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect();
        let tail = lines[lines.len().saturating_sub(3)..].join("; ");
        tail.chars()
            .map(|letter| if letter.is_control() { ' ' } else { letter })
            .collect()
    }

    fn push(&self, bytes: &[u8]) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(bytes);
        let excess = kept.len().saturating_sub(WORDS_LIMIT);
        kept.drain(..excess);
    }
}

/// A running program; dropping the value ends it.
pub(super) struct ProxyCommand {
    stdin: ChildStdin,
    stdout: ChildStdout,
    _child: Child,
}

impl ProxyCommand {
    /// Starts the program in a shell, as OpenSSH does; `exec` saves the process of the shell.
    ///
    /// # Errors
    /// Fails if no shell can be started.
    pub(super) fn start(command: &str) -> io::Result<(Self, ProxyStderr)> {
        let mut shell = Command::from(child_command("/bin/sh"));
        shell
            .args(["-c", &format!("exec {command}")])
            .kill_on_drop(true);
        shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = shell.spawn()?;
        let words = ProxyStderr::default();
        let no_pipe = || io::Error::other("a pipe is missing");
        let stdin = child.stdin.take().ok_or_else(no_pipe)?;
        let stdout = child.stdout.take().ok_or_else(no_pipe)?;
        let mut stderr = child.stderr.take().ok_or_else(no_pipe)?;
        let kept = words.clone();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
                kept.push(&buffer[..count]);
            }
        });
        Ok((
            Self {
                stdin,
                stdout,
                _child: child,
            },
            words,
        ))
    }
}

impl AsyncRead for ProxyCommand {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdout).poll_read(context, buffer)
    }
}

impl AsyncWrite for ProxyCommand {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stdin).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stdin).poll_shutdown(context)
    }
}
