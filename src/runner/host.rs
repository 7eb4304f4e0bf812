//! A host of the run: its connection, held for the whole run, and the Docker Engine API on the same
//! connection.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{HeaderMap, Response};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::apply::Permit;
use crate::docker::{DockerClient, ProxiedRead, ProxiedWrite, ProxyReader, RequestBody};
use crate::model::{DockerAnswer, RegistryCredentials};
use crate::names::HostName;
use crate::transport::{
    BatchOutput, Connection, Exec, ExecOutput, Method, StepBatch, TransportError,
};

/// Time limit for one `GET` to a Docker Engine.
const ENGINE_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Time limit for one read of a proxy: `/distribution` queries a registry, which may be distant or
/// unreachable.
const GATE_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// Time limit for one write of a proxy.
const GATE_WRITE_TIMEOUT: Duration = Duration::from_secs(60);

/// A connected host.
pub struct ConnectedHost {
    name: HostName,
    connection: Arc<dyn Connection>,
    engine: Mutex<Option<Arc<DockerClient>>>,
    /// Error of an Engine that did not answer a reading of a plan in time: later readings of plans
    /// get it at once. A step on the host clears it.
    silence: Mutex<Option<DockerAnswer>>,
    execs: AtomicU32,
}

impl ConnectedHost {
    /// Wraps a connection.
    #[must_use]
    pub fn new(name: HostName, connection: Arc<dyn Connection>) -> Self {
        Self {
            name,
            connection,
            engine: Mutex::default(),
            silence: Mutex::default(),
            execs: AtomicU32::new(0),
        }
    }

    /// Returns the host with the same connection and a separate client of the Engine: a caller with
    /// many requests does not wait for the answers of others.
    #[must_use]
    pub(super) fn with_own_stream(&self) -> Self {
        Self::new(self.name.clone(), self.connection.clone())
    }

    /// Name of the host.
    #[must_use]
    pub fn name(&self) -> &HostName {
        &self.name
    }

    /// Runs the script of a gather as root. For `runner::gather` alone, whose scripts are made from
    /// `Query`, a closed list of reads.
    ///
    /// # Errors
    /// [`TransportError`] when it is unknown how the command ended.
    pub(super) async fn run_gather_script(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        self.execs.fetch_add(1, Ordering::Relaxed);
        self.connection.exec(exec).await
    }

    /// Prepares the connection for several commands; see [`Connection::prepare_for`].
    pub(super) fn prepare_for(&self, commands: usize) {
        self.connection.prepare_for(commands);
    }

    /// Keeps shells of root ready; see [`Connection::keep_prepared`].
    pub(super) fn keep_prepared(&self, commands: usize) {
        self.connection.keep_prepared(commands);
    }

    /// Runs a step's command; see [`Connection::exec`].
    ///
    /// # Errors
    /// [`TransportError`] when it is unknown how the command ended.
    pub(super) async fn run_step(
        &self,
        _permit: &Permit,
        exec: Exec,
    ) -> Result<ExecOutput, TransportError> {
        self.execs.fetch_add(1, Ordering::Relaxed);
        let output = self.connection.exec(exec).await;
        *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = None;
        output
    }

    /// Runs the steps of several changes and a reading; see [`Connection::exec_batch`].
    pub(super) async fn run_batch(
        &self,
        _permit: &Permit,
        batch: StepBatch,
        stop: &CancellationToken,
    ) -> BatchOutput {
        self.execs.fetch_add(1, Ordering::Relaxed);
        let output = self.connection.exec_batch(batch, stop).await;
        *self.silence.lock().unwrap_or_else(PoisonError::into_inner) = None;
        output
    }

    /// Returns the connection itself, which can run any command; hence the permit.
    pub(super) fn connection(&self, _permit: &Permit) -> &Arc<dyn Connection> {
        &self.connection
    }

    /// Returns the SHA256 fingerprint of the host's key, if this run has learned the key.
    #[must_use]
    pub fn new_host_key(&self) -> Option<&str> {
        self.connection.new_host_key()
    }

    /// Closes the connection cleanly.
    pub async fn close(&self) {
        self.connection.close().await;
    }

    /// Number of commands run so far; requests to the Docker Engine are not counted.
    #[must_use]
    pub fn execs(&self) -> u32 {
        self.execs.load(Ordering::Relaxed)
    }

    /// Sends a step's request to the host's Docker Engine, with any body.
    ///
    /// # Errors
    /// [`TransportError`] when there is no Docker Engine or the stream broke.
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

    /// Forwards a write of the `docker` command behind a proxy unchanged.
    ///
    /// # Errors
    /// [`TransportError`] when there is no Docker Engine or the stream broke.
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

    /// Forwards a request unchanged over a stream that is kept open.
    async fn forward(
        &self,
        method: &Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let client = self.client();
        let result = client.forward(method, path, headers, body, timeout).await;
        if result.is_err() {
            self.forget(&client);
        }
        result
    }

    /// Returns the client of the host's Engine.
    fn client(&self) -> Arc<DockerClient> {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let client = || Arc::new(DockerClient::new(self.connection.clone()));
        engine.get_or_insert_with(client).clone()
    }

    /// Drops the client; the next request connects again, as the Engine may have been restarted.
    fn forget(&self, client: &Arc<DockerClient>) {
        let mut engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        engine.take_if(|current| Arc::ptr_eq(current, client));
    }

    /// Sends a request over a stream that is kept open.
    async fn send(
        &self,
        method: &Method,
        path: &str,
        request_body: &RequestBody,
        timeout: Duration,
    ) -> Result<(u16, Value), TransportError> {
        let client = self.client();
        let result = client.send(method, path, request_body, timeout).await;
        if result.is_err() {
            self.forget(&client);
        }
        result
    }

    /// Like [`Self::engine_read`], for a plan: an Engine that hung once in this run is not read
    /// again, until a step has changed the host.
    pub(super) async fn plan_read(&self, path: &str) -> DockerAnswer {
        let silence = || self.silence.lock().unwrap_or_else(PoisonError::into_inner);
        let known = silence().clone();
        if let Some(answer) = known {
            return answer;
        }
        let sent = self
            .send(
                &Method::GET,
                path,
                &RequestBody::default(),
                ENGINE_READ_TIMEOUT,
            )
            .await;
        let is_silent = matches!(sent, Err(TransportError::Timeout(_)));
        let answer = answer_of(sent);
        if is_silent {
            *silence() = Some(answer.clone());
        }
        answer
    }

    /// Makes one `GET` and returns an answer in any case: a missing Engine is an answer, and a
    /// broken connection is `Unreachable`.
    pub async fn engine_read(&self, path: &str) -> DockerAnswer {
        self.read(path, &RequestBody::default()).await
    }

    /// Returns a registry's description of an image, as this host's Engine sees it.
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
        answer_of(
            self.send(&Method::GET, path, request_body, ENGINE_READ_TIMEOUT)
                .await,
        )
    }
}

fn answer_of(sent: Result<(u16, Value), TransportError>) -> DockerAnswer {
    match sent {
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

/// Reads of the `docker` command behind a proxy. A [`ProxiedRead`] can only be a GET or HEAD.
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
