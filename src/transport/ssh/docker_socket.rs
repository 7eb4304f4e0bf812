//! Streams to a host's Docker Engine: directly to its socket if the login account may use it,
//! otherwise through `docker system dial-stdio` as root, which also serves an account that joined
//! the group `docker` only after it logged in.

use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;

use russh::client::Msg;
use russh::{ChannelMsg, ChannelStream};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;

use super::elevate::{InnerCommand, SudoAction};
use super::{SshConnection, docker_listener};
use crate::transport::{Connection as _, DockerStream, Exec, Privilege, TransportError};

/// Time limit for an Engine to answer the first ping: it may be starting.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Script that prints `socket` and `program`, each on its own line, if they exist on the host.
const LOOK: &str = r#"
if test -S "$1"; then echo socket; fi
if command -v dockerd >/dev/null || command -v docker >/dev/null; then echo program; fi
exit 0
"#;

/// Opens a stream to the Engine.
///
/// # Errors
/// [`TransportError::NoDocker`] when no Engine responds.
pub(super) async fn open(connection: &SshConnection) -> Result<DockerStream, TransportError> {
    docker_listener::check(connection).await?;
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
            tracing::debug!(?reason, "the Engine's socket cannot be opened directly");
            open_with_dial_stdio(connection).await
        }
        Err(_) => Err(connection.cause.lost().await),
    }
}

/// Opens a stream through `docker system dial-stdio` after a refused direct attempt. The refusal
/// gives no reason: the account may lack permission, sshd may forbid forwarding, or no process
/// listens.
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
            "{socket} is not accessible to {}, and the host has no `docker` program to reach it",
            connection.elevation.user
        );
        return Err(TransportError::NoDocker { installed, why });
    }
    tokio::time::timeout(ANSWER_LIMIT, dial_stdio(connection, &socket))
        .await
        .unwrap_or_else(|_| {
            let why = format!(
                "timed out after {}",
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
            "`{}` is not a valid path of the Engine's socket",
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
    // The output of login shells comes first.
    let mut noise = Vec::new();
    let mut stderr = Vec::new();
    let wanted = format!("{mark}\n").into_bytes();
    while !noise.ends_with(&wanted) {
        match channel.wait().await {
            // Only the end is kept, so that a host cannot fill the memory with other output.
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
            why: format!("{socket} exists but does not respond ({error})"),
        })?;
    Ok(Box::new(stream))
}

/// Maximum number of bytes of noise that are kept.
const NOISE_LIMIT: usize = 16 * 1024;

fn keep_tail(kept: &mut Vec<u8>, bytes: &[u8]) {
    kept.extend_from_slice(bytes);
    let excess = kept.len().saturating_sub(NOISE_LIMIT);
    kept.drain(..excess);
}

/// Returns the path if it is absolute and contains only characters without a meaning to any shell.
fn plain(path: &str) -> Option<&str> {
    let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"/_.-".contains(&byte);
    (path.starts_with('/') && path.bytes().all(harmless)).then_some(path)
}

/// Checks that an Engine responds, because `dial-stdio` starts even when no process listens. The
/// answer to HEAD has no body, so no bytes of it remain in the stream.
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

/// Stream of a session; while it lives, it counts against the sessions of its connection.
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
