//! Tests of the proxy over a real Unix socket: forwarded, recorded and changed requests. The real
//! `docker` command uses it in `tests/lab/stack.rs`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use http_body_util::{BodyExt as _, Full};
use hyper_util::rt::TokioIo;

use super::serve::ProxyServer;
use super::*;
use crate::docker::PrivateFolder;

/// A Docker Engine with one service and one secret.
struct SmallSwarm;

#[async_trait]
impl ProxyReader for SmallSwarm {
    async fn read(&self, read: ProxiedRead) -> Result<Response<Bytes>, TransportError> {
        let service = |image: &str| {
            json!([{"ID": "s1", "Spec": {"Name": "web_app", "Labels": {"com.docker.stack.image": "tiny:1"},
                   "TaskTemplate": {"ContainerSpec": {"Image": image}}}}])
        };
        Ok(match plain_path(&read.path) {
            "/services" => answer(StatusCode::OK, &service("tiny:1@sha256:ab")),
            "/services?foreign" => answer(StatusCode::OK, &service("tiny:2")),
            path if path.starts_with("/secrets?") => answer(
                StatusCode::OK,
                &json!([{"ID": "x1", "Spec": {"Name": "old"}}]),
            ),
            "/broken" => return Err(TransportError::Lost("gone".into())),
            _ => message(StatusCode::NOT_FOUND, "no such thing"),
        })
    }
}

struct ProxyClient {
    _served: ProxyServer,
    folder: PrivateFolder,
}

impl ProxyClient {
    fn of(proxy: &Arc<DockerProxy>) -> Self {
        let folder = PrivateFolder::new().unwrap();
        Self {
            _served: ProxyServer::start(proxy.clone(), &folder).unwrap(),
            folder,
        }
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let stream = tokio::net::UnixStream::connect(self.folder.path().join(".proxy"))
            .await
            .unwrap();
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        let bytes = if body.is_null() {
            Bytes::new()
        } else {
            Bytes::from(body.to_string())
        };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "x")
            .body(Full::new(bytes))
            .unwrap();
        let answer = sender.send_request(request).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        (
            status,
            serde_json::from_slice(&bytes).unwrap_or(Value::Null),
        )
    }
}

const OLD_AND_NEW: &str =
    "/v1.41/secrets?filters=%7B%22name%22%3A%7B%22old%22%3Atrue%2C%22new%22%3Atrue%7D%7D";

#[tokio::test]
async fn preview_answers_writes_and_shows_the_planned_objects() {
    let proxy = Arc::new(DockerProxy::preview(Arc::new(SmallSwarm)));
    let client = ProxyClient::of(&proxy);
    let secret = json!({"Name": "new", "Data": "aHVudGVyMg==", "Labels": {"a": "b"}});
    assert_eq!(
        client.ask("POST", "/v1.41/secrets/create", secret).await.0,
        201
    );
    let (_, list) = client.ask("GET", OLD_AND_NEW, Value::Null).await;
    let names: Vec<&str> = list
        .as_array()
        .unwrap()
        .iter()
        .map(planned_objects::name_of)
        .collect();
    assert_eq!(names, ["old", "new"]);
    assert_eq!(
        client.ask("GET", "/v1.41/secrets/new", Value::Null).await.0,
        200
    );
    assert_eq!(
        client
            .ask("GET", "/v1.41/secrets/other", Value::Null)
            .await
            .0,
        404
    );
    assert_eq!(
        client
            .ask(
                "POST",
                "/v1.41/services/s1/update?version=3",
                json!({"Name": "web_app"})
            )
            .await
            .0,
        200
    );
    assert_eq!(
        client
            .ask("DELETE", "/v1.41/services/s1", Value::Null)
            .await
            .0,
        200
    );
    assert_eq!(
        client.ask("GET", "/v1.41/services", Value::Null).await.1,
        json!([])
    );
    // A write with an unknown effect must not be answered as a success.
    for (method, path) in [
        ("POST", "/v1.41/swarm/leave"),
        ("PUT", "/v1.41/secrets/create"),
        ("DELETE", "/v1.41/nodes/x"),
        ("POST", "/containers/create"),
    ] {
        assert_eq!(
            client.ask(method, path, Value::Null).await.0,
            501,
            "{method} {path}"
        );
    }
    let recorded: Vec<String> = proxy
        .recorded()
        .iter()
        .map(|write| format!("{write:?}"))
        .collect();
    assert_eq!(
        recorded[..3],
        [
            "POST /secrets/create",
            "POST /services/s1/update?version=3",
            "DELETE /services/s1"
        ]
    );
    assert!(
        proxy
            .recorded()
            .iter()
            .all(|write| !write.body.to_string().contains("aHVudGVyMg")),
        "no secret is recorded"
    );
    assert!(proxy.missing().is_empty());
}

#[tokio::test]
async fn missing_external_objects_get_placeholders_and_are_named() {
    let proxy = Arc::new(DockerProxy::preview(Arc::new(SmallSwarm)));
    let client = ProxyClient::of(&proxy);
    let (_, list) = client.ask("GET", OLD_AND_NEW, Value::Null).await;
    assert_eq!(list.as_array().unwrap().len(), 2);
    let (status, network) = client
        .ask("GET", "/v1.41/networks/shared", Value::Null)
        .await;
    assert_eq!((status, network["Scope"].as_str()), (200, Some("swarm")));
    assert_eq!(proxy.missing(), ["network shared", "secret new"]);
}

#[tokio::test]
async fn image_label_does_not_hide_a_changed_image() {
    let client = ProxyClient::of(&Arc::new(DockerProxy::preview(Arc::new(SmallSwarm))));
    let label = async |path: &str| {
        client.ask("GET", path, Value::Null).await.1[0]["Spec"]["Labels"]["com.docker.stack.image"]
            .clone()
    };
    assert_eq!(label("/v1.41/services").await, "tiny:1");
    assert_eq!(label("/v1.41/services?foreign").await, Value::Null);
}

#[tokio::test]
async fn recording_proxy_forwards_writes_and_adds_no_objects() {
    struct CollectedWrites(Mutex<Vec<String>>);
    #[async_trait]
    impl ProxyWriter for CollectedWrites {
        async fn write(&self, write: ProxiedWrite) -> Result<Response<Bytes>, TransportError> {
            self.0.lock().unwrap().push(format!(
                "{} {} {}",
                write.method,
                write.path,
                String::from_utf8_lossy(&write.body)
            ));
            let status = if write.path.contains("refused") {
                StatusCode::CONFLICT
            } else {
                StatusCode::CREATED
            };
            Ok(answer(status, &json!({"ID": "real"})))
        }
    }
    let writes = Arc::new(CollectedWrites(Mutex::default()));
    let proxy = Arc::new(DockerProxy::recording(Arc::new(SmallSwarm), writes.clone()));
    let client = ProxyClient::of(&proxy);
    assert_eq!(
        client
            .ask("POST", "/v1.41/secrets/create", json!({"Data": "eA=="}))
            .await,
        (201, json!({"ID": "real"}))
    );
    assert_eq!(
        client.ask("POST", "/v1.41/refused", Value::Null).await.0,
        409
    );
    assert_eq!(
        writes.0.lock().unwrap()[0],
        r#"POST /v1.41/secrets/create {"Data":"eA=="}"#
    );
    assert_eq!(proxy.recorded().len(), 1, "a refused write is not recorded");
    assert_eq!(
        client
            .ask("GET", OLD_AND_NEW, Value::Null)
            .await
            .1
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(
        client.ask("GET", "/networks/shared", Value::Null).await.0,
        404
    );
    assert_eq!(client.ask("GET", "/broken", Value::Null).await.0, 502);
    assert!(matches!(proxy.first_error(), Some(TransportError::Lost(_))));
}

/// Clients of Docker 28 and 29 ask for these versions, and refuse an Engine without them.
#[tokio::test]
async fn the_empty_swarm_has_the_versions_that_clients_accept() {
    let client = ProxyClient::of(&Arc::new(DockerProxy::preview(Arc::new(EmptySwarm))));
    let (status, version) = client.ask("GET", "/version", Value::Null).await;
    assert_eq!(status, 200);
    assert_eq!(version["ApiVersion"], "1.47");
    assert_eq!(version["MinAPIVersion"], "1.41");
    for version in ["1.41", "1.44", "1.47"] {
        let path = format!("/v{version}/services");
        let (status, services) = client.ask("GET", &path, Value::Null).await;
        assert_eq!((status, services), (200, json!([])), "{version}");
    }
}
