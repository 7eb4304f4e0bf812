//! Scripted host for tests: answers commands and Engine requests from a list of rules, records
//! them, and fails each command without a rule. It opens no connection.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use serde_json::Value;
use tokio::io::{
    AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, DuplexStream,
};

use super::{Connection, DockerStream, Exec, ExecOutput, TransportError};

type ExecMatcher = Box<dyn Fn(&Exec) -> bool + Send + Sync>;
type ScriptedReply = Result<ExecOutput, TransportError>;

/// A request to the scripted Engine, as received.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptedRequest {
    /// `GET`, `POST`, …
    pub method: String,
    /// Path and query without the version prefix.
    pub path: String,
    /// Body, null when empty.
    pub body: Value,
}

/// A host without a machine. Rules are tried in the order in which they were added; a rule of
/// [`Self::once`] or [`Self::fail_once`] applies one time.
#[derive(Default)]
pub struct ScriptedHost {
    rules: Mutex<VecDeque<(ExecMatcher, ScriptedReply, bool)>>,
    ran: Mutex<Vec<Exec>>,
    engine: Option<Arc<ScriptedDaemon>>,
}

#[derive(Default)]
struct ScriptedDaemon {
    answers: Vec<(String, String, u16, Value)>,
    requests: Mutex<Vec<ScriptedRequest>>,
}

/// Returns an output with a status and text on stdout.
#[must_use]
pub fn output(status: i32, stdout: impl Into<Vec<u8>>) -> ExecOutput {
    ExecOutput {
        status,
        stdout: stdout.into(),
        stderr: Vec::new(),
    }
}

impl ScriptedHost {
    /// Returns a host without rules and without an Engine.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers every script that contains the text.
    #[must_use]
    pub fn on(self, text: &str, output: ExecOutput) -> Self {
        let text = text.to_owned();
        self.rule(
            Box::new(move |exec| exec.script.contains(&text)),
            Ok(output),
            false,
        )
    }

    /// Answers the next script that contains the text, once.
    #[must_use]
    pub fn once(self, text: &str, output: ExecOutput) -> Self {
        let text = text.to_owned();
        self.rule(
            Box::new(move |exec| exec.script.contains(&text)),
            Ok(output),
            true,
        )
    }

    /// Fails the next script that contains the text, once.
    #[must_use]
    pub fn fail_once(self, text: &str, error: TransportError) -> Self {
        let text = text.to_owned();
        self.rule(
            Box::new(move |exec| exec.script.contains(&text)),
            Err(error),
            true,
        )
    }

    /// Answers every command for which the function returns true.
    #[must_use]
    pub fn on_match(
        self,
        matcher: impl Fn(&Exec) -> bool + Send + Sync + 'static,
        output: ExecOutput,
    ) -> Self {
        self.rule(Box::new(matcher), Ok(output), false)
    }

    /// Answers a request to the Engine. The path has no version prefix and must match exactly.
    /// Other requests get 404. `/_ping` is answered as soon as any such rule exists.
    #[must_use]
    pub fn on_docker(mut self, method: &str, path: &str, status: u16, body: Value) -> Self {
        let engine = self.engine.get_or_insert_default();
        if let Some(engine) = Arc::get_mut(engine) {
            engine
                .answers
                .push((method.into(), path.into(), status, body));
        }
        self
    }

    /// Returns the commands that were run, in order.
    #[must_use]
    pub fn ran(&self) -> Vec<Exec> {
        self.ran
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the requests to the Engine, in order, without `/_ping`.
    #[must_use]
    pub fn requests(&self) -> Vec<ScriptedRequest> {
        let asked = |engine: &Arc<ScriptedDaemon>| {
            engine
                .requests
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .clone()
        };
        self.engine.as_ref().map(asked).unwrap_or_default()
    }

    fn rule(self, matcher: ExecMatcher, reply: ScriptedReply, once: bool) -> Self {
        self.rules
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push_back((matcher, reply, once));
        self
    }
}

#[async_trait]
impl Connection for ScriptedHost {
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, TransportError> {
        self.ran
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(exec.clone());
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(index) = rules.iter().position(|(matcher, ..)| matcher(&exec)) else {
            let start: String = exec.script.trim().chars().take(120).collect();
            return Err(TransportError::Unsendable(format!(
                "the scripted host has no rule for `{start}`"
            )));
        };
        let (_, reply, once) = &rules[index];
        let (reply, once) = (reply.clone(), *once);
        if once {
            rules.remove(index);
        }
        reply
    }

    async fn open_docker(&self) -> Result<DockerStream, TransportError> {
        let Some(engine) = self.engine.clone() else {
            return Err(TransportError::NoDocker {
                installed: false,
                why: "the scripted host has no Engine".into(),
            });
        };
        let (near, far) = tokio::io::duplex(64 * 1024);
        tokio::spawn(async move {
            let _ = engine.serve(far).await;
        });
        Ok(Box::new(near))
    }

    async fn close(&self) {}
}

impl ScriptedDaemon {
    /// Serves the part of HTTP/1.1 that skep's own client uses.
    async fn serve(&self, stream: DuplexStream) -> std::io::Result<()> {
        let (reader, mut writer) = tokio::io::split(stream);
        let mut reader = BufReader::new(reader);
        loop {
            let mut head = String::new();
            if reader.read_line(&mut head).await? == 0 {
                return Ok(());
            }
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).await?;
                match line.trim_end().split_once(':') {
                    Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                        length = value.trim().parse().unwrap_or(0);
                    }
                    Some(_) => {}
                    None => break,
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).await?;
            let mut words = head.split(' ');
            let (method, path) = (
                words.next().unwrap_or_default(),
                words.next().unwrap_or_default(),
            );
            let (status, value) = self.answer(method, path, &body);
            let text = if value.is_null() {
                String::new()
            } else {
                value.to_string()
            };
            let answer = format!(
                "HTTP/1.1 {status} x\r\nApi-Version: 1.47\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{text}",
                text.len()
            );
            writer.write_all(answer.as_bytes()).await?;
        }
    }

    fn answer(&self, method: &str, path: &str, body: &[u8]) -> (u16, Value) {
        if path == "/_ping" {
            return (200, Value::Null);
        }
        let path = match path
            .strip_prefix("/v")
            .and_then(|rest| rest.split_once('/'))
        {
            Some((_, rest)) => format!("/{rest}"),
            None => path.to_owned(),
        };
        let body = serde_json::from_slice(body).unwrap_or(Value::Null);
        let found = self
            .answers
            .iter()
            .find(|(known, at, ..)| known == method && *at == path);
        let found = found.map(|(_, _, status, value)| (*status, value.clone()));
        let answer = found.unwrap_or_else(|| {
            (
                404,
                serde_json::json!({ "message": "the scripted Engine has no rule for this request" }),
            )
        });
        let request = ScriptedRequest {
            method: method.into(),
            path,
            body,
        };
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        answer
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use std::time::Duration;

    use hyper::Method;
    use serde_json::json;

    use super::*;
    use crate::docker::DockerClient;

    #[tokio::test]
    async fn known_commands_are_answered_and_unknown_ones_fail() {
        let host = ScriptedHost::new()
            .once("date", output(1, "first"))
            .on("date", output(0, "later"));
        assert_eq!(host.exec(Exec::root("date")).await.unwrap().status, 1);
        assert_eq!(
            host.exec(Exec::root("date")).await.unwrap().stdout,
            b"later"
        );
        assert!(host.exec(Exec::root("reboot")).await.is_err());
        assert_eq!(host.ran().len(), 3);
        assert!(host.open_docker().await.is_err());
    }

    #[tokio::test]
    async fn the_engine_is_answered_by_path() {
        let host = Arc::new(ScriptedHost::new().on_docker("POST", "/swarm/init", 200, json!("id")));
        let client = DockerClient::connect(host.clone()).await.unwrap();
        let limit = Duration::from_secs(5);
        let body = json!({ "ListenAddr": "0.0.0.0" });
        assert_eq!(
            client
                .request(&Method::POST, "/swarm/init", Some(&body), limit)
                .await
                .unwrap(),
            (200, json!("id"))
        );
        assert_eq!(
            client
                .request(&Method::GET, "/info", None, limit)
                .await
                .unwrap()
                .0,
            404
        );
        let paths: Vec<String> = host
            .requests()
            .into_iter()
            .map(|request| request.path)
            .collect();
        assert_eq!(paths, ["/swarm/init", "/info"]);
        assert_eq!(host.requests()[0].body, body);
    }
}
