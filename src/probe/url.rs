//! Requests to one URL: ten a second, each on a connection of its own, as a client of the service
//! would send them.

use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, Uri, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::RequestStats;
use super::stats::RequestLog;

/// Interval between two requests.
const INTERVAL: Duration = Duration::from_millis(100);
/// Time limit of a request, connection included.
const ANSWER_LIMIT: Duration = Duration::from_secs(2);

/// A URL that requests can be sent to: `http://HOST[:PORT][/PATH]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProbeUrl {
    uri: Uri,
    host: String,
    port: u16,
}

impl FromStr for ProbeUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let uri: Uri = text.parse().map_err(|_| "it is no URL".to_owned())?;
        if uri.scheme_str() != Some("http") {
            return Err(
                "only http:// is supported: give a URL of the service that needs no TLS".into(),
            );
        }
        // An address of IPv6 is in brackets.
        let host = uri.host().unwrap_or_default();
        let host = host
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        if host.is_empty() {
            return Err("it has no host".into());
        }
        let port = uri.port_u16().unwrap_or(80);
        Ok(Self { uri, host, port })
    }
}

impl std::fmt::Display for ProbeUrl {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.uri.fmt(formatter)
    }
}

impl ProbeUrl {
    /// Sends one request. A status below 400 is an answer of the service.
    ///
    /// # Errors
    /// Reason why the service did not answer, in one sentence.
    pub async fn ask(&self) -> Result<(), String> {
        let answer = tokio::time::timeout(ANSWER_LIMIT, self.request()).await;
        answer.unwrap_or_else(|_| Err(format!("no answer within {} s", ANSWER_LIMIT.as_secs())))
    }

    async fn request(&self) -> Result<(), String> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|error| error.to_string())?;
        let shaken = http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = shaken.map_err(|error| error.to_string())?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let authority = self.uri.authority().map_or("", |name| name.as_str());
        let request = Request::get(path)
            .header(header::HOST, authority)
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        // The connection does the work of the request.
        let driver = tokio::spawn(connection);
        let answer = sender.send_request(request).await;
        driver.abort();
        let answer = answer.map_err(|error| error.to_string())?;
        let status = answer.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(format!("status {status}"));
        }
        Ok(())
    }
}

/// Sends requests until it is stopped.
pub struct UrlProber {
    log: Arc<Mutex<RequestLog>>,
    task: JoinHandle<()>,
}

impl UrlProber {
    /// Starts the requests. The next one is sent once the earlier one has its answer.
    #[must_use]
    pub fn start(url: ProbeUrl) -> Self {
        let log: Arc<Mutex<RequestLog>> = Arc::default();
        let shared = log.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                let sent = Instant::now();
                let answered = url.ask().await.is_ok();
                let mut log = shared.lock().unwrap_or_else(PoisonError::into_inner);
                log.add(sent, answered);
            }
        });
        Self { log, task }
    }

    /// Stops, and returns the counts.
    #[must_use]
    pub fn stop(self) -> RequestStats {
        self.task.abort();
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.stats_at(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn urls_of_services_are_read() {
        let read = |text: &str| {
            let url: ProbeUrl = text.parse()?;
            Ok::<_, String>((url.host, url.port))
        };
        assert_eq!(read("http://web.lan").unwrap(), ("web.lan".into(), 80));
        assert_eq!(
            read("http://[fd00::1]:8080/health?x=1").unwrap(),
            ("fd00::1".into(), 8080)
        );
        for wrong in [
            "https://web.lan",
            "web.lan",
            "ftp://web.lan/x",
            "http://",
            "http://a b",
        ] {
            read(wrong).unwrap_err();
        }
    }

    #[tokio::test]
    async fn answers_with_errors_and_silence_are_lost() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let url: ProbeUrl = format!("http://{address}/path").parse().unwrap();
        let server = tokio::spawn(async move {
            let said = [
                "200 OK",
                "302 Found",
                "404 Not Found",
                "503 Service Unavailable",
                "",
            ];
            for status in said {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut request = [0; 256];
                let length = stream.read(&mut request).await.unwrap();
                assert!(request[..length].starts_with(b"GET /path HTTP/1.1\r\n"));
                if !status.is_empty() {
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        });
        assert_eq!(url.ask().await, Ok(()));
        assert_eq!(url.ask().await, Ok(()));
        assert_eq!(url.ask().await, Err("status 404 Not Found".into()));
        assert_eq!(
            url.ask().await,
            Err("status 503 Service Unavailable".into())
        );
        url.ask().await.unwrap_err();
        server.await.unwrap();
        assert!(url.ask().await.unwrap_err().contains("refused"));
        let prober = UrlProber::start(url);
        tokio::time::sleep(INTERVAL * 4).await;
        let stats = prober.stop();
        assert!(stats.sent >= 2 && stats.lost == stats.sent, "{stats:?}");
        assert!(stats.outage.unwrap() >= INTERVAL, "{stats:?}");
    }
}
