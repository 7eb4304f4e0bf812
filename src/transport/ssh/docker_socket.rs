//! Streams to a host's Docker Engine, through `docker system dial-stdio` in a shell of root, which
//! also serves an account that joined the group `docker` only after it logged in. The shell checks
//! first that a process listens at the socket, and requests may follow its text at once: a stream
//! costs no round trip of its own.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, Bytes};
use russh::ChannelMsg;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use super::elevate::{Elevation, read_refusal, text_after_prompt};
use super::shell::WaitingShell;
use super::{SshConnection, bootstrap, docker_listener};
use crate::transport::{DockerStream, ExecOutput, Privilege, TransportError};

/// Opens a stream to the Engine.
///
/// # Errors
/// [`TransportError`] when the connection is lost or sudo refuses. That there is no Engine is the
/// error of the first read from the stream.
pub(super) async fn open(connection: &SshConnection) -> Result<DockerStream, TransportError> {
    if connection.docker_direct.load(Ordering::Relaxed) {
        return open_directly(connection).await;
    }
    let elevation = &connection.elevation;
    let account = if elevation.is_possible() {
        Privilege::Root
    } else {
        Privilege::Login
    };
    elevation.check(&account)?;
    let mark = rand::random();
    let text = bootstrap::dial::text(&connection.docker_socket, mark)?;
    let mut shell = connection.shell(&account).await?;
    // sudo may ask for a password only now; the text must not be taken for it.
    let settled = shell.settle(elevation).await?;
    if settled && shell.writer.data_bytes(text).await.is_err() {
        return Err(connection.cause.lost().await);
    }
    let writer = Box::pin(shell.writer.make_writer());
    let (sender, receiver) = mpsc::channel(16);
    let pump = StreamPump {
        sender,
        opening: DialOpening::new(mark),
        elevation: Arc::clone(elevation),
        through_sudo: elevation.is_needed(&account),
        socket: connection.docker_socket.clone(),
    };
    tokio::spawn(pump.run(shell, connection.cause.clone()));
    Ok(Box::new(DialedStream {
        receiver,
        current: Bytes::new(),
        writer,
    }))
}

/// Opens a stream through sshd itself: the host has no `docker` command.
async fn open_directly(connection: &SshConnection) -> Result<DockerStream, TransportError> {
    docker_listener::check(connection).await?;
    let socket = connection.docker_socket.as_str();
    match connection
        .handle
        .channel_open_direct_streamlocal(socket)
        .await
    {
        Ok(channel) => Ok(Box::new(channel.into_stream())),
        Err(russh::Error::ChannelOpenFailure(_)) => {
            let user = &connection.elevation.user;
            let why = format!(
                "{socket} is not accessible to {user}, and the host has no `docker` program to reach it"
            );
            Err(TransportError::NoDocker {
                installed: true,
                why,
            })
        }
        Err(_) => Err(connection.cause.lost().await),
    }
}

/// The beginning of a dialed stream: other output of login shells, then the line that tells whether
/// an Engine answers.
struct DialOpening {
    mark: Vec<u8>,
    kept: Vec<u8>,
}

/// Maximum number of bytes that are kept before the line.
const NOISE_LIMIT: usize = 16 * 1024;

impl DialOpening {
    fn new(mark: u128) -> Self {
        Self {
            mark: bootstrap::dial::line_mark(mark).into_bytes(),
            kept: Vec::new(),
        }
    }

    /// Adds output; returns the text of the line and the bytes behind it, once the line is whole.
    fn push(&mut self, data: &[u8]) -> Option<(String, Bytes)> {
        self.kept.extend_from_slice(data);
        let Some(at) = memchr::memmem::find(&self.kept, &self.mark) else {
            let excess = self.kept.len().saturating_sub(NOISE_LIMIT);
            self.kept.drain(..excess);
            return None;
        };
        let line = at + self.mark.len();
        let length = self.kept[line..].iter().position(|byte| *byte == b'\n')?;
        let told = String::from_utf8_lossy(&self.kept[line..line + length]).into_owned();
        Some((
            told,
            Bytes::copy_from_slice(&self.kept[line + length + 1..]),
        ))
    }
}

/// Passes the output of a dialed stream on.
struct StreamPump {
    sender: mpsc::Sender<Result<Bytes, TransportError>>,
    opening: DialOpening,
    elevation: Arc<Elevation>,
    through_sudo: bool,
    socket: String,
}

impl StreamPump {
    async fn run(mut self, shell: WaitingShell, cause: super::DisconnectState) {
        let WaitingShell {
            mut reader,
            writer,
            permit,
            heard,
            ..
        } = shell;
        let mut heard = heard.into_iter();
        let mut is_ready = false;
        let mut answered = false;
        let mut stderr = Vec::new();
        loop {
            let message = match heard.next() {
                Some(message) => Some(message),
                None => tokio::select! {
                    message = reader.wait() => message,
                    () = self.sender.closed() => break,
                },
            };
            let data = match message {
                Some(ChannelMsg::Data { data }) if is_ready => data,
                Some(ChannelMsg::Data { data }) => match self.opening.push(&data) {
                    Some((told, rest)) => match status(&told, &self.socket) {
                        Ok(()) => {
                            is_ready = true;
                            rest
                        }
                        Err(error) => {
                            let _ = self.sender.send(Err(error)).await;
                            break;
                        }
                    },
                    None => continue,
                },
                Some(ChannelMsg::ExtendedData { data, .. }) => {
                    keep_tail(&mut stderr, &data);
                    continue;
                }
                Some(ChannelMsg::Eof | ChannelMsg::Close) | None => {
                    if !answered {
                        let error = match cause.is_lost() {
                            true => cause.lost().await,
                            false => self.silence(is_ready, &stderr),
                        };
                        let _ = self.sender.send(Err(error)).await;
                    }
                    break;
                }
                Some(_) => continue,
            };
            answered |= !data.is_empty();
            if self.sender.send(Ok(data)).await.is_err() {
                break;
            }
        }
        let _ = writer.close().await;
        drop(permit);
    }

    /// Returns the error of a stream that ended without an answer.
    fn silence(&self, is_ready: bool, stderr: &[u8]) -> TransportError {
        let said = |stderr: &[u8]| {
            ExecOutput {
                status: -1,
                stdout: Vec::new(),
                stderr: stderr.to_vec(),
            }
            .stderr_tail()
        };
        let why = said(text_after_prompt(stderr));
        if !is_ready
            && self.through_sudo
            && let Some(reason) = read_refusal(&why)
        {
            return self.elevation.error(reason);
        }
        let why = if is_ready {
            let socket = &self.socket;
            let why = if why.is_empty() {
                "it closed the stream"
            } else {
                &why
            };
            format!("{socket} exists but does not respond ({why})")
        } else {
            why
        };
        TransportError::NoDocker {
            installed: true,
            why,
        }
    }
}

/// Reads the line that tells whether an Engine answers.
fn status(told: &str, socket: &str) -> Result<(), TransportError> {
    let (word, rest) = told.split_once(' ').unwrap_or((told, ""));
    let no_docker = |installed: bool, why: String| TransportError::NoDocker { installed, why };
    Err(match word {
        "ready" => return Ok(()),
        "absent" => no_docker(false, "it is not installed".into()),
        "missing" => no_docker(true, format!("{socket} does not exist")),
        bootstrap::dial::DIRECT => no_docker(true, bootstrap::dial::NO_PROGRAM.into()),
        "failed" => no_docker(
            true,
            format!("systemd does not tell whether it runs: {rest}"),
        ),
        _ => no_docker(true, rest.to_owned()),
    })
}

fn keep_tail(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    let excess = kept.len().saturating_sub(NOISE_LIMIT);
    kept.drain(..excess);
}

/// Stream through a shell. An Engine that does not answer is the error of a read: its inner error
/// is the [`TransportError`].
struct DialedStream<W> {
    receiver: mpsc::Receiver<Result<Bytes, TransportError>>,
    current: Bytes,
    writer: Pin<Box<W>>,
}

impl<W: AsyncWrite + Send> AsyncRead for DialedStream<W> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        while self.current.is_empty() {
            match ready!(self.receiver.poll_recv(context)) {
                Some(Ok(data)) => self.current = data,
                Some(Err(error)) => return Poll::Ready(Err(std::io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.current.len().min(buffer.remaining());
        buffer.put_slice(&self.current[..length]);
        self.current.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl<W: AsyncWrite + Send> AsyncWrite for DialedStream<W> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        self.writer.as_mut().poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.writer.as_mut().poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        self.writer.as_mut().poll_shutdown(context)
    }
}
