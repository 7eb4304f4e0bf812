//! Serves a proxy on a Unix socket in a private folder, until the server's value is dropped.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use tokio::net::{UnixListener, UnixStream};
use tokio::task::{JoinHandle, JoinSet};

use super::{DockerProxy, message};
use crate::docker::PrivateFolder;
use crate::transport::TransportError;

/// Maximum size of a request in bytes: a config of one megabyte, encoded, with some reserve.
const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// A running server of a proxy; dropping it ends the server.
pub(in crate::docker) struct ProxyServer {
    task: JoinHandle<()>,
    socket: PathBuf,
}

impl Drop for ProxyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl ProxyServer {
    /// Starts to listen on a socket in the folder.
    pub(in crate::docker) fn start(
        proxy: Arc<DockerProxy>,
        folder: &PrivateFolder,
    ) -> Result<Self, TransportError> {
        let socket = folder.path().join(".proxy");
        let listener = UnixListener::bind(&socket)
            .map_err(|error| TransportError::Local(format!("{}: {error}", socket.display())))?;
        let task = tokio::spawn(async move {
            // The connections end with the set, and the set ends with this task.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(serve(proxy.clone(), stream));
                while connections.try_join_next().is_some() {}
            }
        });
        Ok(Self { task, socket })
    }

    /// Returns the address for `DOCKER_HOST`.
    pub(in crate::docker) fn address(&self) -> String {
        format!("unix://{}", self.socket.display())
    }
}

async fn serve(proxy: Arc<DockerProxy>, stream: UnixStream) {
    let service = service_fn(move |request| {
        let proxy = proxy.clone();
        async move { Ok::<_, Infallible>(one(&proxy, request).await) }
    });
    if let Err(error) = http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await
    {
        tracing::debug!(%error, "a connection to the proxy ended");
    }
}

async fn one(proxy: &DockerProxy, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    tracing::debug!(method = %parts.method, path = %parts.uri.path(), "proxy");
    let Ok(body) = Limited::new(body, BODY_LIMIT).collect().await else {
        return message(
            StatusCode::PAYLOAD_TOO_LARGE,
            "the request is larger than skep's proxy allows",
        )
        .map(Full::new);
    };
    let mut answer = proxy
        .answer(Request::from_parts(parts, body.to_bytes()))
        .await;
    // These headers belong to the stream to the Engine.
    for name in [
        header::CONTENT_LENGTH,
        header::TRANSFER_ENCODING,
        header::CONNECTION,
    ] {
        answer.headers_mut().remove(name);
    }
    answer.map(Full::new)
}
