//! The way to a host's Engine: straight to its socket where the login may, else through `docker system dial-stdio`
//! as root, which also serves a login that joined the group `docker` only after it logged in.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelStream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::SshConnection;
use super::elevate::{InnerCommand, SudoAction};
use crate::transport::{Connection, DockerStream, Exec, Privilege, TransportError};

/// How long an Engine may take to answer a first ping: socket activation starts it meanwhile.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Tells what is there: `socket` and `program` on lines of their own.
const LOOK: &str = r#"
if test -S "$1"; then echo socket; fi
if command -v dockerd >/dev/null || command -v docker >/dev/null; then echo program; fi
exit 0
"#;

/// Opens a stream to the Engine.
///
/// # Errors
/// [`TransportError::NoDocker`] when none answers.
pub async fn open(connection: &SshConnection) -> Result<DockerStream, TransportError> {
    match connection
        .handle
        .channel_open_direct_streamlocal(connection.docker_socket.as_str())
        .await
    {
        Ok(channel) => {
            connection
                .docker_socket_usable
                .store(true, Ordering::Relaxed);
            Ok(Box::new(channel.into_stream()))
        }
        Err(russh::Error::ChannelOpenFailure(reason)) => {
            tracing::debug!(?reason, "no straight way to the Engine");
            open_with_dial_stdio(connection).await
        }
        Err(_) => Err(connection.cause.lost().await),
    }
}

/// The refusal has no words: the login may lack the right, sshd may forbid forwarding, or nothing listens.
async fn open_with_dial_stdio(connection: &SshConnection) -> Result<DockerStream, TransportError> {
    let privilege = if connection.elevation.is_possible() {
        Privilege::Root
    } else {
        Privilege::Login
    };
    let socket = connection.docker_socket.clone();
    let look = Exec {
        arguments: vec![socket.clone()],
        privilege,
        timeout: Duration::from_secs(20),
        ..Exec::root(LOOK)
    };
    let output = connection.exec(look).await?;
    let seen = String::from_utf8_lossy(&output.stdout).into_owned();
    let installed = seen.contains("socket") || seen.contains("program");
    if !seen.contains("socket") {
        let why = if installed {
            format!("{socket} does not exist")
        } else {
            "it is not installed".into()
        };
        return Err(TransportError::NoDocker { installed, why });
    }
    if !seen.contains("program") {
        let why = format!(
            "{socket} is closed to {} and there is no `docker` program to reach it",
            connection.elevation.user
        );
        return Err(TransportError::NoDocker { installed, why });
    }
    tokio::time::timeout(ANSWER_LIMIT, dial_stdio(connection, &socket))
        .await
        .unwrap_or_else(|_| {
            let why = format!(
                "no answer within {}",
                humantime::format_duration(ANSWER_LIMIT)
            );
            Err(TransportError::NoDocker {
                installed: true,
                why,
            })
        })
}

async fn dial_stdio(
    connection: &SshConnection,
    socket: &str,
) -> Result<DockerStream, TransportError> {
    let elevation = &connection.elevation;
    let privilege = if elevation.is_possible() {
        Privilege::Root
    } else {
        Privilege::Login
    };
    elevation.check(&privilege)?;
    let Some(socket) = plain(socket) else {
        return Err(TransportError::Unsendable(format!(
            "`{}` cannot be the Engine's socket",
            socket.escape_debug()
        )));
    };
    let (mut channel, permit) = connection.session().await?;
    let number: u128 = rand::random();
    let mark = format!("skep-{number:032x}-begin");
    let script = format!("echo {mark}; exec docker -H unix://{socket} system dial-stdio");
    let command = elevation.command(
        &privilege,
        &InnerCommand {
            prefix: "",
            script: &script,
        },
        number,
    )?;
    let mut dialogue = elevation.dialogue(&privilege, number);
    if channel.exec(true, command).await.is_err() {
        return Err(connection.cause.lost().await);
    }
    // What login shells print comes first.
    let mut noise = Vec::new();
    let mut stderr = Vec::new();
    let wanted = format!("{mark}\n").into_bytes();
    while !noise.ends_with(&wanted) {
        match channel.wait().await {
            // Whatever a host may print instead of the mark, only its end is kept.
            Some(ChannelMsg::Data { data }) => keep_tail(&mut noise, &data),
            Some(ChannelMsg::ExtendedData { data, .. }) => {
                keep_tail(&mut stderr, &data);
                match dialogue
                    .as_mut()
                    .map(|dialogue| dialogue.follow(&data, elevation))
                    .transpose()?
                {
                    Some(SudoAction::Send(line)) => drop(channel.data_bytes(line).await),
                    Some(SudoAction::Run) => dialogue = None,
                    Some(SudoAction::Wait) | None => {}
                }
            }
            Some(
                ChannelMsg::Close | ChannelMsg::ExitStatus { .. } | ChannelMsg::ExitSignal { .. },
            )
            | None => {
                let why = String::from_utf8_lossy(&stderr).trim().to_owned();
                return Err(TransportError::NoDocker {
                    installed: true,
                    why,
                });
            }
            Some(_) => {}
        }
    }
    let mut stream = SessionStream {
        inner: channel.into_stream(),
        _permit: permit,
    };
    ping(&mut stream)
        .await
        .map_err(|error| TransportError::NoDocker {
            installed: true,
            why: format!("{socket} is there but does not answer ({error})"),
        })?;
    Ok(Box::new(stream))
}

/// Most bytes of noise that are kept.
const NOISE_LIMIT: usize = 16 * 1024;

fn keep_tail(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    let excess = kept.len().saturating_sub(NOISE_LIMIT);
    kept.drain(..excess);
}

/// Only letters that mean nothing to any shell.
fn plain(path: &str) -> Option<&str> {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte);
    (path.starts_with('/') && path.bytes().all(harmless)).then_some(path)
}

/// `dial-stdio` starts even when nothing listens: one exchange shows that somebody does. The answer to HEAD has no
/// body, so the stream is clean behind it.
async fn ping(stream: &mut SessionStream) -> std::io::Result<()> {
    stream
        .write_all(b"HEAD /_ping HTTP/1.1\r\nHost: docker\r\n\r\n")
        .await?;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 16 * 1024 {
            return Err(std::io::Error::other("it does not speak HTTP"));
        }
        head.push(stream.read_u8().await?);
    }
    if head.starts_with(b"HTTP/1.1 ") {
        Ok(())
    } else {
        Err(std::io::Error::other("it does not speak HTTP"))
    }
}

/// A session's stream; it counts against the sessions of its connection for as long as it lives.
struct SessionStream {
    inner: ChannelStream<Msg>,
    _permit: OwnedSemaphorePermit,
}

impl AsyncRead for SessionStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for SessionStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}
