//! A fake Engine on a Unix socket of its own: it answers with a function and can close its streams.

use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Reaction to a request.
pub enum ServerReaction {
    /// Status, headers (each with its line end), body.
    Answer(u16, String, Vec<u8>),
    /// Close the stream without an answer.
    Close,
    /// Keep the stream open and send nothing.
    Silence,
}

type RequestHandler = Arc<dyn Fn(&str, &[u8]) -> ServerReaction + Send + Sync>;

/// Serves until it is dropped. `requests` are first lines, such as `GET /_ping`.
pub struct FakeDockerServer {
    pub requests: Arc<Mutex<Vec<String>>>,
    streams: Arc<Mutex<JoinSet<()>>>,
    accepting: tokio::task::JoinHandle<()>,
}

impl FakeDockerServer {
    pub fn start(
        socket: &Path,
        behaviour: impl Fn(&str, &[u8]) -> ServerReaction + Send + Sync + 'static,
    ) -> Self {
        let listener = UnixListener::bind(socket).unwrap();
        let behaviour: RequestHandler = Arc::new(behaviour);
        let (requests, streams) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(Mutex::new(JoinSet::new())),
        );
        let (log, all) = (Arc::clone(&requests), Arc::clone(&streams));
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                all.lock()
                    .unwrap()
                    .spawn(serve(stream, Arc::clone(&behaviour), Arc::clone(&log)));
            }
        });
        Self {
            requests,
            streams,
            accepting,
        }
    }

    /// Closes every stream, as a restart of the Engine does.
    pub async fn drop_streams(&self) {
        let mut streams = std::mem::take(&mut *self.streams.lock().unwrap());
        streams.shutdown().await;
    }

    /// Returns the requests, without those that the `docker` command makes for itself.
    pub fn seen(&self) -> Vec<String> {
        let requests = self.requests.lock().unwrap();
        let of_skep = requests.iter().filter(|line| *line != "HEAD /_ping");
        of_skep.cloned().collect()
    }

    pub fn count(&self, line: &str) -> usize {
        self.seen().iter().filter(|seen| *seen == line).count()
    }
}

impl Drop for FakeDockerServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn serve(stream: UnixStream, behaviour: RequestHandler, log: Arc<Mutex<Vec<String>>>) {
    let (reader, mut writer) = stream.into_split();
    let mut reader = BufReader::new(reader);
    loop {
        let (mut head, mut length) = (String::new(), 0);
        if reader.read_line(&mut head).await.unwrap_or(0) == 0 {
            return;
        }
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).await.unwrap();
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse().unwrap();
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).await.unwrap();
        let line = head.trim_end().trim_end_matches(" HTTP/1.1").to_owned();
        log.lock().unwrap().push(line.clone());
        match behaviour(&line, &body) {
            ServerReaction::Close => return,
            ServerReaction::Silence => std::future::pending().await,
            ServerReaction::Answer(status, headers, body) => {
                let length = if line.starts_with("HEAD ") {
                    0
                } else {
                    body.len()
                };
                let head = format!(
                    "HTTP/1.1 {status} x\r\n{headers}Content-Length: {}\r\n\r\n",
                    body.len()
                );
                writer.write_all(head.as_bytes()).await.unwrap();
                writer.write_all(&body[..length]).await.unwrap();
            }
        }
    }
}

/// Returns the answers of an Engine of a version, which echoes the line and body of each request as
/// JSON.
pub fn echo(
    version: &'static str,
) -> impl Fn(&str, &[u8]) -> ServerReaction + Send + Sync + 'static {
    move |line, body| match line.rsplit(' ').next().unwrap() {
        "/_ping" => {
            ServerReaction::Answer(200, format!("Api-Version: {version}\r\n"), b"OK".to_vec())
        }
        _ => {
            let body: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
            let echoed = serde_json::json!({ "line": line, "body": body });
            ServerReaction::Answer(
                200,
                format!("Api-Version: {version}\r\nContent-Type: application/json\r\n"),
                echoed.to_string().into_bytes(),
            )
        }
    }
}
