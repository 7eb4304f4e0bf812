//! An empty swarm, which a preview reads when no swarm exists yet. A stack can then be planned, and
//! errors in its compose file be found, before there is a cluster.

use async_trait::async_trait;
use bytes::Bytes;
use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::{ProxiedRead, ProxyReader, answer, message, plain_path};
use crate::transport::TransportError;

/// API version of the oldest supported Docker Engine (20.10).
const OLDEST_VERSION: &str = "1.41";
/// Newest API version whose answers skep knows. Clients of Docker 29.0 to 29.2 refuse an Engine
/// whose newest version is below 1.44 (moby/moby#51119).
const NEWEST_VERSION: &str = "1.47";

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
                &json!({ "ApiVersion": NEWEST_VERSION, "MinAPIVersion": OLDEST_VERSION }),
            ),
            "/services" | "/networks" | "/secrets" | "/configs" | "/tasks" | "/nodes" => {
                answer(StatusCode::OK, &json!([]))
            }
            _ => message(StatusCode::NOT_FOUND, "there is no swarm yet"),
        };
        found
            .headers_mut()
            .insert("api-version", HeaderValue::from_static(NEWEST_VERSION));
        found
            .headers_mut()
            .insert("ostype", HeaderValue::from_static("linux"));
        Ok(found)
    }
}
