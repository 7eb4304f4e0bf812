//! One host of the run: its connection, held for the whole run, and its Engine's API beside it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{HeaderMap, Response};
use serde_json::Value;
use tokio::sync::Mutex;

use super::apply::Permit;
use crate::docker::{DockerClient, ProxiedRead, ProxiedWrite, ProxyReader, RequestBody};
use crate::model::{DockerAnswer, RegistryCredentials};
use crate::names::HostName;
use crate::transport::{Connection, Exec, ExecOutput, Method, TransportError};

/// Limit of time for one `GET` at an Engine.
const ENGINE_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Limit of time for one read of a gate: `/distribution` asks a registry, which may be far or gone.
const GATE_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Limit of time for one write of a gate.
const GATE_WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connected host.
pub struct ConnectedHost {
    name: HostName,
    connection: Arc<dyn Connection>,
    engine: Mutex<Option<Arc<DockerClient>>>,
    execs: AtomicU32,
}

impl ConnectedHost {
    /// Wraps a connection.
    #[must_use]
    pub fn new(name: HostName, connection: Arc<dyn Connection>) -> Self {
        Self {
            name,
            connection,
            engine: Mutex::new(None),
            execs: AtomicU32::new(0),
        }
    }

    /// The same connection with a stream of its own to the Engine: who asks much does not wait for others' answers.
    #[must_use]
    pub(super) fn with_own_stream(&self) -> Self {
        Self::new(self.name.clone(), self.connection.clone())
    }

    /// The host's name.
    #[must_use]
    pub fn name(&self) -> &HostName {
        &self.name
    }

    /// Runs gather's script as root. For `runner::gather` alone, whose scripts are made of `Query`, a closed list of reads.
    ///
    /// # Errors
    /// [`TransportError`] when the command's end is unknown.
    pub(super) async fn run_gather_script(
        &self,
        script: String,
        timeout: Duration,
    ) -> Result<ExecOutput, TransportError> {
        self.execs.fetch_add(1, Ordering::Relaxed);
        self.connection
            .exec(Exec {
                timeout,
                ..Exec::root(script)
            })
            .await
    }

    /// See [`Connection::prepare_for`].
    pub(super) fn prepare_for(&self, commands: usize) {
        self.connection.prepare_for(commands);
    }

    /// Runs a step's command; see [`Connection::exec`].
    ///
    /// # Errors
    /// [`TransportError`] when the command's end is unknown.
    pub(super) async fn run_step(
        &self,
        _permit: &Permit,
        exec: Exec,
    ) -> Result<ExecOutput, TransportError> {
        self.execs.fetch_add(1, Ordering::Relaxed);
        self.connection.exec(exec).await
    }

    /// The connection itself, which does whatever it is told.
    pub(super) fn connection(&self, _permit: &Permit) -> &Arc<dyn Connection> {
        &self.connection
    }

    /// Ends the connection in order.
    pub async fn close(&self) {
        self.connection.close().await;
    }

    /// How many commands were run so far; the channel to the Engine is not counted.
    #[must_use]
    pub fn execs(&self) -> u32 {
        self.execs.load(Ordering::Relaxed)
    }

    /// One request of a step at the host's Engine, with a body of any sort.
    ///
    /// # Errors
    /// [`TransportError`] when there is no Engine or the stream broke.
    pub(super) async fn request(
        &self,
        _permit: &Permit,
        method: &str,
        path: &str,
        request_body: &RequestBody,
        timeout: Duration,
    ) -> Result<(u16, Value), TransportError> {
        let Ok(method) = Method::from_bytes(method.as_bytes()) else {
            return Err(TransportError::Unsendable(format!(
                "`{method}` is not a method of HTTP"
            )));
        };
        self.send(&method, path, request_body, timeout).await
    }

    /// One write of the `docker` command behind a gate, as it came.
    ///
    /// # Errors
    /// [`TransportError`] when there is no Engine or the stream broke.
    pub(super) async fn forward_write(
        &self,
        _permit: &Permit,
        write: ProxiedWrite,
    ) -> Result<Response<Bytes>, TransportError> {
        self.forward(
            &write.method,
            &write.path,
            write.headers,
            write.body,
            GATE_WRITE_TIMEOUT,
        )
        .await
    }

    /// Over a stream that is kept open, as it came.
    async fn forward(
        &self,
        method: &Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let client = self.client().await?;
        let result = client.forward(method, path, headers, body, timeout).await;
        if result.is_err() {
            self.forget(&client).await;
        }
        result
    }

    /// The client, connected by whoever comes first.
    async fn client(&self) -> Result<Arc<DockerClient>, TransportError> {
        let mut slot = self.engine.lock().await;
        if let Some(client) = slot.as_ref() {
            return Ok(client.clone());
        }
        let client = Arc::new(DockerClient::connect(self.connection.clone()).await?);
        *slot = Some(client.clone());
        Ok(client)
    }

    /// The next request starts afresh: the Engine may have been restarted.
    async fn forget(&self, client: &Arc<DockerClient>) {
        let mut slot = self.engine.lock().await;
        if slot
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, client))
        {
            *slot = None;
        }
    }

    /// Over a stream that is kept open.
    async fn send(
        &self,
        method: &Method,
        path: &str,
        request_body: &RequestBody,
        timeout: Duration,
    ) -> Result<(u16, Value), TransportError> {
        let client = self.client().await?;
        let result = client.send(method, path, request_body, timeout).await;
        if result.is_err() {
            self.forget(&client).await;
        }
        result
    }

    /// One `GET`, as an answer: a missing Engine is an answer, a broken connection is `Unreachable`.
    pub async fn engine_read(&self, path: &str) -> DockerAnswer {
        self.read(path, &RequestBody::default()).await
    }

    /// What a registry has under an image's name, as this host's Engine sees it.
    pub(super) async fn distribution(
        &self,
        image: &str,
        credentials: Option<&RegistryCredentials>,
    ) -> DockerAnswer {
        let request_body =
            RequestBody::default().with_registry_auth(credentials.map(RegistryCredentials::header));
        self.read(&format!("/distribution/{image}/json"), &request_body)
            .await
    }

    async fn read(&self, path: &str, request_body: &RequestBody) -> DockerAnswer {
        match self
            .send(&Method::GET, path, request_body, ENGINE_READ_TIMEOUT)
            .await
        {
            Ok((status, body)) => DockerAnswer::Response { status, body },
            Err(TransportError::NoDocker {
                installed: false, ..
            }) => DockerAnswer::Absent,
            Err(TransportError::NoDocker {
                installed: true,
                why,
            }) => DockerAnswer::Down(why),
            Err(error) => DockerAnswer::Unreachable(error.to_string()),
        }
    }
}

/// Reads of the `docker` command behind a gate. Nothing but GET and HEAD can come out of a [`ProxiedRead`].
#[async_trait]
impl ProxyReader for ConnectedHost {
    async fn read(&self, read: ProxiedRead) -> Result<Response<Bytes>, TransportError> {
        let method = if read.head { Method::HEAD } else { Method::GET };
        self.forward(
            &method,
            &read.path,
            read.headers,
            Bytes::new(),
            GATE_READ_TIMEOUT,
        )
        .await
    }
}
