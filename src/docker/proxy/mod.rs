//! The proxy between the `docker` command of this machine and a manager's Engine: a socket that passes reads on. Writes are
//! recorded and answered, or, with leave, passed on too. It says what the command would do without doing it.
//!
//! Who only looks has no [`ProxyWriter`] to give: a preview cannot write, by type.

mod empty_swarm;
mod overlay;
mod planned_objects;
mod serve;
mod versions;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, header};
use serde_json::{Value, json};

pub(super) use self::serve::ProxyServer;
pub use crate::docker::proxy::empty_swarm::EmptySwarm;
use crate::docker::proxy::planned_objects::PlannedObjects;
use crate::transport::TransportError;

/// A read of the command; there is no method in it that could be another than GET or HEAD.
#[derive(Debug)]
pub struct ProxiedRead {
    /// HEAD instead of GET.
    pub head: bool,
    /// Path and query as the command gave them, with the version.
    pub path: String,
    /// What counts of its headers: leave at a registry.
    pub headers: HeaderMap,
}

/// A write of the command.
pub struct ProxiedWrite {
    /// POST or DELETE.
    pub method: Method,
    /// Path and query as the command gave them, with the version.
    pub path: String,
    /// What counts of its headers: the type of the body, leave at a registry.
    pub headers: HeaderMap,
    /// Never logged: secrets are in it.
    pub body: Bytes,
}

/// Where reads go.
#[async_trait]
pub trait ProxyReader: Send + Sync {
    /// One GET or HEAD.
    ///
    /// # Errors
    /// [`TransportError`] when no answer came; a status that says "failed" is an answer.
    async fn read(&self, read: ProxiedRead) -> Result<Response<Bytes>, TransportError>;
}

/// Where writes go, for who has leave to write.
#[async_trait]
pub trait ProxyWriter: Send + Sync {
    /// One write.
    ///
    /// # Errors
    /// [`TransportError`] when no answer came.
    async fn write(&self, write: ProxiedWrite) -> Result<Response<Bytes>, TransportError>;
}

/// One write that the command made, or would have made.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordedWrite {
    /// `POST` or `DELETE`.
    pub method: String,
    /// Path and query without the version.
    pub path: String,
    /// The body; null when empty. The data of a secret is not in it, only the length of its Base64 text, as `DataLength`.
    pub body: Value,
}

// By hand: bodies hold what belongs in no log.
impl std::fmt::Debug for RecordedWrite {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

/// Passes on, records, and lays what is planned over what is read.
pub struct DockerProxy {
    reads: Arc<dyn ProxyReader>,
    writes: Option<Arc<dyn ProxyWriter>>,
    planned: Mutex<PlannedObjects>,
    recorded: Mutex<Vec<RecordedWrite>>,
    /// The first failure of the road to the Engine: the command would tell it in its own words only.
    first_error: Mutex<Option<TransportError>>,
}

impl DockerProxy {
    /// A proxy that lets nothing through but reads.
    #[must_use]
    pub fn preview(reads: Arc<dyn ProxyReader>) -> Self {
        Self {
            reads,
            writes: None,
            planned: Mutex::default(),
            recorded: Mutex::default(),
            first_error: Mutex::default(),
        }
    }

    /// A proxy that lets writes through.
    #[must_use]
    pub fn recording(reads: Arc<dyn ProxyReader>, writes: Arc<dyn ProxyWriter>) -> Self {
        Self {
            writes: Some(writes),
            ..Self::preview(reads)
        }
    }

    /// Every write so far, in order.
    #[must_use]
    pub fn recorded(&self) -> Vec<RecordedWrite> {
        self.recorded
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// External objects that were asked for and are not there, as `secret db_password`; a preview made them up.
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

    /// The first failure of the road to the Engine.
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
        let shown = self
            .planned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .aliases
            .clone();
        if path.starts_with("/services/") && versions::rename(&shown, &mut body) {
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

/// The path without `/v1.41`.
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

/// A secret's data goes to the Engine and nowhere else.
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

/// An answer in JSON.
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

/// An error as an Engine says it.
fn message(status: StatusCode, text: &str) -> Response<Bytes> {
    answer(status, &json!({ "message": text }))
}

#[cfg(test)]
mod tests;
