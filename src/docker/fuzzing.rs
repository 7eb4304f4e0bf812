//! Entry point for fuzzing: properties that hold for every answer of a Docker Engine.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hyper::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::DockerClient;
use crate::transport::{Connection, DockerStream, Exec, ExecOutput, TransportError};

/// A host whose Engine sends the same bytes on every stream, regardless of the request, and then
/// closes it.
struct FuzzedHost(Vec<u8>);

#[async_trait]
impl Connection for FuzzedHost {
    async fn exec(&self, _: Exec) -> Result<ExecOutput, TransportError> {
        Err(TransportError::Lost("this host runs no command".into()))
    }

    async fn open_docker(&self) -> Result<DockerStream, TransportError> {
        let (near, mut far) = tokio::io::duplex(1 << 16);
        let bytes = self.0.clone();
        tokio::spawn(async move {
            let mut request = [0; 4096];
            let _ = far.read(&mut request).await;
            let _ = far.write_all(&bytes).await;
            // Further requests are read and get no answer.
            let _ = far.shutdown().await;
            while far.read(&mut request).await.is_ok_and(|length| length > 0) {}
        });
        Ok(Box::new(near))
    }

    async fn close(&self) {}
}

/// Checks the properties; see [`crate::fuzzing::engine_api`].
pub(crate) fn engine_api(bytes: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    let Ok(runtime) = runtime else { return };
    runtime.block_on(async {
        let work = async {
            let host: Arc<dyn Connection> = Arc::new(FuzzedHost(bytes.to_vec()));
            let Ok(client) = DockerClient::connect(host).await else {
                return;
            };
            for method in [Method::GET, Method::POST] {
                let answer = client
                    .request(&method, "/info", None, Duration::from_secs(5))
                    .await;
                if let Ok((status, body)) = answer {
                    assert!((100..1000).contains(&status), "{status}");
                    // Text or JSON is passed on unchanged; no value is larger than the input.
                    assert!(body.to_string().len() <= bytes.len() * 8 + 16);
                }
            }
        };
        let ended = tokio::time::timeout(Duration::from_secs(20), work).await;
        assert!(ended.is_ok(), "timed out after 20s");
    });
}
