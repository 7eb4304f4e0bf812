//! Opens the byte stream to a host: TCP, a channel of a jump host's connection, or a local command.
//! SSH runs on top of it.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use russh::ChannelOpenFailure;
use tokio::net::{TcpSocket, TcpStream, lookup_host};

use super::SshConnection;
use super::proxy_command::{ProxyCommand, ProxyStderr};
use super::stream::NetworkStream;
use crate::inventory::{AddressFamily, SshTarget};
use crate::transport::TransportError;

/// Route to a host. Cheap to clone.
#[derive(Clone)]
pub(crate) enum Route {
    /// Directly by TCP.
    Tcp,
    /// Through a jump host.
    Through {
        /// Connection of the jump host, which many hosts share.
        jump: Arc<SshConnection>,
        /// Name of the jump host in messages.
        name: String,
    },
    /// Through a local command, with its tokens replaced.
    Command(String),
}

impl Route {
    /// Opens the stream to a host.
    ///
    /// # Errors
    /// [`TransportError::Connect`], [`TransportError::Resolve`], or [`TransportError::Jump`] when
    /// the connection to the jump host is lost.
    pub(crate) async fn open(
        &self,
        target: &SshTarget,
    ) -> Result<(NetworkStream, ProxyStderr), TransportError> {
        match self {
            Self::Tcp => Ok((
                NetworkStream::Tcp(dial(target).await?),
                ProxyStderr::default(),
            )),
            Self::Through { jump, name } => {
                Ok((through(jump, name, target).await?, ProxyStderr::default()))
            }
            Self::Command(command) => {
                let (stream, words) = ProxyCommand::start(command).map_err(|error| {
                    connect_error(
                        target,
                        format!("its ProxyCommand cannot be started: {error}"),
                        false,
                    )
                })?;
                Ok((NetworkStream::Other(Box::new(stream)), words))
            }
        }
    }
}

/// Returns the error for a failed connection to a target.
pub(super) fn connect_error(target: &SshTarget, why: String, retryable: bool) -> TransportError {
    TransportError::Connect {
        address: format!("{}:{}", target.address, target.port),
        why,
        retryable,
    }
}

async fn through(
    jump: &SshConnection,
    name: &str,
    target: &SshTarget,
) -> Result<NetworkStream, TransportError> {
    let (address, port) = (target.address.clone(), u32::from(target.port));
    match jump
        .handle
        .channel_open_direct_tcpip(address, port, "127.0.0.1", 0)
        .await
    {
        Ok(channel) => Ok(NetworkStream::Other(Box::new(channel.into_stream()))),
        Err(russh::Error::ChannelOpenFailure(reason)) => {
            let words = jump
                .cause
                .refusal()
                .await
                .unwrap_or_else(|| format!("{reason:?}"));
            let (why, retryable) = match reason {
                ChannelOpenFailure::AdministrativelyProhibited => (
                    format!(
                        "{name} forbids forwarding ({words}); its sshd needs AllowTcpForwarding"
                    ),
                    false,
                ),
                _ => (format!("{name} cannot reach the host: {words}"), true),
            };
            Err(connect_error(target, why, retryable))
        }
        Err(_) => {
            let error = Box::new(jump.cause.lost().await);
            Err(TransportError::Jump {
                hop: name.to_owned(),
                error,
            })
        }
    }
}

async fn dial(target: &SshTarget) -> Result<TcpStream, TransportError> {
    let trouble = |why: String| TransportError::Resolve {
        name: target.address.clone(),
        why,
    };
    let found = lookup_host((target.address.as_str(), target.port))
        .await
        .map_err(|error| trouble(error.to_string()))?;
    let fits = |address: &SocketAddr| match target.ssh.family {
        AddressFamily::Any => true,
        AddressFamily::Inet => address.is_ipv4(),
        AddressFamily::Inet6 => address.is_ipv6(),
    };
    let addresses: Vec<SocketAddr> = found.filter(fits).collect();
    if addresses.is_empty() {
        return Err(trouble(
            "it has no address (of the required AddressFamily)".into(),
        ));
    }
    let source = match &target.ssh.bind_address {
        Some(address) => Some(source(target, address).await?),
        None => None,
    };
    let mut last = std::io::Error::from(ErrorKind::AddrNotAvailable);
    for address in addresses {
        match dial_one(address, source).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    let hopeless = matches!(
        last.kind(),
        ErrorKind::PermissionDenied | ErrorKind::InvalidInput
    );
    Err(connect_error(target, last.to_string(), !hopeless))
}

async fn dial_one(address: SocketAddr, source: Option<IpAddr>) -> std::io::Result<TcpStream> {
    let Some(source) = source else {
        return TcpStream::connect(address).await;
    };
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.bind(SocketAddr::new(source, 0))?;
    socket.connect(address).await
}

async fn source(target: &SshTarget, address: &str) -> Result<IpAddr, TransportError> {
    let trouble = |why: String| TransportError::Settings {
        setting: "BindAddress".into(),
        place: format!("the SSH configuration of {}", target.name).into(),
        why,
    };
    let mut found = lookup_host((address, 0))
        .await
        .map_err(|error| trouble(format!("{address}: {error}")))?;
    found
        .next()
        .map(|address| address.ip())
        .ok_or_else(|| trouble(format!("{address} has no address")))
}
