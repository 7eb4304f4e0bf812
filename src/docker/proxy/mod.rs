//! The proxy between the `docker` command of this machine and a manager's Engine: a Unix socket
//! that forwards reads. Writes are recorded and answered by the proxy itself, or forwarded as well
//! if the proxy has a writer. A preview thus shows what the command would do without doing it.
//!
//! A read-only run has no [`ProxyWriter`] to pass in: a preview cannot write, by type.

mod confinement;
mod empty_swarm;
mod overlay;
mod planned_objects;
mod secret_versions;
mod serve;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

use self::confinement::StackConfinement;
pub(super) use self::serve::ProxyServer;
pub use crate::docker::proxy::empty_swarm::EmptySwarm;
use crate::docker::proxy::planned_objects::PlannedObjects;
use crate::transport::TransportError;

/// A read of the command; its type allows only GET and HEAD.
#[derive(Debug)]
pub struct ProxiedRead {
    /// True for HEAD, false for GET.
    pub head: bool,
    /// Path and query as the command sent them, with the version.
    pub path: String,
    /// Relevant headers: the credentials for a registry.
    pub headers: HeaderMap,
}

/// A write of the command.
pub struct ProxiedWrite {
    /// Method: POST or DELETE.
    pub method: Method,
    /// Path and query as the command sent them, with the version.
    pub path: String,
    /// Relevant headers: the type of the body, the credentials for a registry.
    pub headers: HeaderMap,
    /// Body; never logged, as it may contain secrets.
    pub body: Bytes,
}

/// Target of the reads.
#[async_trait]
pub trait ProxyReader: Send + Sync {
    /// Makes one GET or HEAD request.
    ///
    /// # Errors
    /// [`TransportError`] when no answer came; a status that means failure is an answer.
    async fn read(&self, read: ProxiedRead) -> Result<Response<Bytes>, TransportError>;
}

/// Target of the writes, for a caller that may write.
#[async_trait]
pub trait ProxyWriter: Send + Sync {
    /// Makes one write.
    ///
    /// # Errors
    /// [`TransportError`] when no answer came.
    async fn write(&self, write: ProxiedWrite) -> Result<Response<Bytes>, TransportError>;
}

/// A write that the command made, or would have made.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordedWrite {
    /// Method: `POST` or `DELETE`.
    pub method: String,
    /// Path and query without the version.
    pub path: String,
    /// Body; null if empty. The data of a secret is replaced by the length of its Base64 text, as
    /// `DataLength`.
    pub body: Value,
}

// Written by hand: bodies may contain secrets, which must not be logged.
impl std::fmt::Debug for RecordedWrite {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

/// The proxy: forwards requests, records writes, and adds planned objects to the answers of reads.
pub struct DockerProxy {
    reads: Arc<dyn ProxyReader>,
    writes: Option<Arc<dyn ProxyWriter>>,
    planned: Mutex<PlannedObjects>,
    recorded: Mutex<Vec<RecordedWrite>>,
    confinement: Mutex<StackConfinement>,
    /// First error between the proxy and the Engine: the command would only report it in words of
    /// its own.
    first_error: Mutex<Option<TransportError>>,
}

impl DockerProxy {
    /// Returns a proxy that forwards only reads.
    #[must_use]
    pub fn preview(reads: Arc<dyn ProxyReader>) -> Self {
        Self {
            reads,
            writes: None,
            planned: Mutex::default(),
            recorded: Mutex::default(),
            confinement: Mutex::default(),
            first_error: Mutex::default(),
        }
    }

    /// Returns a proxy that forwards writes as well.
    #[must_use]
    pub fn recording(reads: Arc<dyn ProxyReader>, writes: Arc<dyn ProxyWriter>) -> Self {
        Self {
            writes: Some(writes),
            ..Self::preview(reads)
        }
    }

    /// Refuses writes that contain the path of the command's folder, and objects whose data is not
    /// the content of one of its files.
    pub(in crate::docker) fn confine<'a>(
        &self,
        folder: &Path,
        files: impl Iterator<Item = &'a Vec<u8>>,
    ) {
        *self
            .confinement
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = StackConfinement::new(folder, files);
    }

    /// Returns every write so far, in order.
    #[must_use]
    pub fn recorded(&self) -> Vec<RecordedWrite> {
        self.recorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the requested external objects that do not exist, as `secret db_password`; a preview
    /// replaces them by placeholders.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        self.planned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .missing
            .iter()
            .cloned()
            .collect()
    }

    /// Returns the first error between the proxy and the Engine.
    #[must_use]
    pub fn first_error(&self) -> Option<TransportError> {
        self.first_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Answers one request of the command.
    async fn answer(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let path = parts
            .uri
            .path_and_query()
            .map_or_else(|| "/".to_owned(), ToString::to_string);
        let headers = passed_headers(&parts.headers);
        let answer = if parts.method == Method::GET || parts.method == Method::HEAD {
            self.read(ProxiedRead {
                head: parts.method == Method::HEAD,
                path,
                headers,
            })
            .await
        } else {
            self.write(ProxiedWrite {
                method: parts.method,
                path,
                headers,
                body,
            })
            .await
        };
        answer.unwrap_or_else(|error| {
            let answer = message(StatusCode::BAD_GATEWAY, &error.to_string());
            self.first_error
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .get_or_insert(error);
            answer
        })
    }

    async fn read(&self, read: ProxiedRead) -> Result<Response<Bytes>, TransportError> {
        let (head, path) = (read.head, plain_path(&read.path).to_owned());
        let answer = self.reads.read(read).await?;
        if head {
            return Ok(answer);
        }
        let preview = self.writes.is_none();
        let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(overlay::overlay_planned(
            &mut planned,
            preview,
            &path,
            answer,
        ))
    }

    async fn write(&self, mut write: ProxiedWrite) -> Result<Response<Bytes>, TransportError> {
        let path = plain_path(&write.path).to_owned();
        let mut body = serde_json::from_slice(&write.body).unwrap_or(Value::Null);
        let refusal = self
            .confinement
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .refusal(&path, &write.body, &body);
        if let Some(why) = refusal {
            return Ok(message(StatusCode::FORBIDDEN, &why));
        }
        let shown = self
            .planned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .aliases
            .clone();
        if path.starts_with("/services/") && secret_versions::rename(&shown, &mut body) {
            write.body = Bytes::from(body.to_string());
        }
        let record = RecordedWrite {
            method: write.method.to_string(),
            path,
            body: without_secrets(&write.path, body),
        };
        let Some(writes) = &self.writes else {
            let mut planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
            let answer = planned.answer(&record);
            drop(planned);
            self.recorded
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(record);
            return Ok(answer);
        };
        let answer = writes.write(write).await?;
        if answer.status().is_success() {
            self.recorded
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(record);
        }
        Ok(answer)
    }
}

/// Returns the path without its version prefix, such as `/v1.41`.
fn plain_path(path: &str) -> &str {
    let Some(rest) = path.strip_prefix("/v") else {
        return path;
    };
    match rest.split_once('/') {
        Some((version, _))
            if version
                .bytes()
                .all(|byte| byte.is_ascii_digit() || byte == b'.') =>
        {
            &rest[version.len()..]
        }
        _ => path,
    }
}

fn passed_headers(headers: &HeaderMap) -> HeaderMap {
    let names = [header::CONTENT_TYPE.as_str(), "x-registry-auth"];
    headers
        .iter()
        .filter(|(name, _)| names.contains(&name.as_str()))
        .map(|(n, v)| (n.clone(), v.clone()))
        .collect()
}

/// Removes the data of a secret: it is sent to the Engine only.
fn without_secrets(path: &str, mut body: Value) -> Value {
    if plain_path(path).starts_with("/secrets/")
        && let Some(object) = body.as_object_mut()
    {
        let length = object
            .remove("Data")
            .and_then(|data| Some(data.as_str()?.len()))
            .unwrap_or_default();
        object.insert("DataLength".into(), length.into());
    }
    body
}

/// Returns an answer in JSON.
fn answer(status: StatusCode, body: &Value) -> Response<Bytes> {
    let bytes = if body.is_null() {
        Bytes::new()
    } else {
        Bytes::from(body.to_string())
    };
    let mut answer = Response::new(bytes);
    *answer.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    answer.headers_mut().insert(header::CONTENT_TYPE, json);
    answer
}

/// Returns an error in the form of a Docker Engine.
fn message(status: StatusCode, text: &str) -> Response<Bytes> {
    answer(status, &json!({ "message": text }))
}

#[cfg(test)]
mod tests;
