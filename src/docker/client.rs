//! The Docker Engine API over a host's connection: keep-alive HTTP/1 streams with one request at a
//! time on each, reopened after a restart of the Engine. Bodies are never logged: they contain join
//! tokens and secrets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{HeaderMap, Method, Request, Response, header};
use serde_json::Value;
use tokio::sync::Semaphore;

use super::request_stream::{PING_LIMIT, RequestSender, is_limit, open};
use crate::transport::{Connection, TransportError};

/// Newest API version whose answers skep knows.
const KNOWN_VERSION: ApiVersion = ApiVersion(1, 47);

/// Version of the API, such as 1.47.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ApiVersion(u32, u32);

impl ApiVersion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.trim().split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// A request as it is sent on the stream.
struct OutgoingRequest<'a> {
    method: &'a Method,
    /// Path with its version prefix, if it has one.
    path: &'a str,
    headers: HeaderMap,
    body: Bytes,
}

impl<'a> OutgoingRequest<'a> {
    /// A request without a body.
    fn new(method: &'a Method, path: &'a str) -> Self {
        Self {
            method,
            path,
            headers: HeaderMap::new(),
            body: Bytes::new(),
        }
    }
}

/// A client of one host's Engine. Concurrent requests use separate streams, as many as the
/// connection allows.
pub struct DockerClient {
    connection: Arc<dyn Connection>,
    /// Version that both sides know; `None` before the first answer.
    version: Mutex<Option<ApiVersion>>,
    /// Streams without a request in progress.
    idle: Mutex<Vec<RequestSender>>,
    streams: Semaphore,
    /// Time and error of the last stream that found no Engine: it is also the result of the
    /// requests that waited meanwhile.
    refusal: Mutex<Option<(Instant, TransportError)>>,
}

/// Body of a request, with its content type and the credentials for a registry.
#[derive(Clone, Default)]
pub struct RequestBody {
    body: Bytes,
    content_type: Option<&'static str>,
    registry_auth: Option<String>,
}

impl RequestBody {
    /// Returns a JSON body.
    #[must_use]
    pub fn json(value: &Value) -> Self {
        Self {
            body: Bytes::from(value.to_string()),
            content_type: Some("application/json"),
            registry_auth: None,
        }
    }

    /// Returns a tar archive as the body; no body if it is empty.
    #[must_use]
    pub fn tar(archive: Bytes) -> Self {
        let content_type = (!archive.is_empty()).then_some("application/x-tar");
        Self {
            body: archive,
            content_type,
            registry_auth: None,
        }
    }

    /// Adds the value of the header `X-Registry-Auth`.
    #[must_use]
    pub fn with_registry_auth(mut self, value: Option<String>) -> Self {
        self.registry_auth = value;
        self
    }

    fn to_request<'a>(
        &self,
        method: &'a Method,
        path: &'a str,
    ) -> Result<OutgoingRequest<'a>, TransportError> {
        let mut sent = OutgoingRequest {
            body: self.body.clone(),
            ..OutgoingRequest::new(method, path)
        };
        if let Some(content_type) = self.content_type {
            sent.headers.insert(
                header::CONTENT_TYPE,
                header::HeaderValue::from_static(content_type),
            );
        }
        if let Some(credentials) = &self.registry_auth {
            let trouble =
                |error| TransportError::Unsendable(format!("credentials for a registry: {error}"));
            let mut value = header::HeaderValue::from_str(credentials).map_err(trouble)?;
            value.set_sensitive(true);
            sent.headers.insert("x-registry-auth", value);
        }
        Ok(sent)
    }
}

impl DockerClient {
    /// Returns a client that has not contacted the Engine yet. The answer to the first `GET` also
    /// tells the version, which saves the round trip of a ping.
    #[must_use]
    pub fn new(connection: Arc<dyn Connection>) -> Self {
        Self {
            version: Mutex::new(None),
            idle: Mutex::default(),
            streams: Semaphore::new(connection.docker_streams()),
            refusal: Mutex::default(),
            connection,
        }
    }

    /// Connects to the Engine and chooses the API version: the older of the Engine's newest version
    /// and the newest known here.
    ///
    /// # Errors
    /// [`TransportError::NoDocker`] when nothing answers, other errors when the connection is lost.
    pub async fn connect(connection: Arc<dyn Connection>) -> Result<Self, TransportError> {
        let client = Self::new(connection);
        client.ping().await?;
        Ok(client)
    }

    /// Asks the Engine for its version.
    async fn ping(&self) -> Result<(), TransportError> {
        let ping = OutgoingRequest::new(&Method::GET, "/_ping");
        let answer = self.exchange(&ping, PING_LIMIT).await?;
        if let Some(newest) = version_of(&answer) {
            self.speak(newest.min(KNOWN_VERSION));
            return Ok(());
        }
        let why = format!(
            "the socket is served by something other than a Docker Engine (status {})",
            answer.status()
        );
        Err(TransportError::NoDocker {
            installed: true,
            why,
        })
    }

    /// Learns the version from the answer to a request without one. Returns false if the answer may
    /// be that of a version that is not known here.
    async fn learn_version(&self, answer: &Response<Bytes>) -> Result<bool, TransportError> {
        match version_of(answer) {
            Some(newest) => {
                self.speak(newest.min(KNOWN_VERSION));
                Ok(newest <= KNOWN_VERSION)
            }
            None => self.ping().await.map(|()| false),
        }
    }

    /// Sends one request and reads the whole answer; the path has no version prefix (`/info`,
    /// `/nodes?filters=…`).
    ///
    /// Returns the status and the body: JSON as a value, an empty body as null, other text as a
    /// string. A status that means failure is an answer, not an error. The request is sent once
    /// more over a new stream when the stream was closed before the request was sent, and for GET
    /// and HEAD also when it closes later. A request that changes something is never repeated if
    /// the Engine may have received it.
    ///
    /// # Errors
    /// [`TransportError::Timeout`], [`TransportError::Lost`] (it is then unknown whether the Engine
    /// acted), [`TransportError::NoDocker`] or [`TransportError::TooMuchOutput`].
    pub async fn request(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
        timeout: Duration,
    ) -> Result<(u16, Value), TransportError> {
        let request_body = body.map(RequestBody::json).unwrap_or_default();
        self.send(method, path, &request_body, timeout).await
    }

    /// Sends one request with any body, and with credentials for a registry.
    ///
    /// # Errors
    /// As [`DockerClient::request`].
    pub async fn send(
        &self,
        method: &Method,
        path: &str,
        request_body: &RequestBody,
        timeout: Duration,
    ) -> Result<(u16, Value), TransportError> {
        let mut renegotiated = false;
        loop {
            let version = *self.version.lock().unwrap_or_else(PoisonError::into_inner);
            let versioned = match version {
                Some(ApiVersion(major, minor)) => format!("/v{major}.{minor}{path}"),
                // Without a version in its path, the Engine answers by its newest one.
                None if *method == Method::GET => path.to_owned(),
                None => {
                    self.ping().await?;
                    continue;
                }
            };
            let answer = self
                .exchange(&request_body.to_request(method, &versioned)?, timeout)
                .await?;
            if version.is_none() && !self.learn_version(&answer).await? {
                continue;
            }
            let (status, value) = (answer.status().as_u16(), json(answer.body()));
            // The Engine refused the version and did not process the request: it was replaced by an
            // older or newer Engine.
            if status == 400 && !renegotiated && is_about_version(&value) {
                renegotiated = true;
                self.renegotiate().await?;
                continue;
            }
            return Ok((status, value));
        }
    }

    /// Forwards a request of another client with its path (version included), headers and body.
    ///
    /// # Errors
    /// As [`DockerClient::request`].
    pub async fn forward(
        &self,
        method: &Method,
        path: &str,
        headers: HeaderMap,
        body: Bytes,
        timeout: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let sent = OutgoingRequest {
            method,
            path,
            headers,
            body,
        };
        self.exchange(&sent, timeout).await
    }

    fn speak(&self, version: ApiVersion) {
        *self.version.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
    }

    fn return_stream(&self, sender: RequestSender) {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(sender);
    }

    fn idle_stream(&self) -> Option<RequestSender> {
        self.idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop()
    }

    /// Reads the versions that the Engine supports and chooses the nearest to the known one.
    async fn renegotiate(&self) -> Result<(), TransportError> {
        let answer = self
            .exchange(&OutgoingRequest::new(&Method::GET, "/version"), PING_LIMIT)
            .await?;
        let value = json(answer.body());
        let version = |key: &str| {
            value
                .get(key)
                .and_then(Value::as_str)
                .and_then(ApiVersion::parse)
        };
        let newest = version("ApiVersion").unwrap_or(KNOWN_VERSION);
        let oldest = version("MinAPIVersion").unwrap_or(newest);
        self.speak(KNOWN_VERSION.min(newest).max(oldest));
        Ok(())
    }

    async fn exchange(
        &self,
        sent: &OutgoingRequest<'_>,
        timeout: Duration,
    ) -> Result<Response<Bytes>, TransportError> {
        let repeatable = *sent.method == Method::GET || *sent.method == Method::HEAD;
        let closed = |_| TransportError::Lost("the streams to the Docker Engine are closed".into());
        let begun = Instant::now();
        let _permit = self.streams.acquire().await.map_err(closed)?;
        let refusal = || self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((when, error)) = &*refusal()
            && *when >= begun
        {
            return Err(error.clone());
        }
        let mut resting = self.idle_stream();
        let mut again = resting.is_some();
        let mut relearned = false;
        loop {
            // The stream is not idle during the exchange: a cancelled request drops its stream as
            // well.
            let mut sender = match resting.take() {
                Some(sender) => sender,
                None => open(&*self.connection).await?,
            };
            let request = build(sent)?;
            let result = tokio::time::timeout(timeout, sender.send(request)).await;
            match result {
                Ok(Ok(answer)) => {
                    self.return_stream(sender);
                    return Ok(answer);
                }
                Ok(Err(broken))
                    if again && (broken.unsent || repeatable) && !is_limit(&broken.error) =>
                {
                    again = false;
                    self.connection.docker_stream_broke();
                    // A restart of the Engine closed the other idle streams as well.
                    self.idle
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .clear();
                }
                Ok(Err(broken)) => {
                    self.connection.docker_stream_broke();
                    let learned =
                        broken.refused && self.connection.docker_stream_failed(&broken.error);
                    if !learned || relearned {
                        if broken.refused {
                            *refusal() = Some((Instant::now(), broken.error.clone()));
                        }
                        return Err(broken.error);
                    }
                    relearned = true;
                }
                Err(_) => return Err(TransportError::Timeout(timeout)),
            }
        }
    }
}

fn build(sent: &OutgoingRequest<'_>) -> Result<Request<Full<Bytes>>, TransportError> {
    let mut request = Request::builder().method(sent.method).uri(sent.path);
    if let Some(headers) = request.headers_mut() {
        headers.clone_from(&sent.headers);
        headers.insert(header::HOST, header::HeaderValue::from_static("docker"));
    }
    let trouble =
        |error| TransportError::Unsendable(format!("a request for {}: {error}", sent.path));
    request.body(Full::new(sent.body.clone())).map_err(trouble)
}

/// Returns the newest version of the Engine that answered.
fn version_of(answer: &Response<Bytes>) -> Option<ApiVersion> {
    let named = answer.headers().get("api-version")?;
    ApiVersion::parse(named.to_str().ok()?)
}

/// Returns true for refusals such as "client version 1.47 is too old. Minimum supported API version
/// is 1.50", or "too new".
fn is_about_version(value: &Value) -> bool {
    let message = value
        .get("message")
        .and_then(Value::as_str)
        .unwrap_or_default();
    message.contains("client version")
        && (message.contains("too old") || message.contains("too new"))
}

fn json(body: &Bytes) -> Value {
    if body.is_empty() {
        return Value::Null;
    }
    serde_json::from_slice(body)
        .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(body).into_owned()))
}
