//! An empty swarm, which a preview reads when no swarm exists yet. A stack can then be planned, and
//! errors in its compose file be found, before there is a cluster.

use async_trait::async_trait;
use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::{ProxiedRead, ProxyReader, answer, message, plain_path};
use crate::transport::TransportError;

/// Oldest API version that all supported Docker Engines support (20.10).
const VERSION: &str = "1.41";

/// Reader that answers like a manager of an empty swarm.
pub struct EmptySwarm;

#[async_trait]
impl ProxyReader for EmptySwarm {
    async fn read(&self, read: ProxiedRead) -> Result<Response<Bytes>, TransportError> {
        let path = plain_path(&read.path).split('?').next().unwrap_or_default();
        let mut found = match path {
            "/_ping" => answer(StatusCode::OK, &Value::Null),
            "/info" => {
                let swarm = json!({ "LocalNodeState": "active", "ControlAvailable": true });
                answer(StatusCode::OK, &json!({ "Swarm": swarm }))
            }
            "/version" => answer(
                StatusCode::OK,
                &json!({ "ApiVersion": VERSION, "MinAPIVersion": VERSION }),
            ),
            "/services" | "/networks" | "/secrets" | "/configs" | "/tasks" | "/nodes" => {
                answer(StatusCode::OK, &json!([]))
            }
            _ => message(StatusCode::NOT_FOUND, "there is no swarm yet"),
        };
        found
            .headers_mut()
            .insert("api-version", HeaderValue::from_static(VERSION));
        found
            .headers_mut()
            .insert("ostype", HeaderValue::from_static("linux"));
        Ok(found)
    }
}
