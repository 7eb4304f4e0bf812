//! Requests to a published port, as a client of each machine would send them: five a second, each
//! on its own connection.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::names::HostName;

/// Time between two requests to one machine.
const INTERVAL: Duration = Duration::from_millis(200);
/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// Results of the requests to one machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RequestStats {
    /// Requests sent.
    pub sent: u32,
    /// Requests without an answer.
    pub lost: u32,
    /// Time from the first lost request to the next answer; `None` if no request was lost, or no
    /// answer followed.
    pub outage: Option<Duration>,
}

/// Sends requests until it is stopped.
pub struct PortProber {
    all_stats: Arc<Mutex<BTreeMap<HostName, RequestStats>>>,
    tasks: tokio::task::JoinSet<()>,
}

impl PortProber {
    /// Starts with the machines that answer now; the others serve nothing on that port.
    pub async fn start(addresses: &[(HostName, IpAddr)], port: u16) -> Self {
        let all_stats: Arc<Mutex<BTreeMap<HostName, RequestStats>>> = Arc::default();
        let mut tasks = tokio::task::JoinSet::new();
        for (host, address) in addresses.iter().cloned() {
            if !answers(address, port).await {
                continue;
            }
            let all_stats = all_stats.clone();
            all_stats
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(host.clone(), RequestStats::default());
            tasks.spawn(async move {
                let mut ticks = tokio::time::interval(INTERVAL);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                let mut silent_since = None;
                loop {
                    ticks.tick().await;
                    let sent = Instant::now();
                    let answered = answers(address, port).await;
                    let mut all_stats = all_stats.lock().unwrap_or_else(PoisonError::into_inner);
                    let stats = all_stats.entry(host.clone()).or_default();
                    stats.sent += 1;
                    if answered {
                        if let Some(since) = silent_since.take() {
                            let outage: Duration = sent.duration_since(since);
                            stats.outage = Some(stats.outage.unwrap_or_default().max(outage));
                        }
                    } else {
                        stats.lost += 1;
                        silent_since.get_or_insert(sent);
                    }
                }
            });
        }
        Self { all_stats, tasks }
    }

    /// Stops and returns the results of the requests.
    pub async fn stop(mut self) -> BTreeMap<HostName, RequestStats> {
        self.tasks.shutdown().await;
        self.all_stats
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// Returns true if the machine sends any answer; the protocol does not matter.
async fn answers(address: IpAddr, port: u16) -> bool {
    let ask = async {
        let mut stream = TcpStream::connect((address, port)).await?;
        stream
            .write_all(b"GET / HTTP/1.0\r\nHost: drill\r\n\r\n")
            .await?;
        let mut start = [0; 16];
        stream.read(&mut start).await
    };
    matches!(tokio::time::timeout(PATIENCE, ask).await, Ok(Ok(1..)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use tokio::net::TcpListener;

    use super::*;

    async fn serve(listener: TcpListener) {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.0 200 OK\r\n\r\n").await;
        }
    }

    #[tokio::test]
    async fn lost_requests_and_outage_are_measured() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, port) = (
            listener.local_addr().unwrap().ip(),
            listener.local_addr().unwrap().port(),
        );
        let server = tokio::spawn(serve(listener));
        let (serving, other) = (HostName::new("a"), HostName::new("b"));
        // The second machine serves nothing on the port before the drill, so none of its requests
        // is lost.
        let prober = PortProber::start(
            &[
                (serving.clone(), address),
                (other.clone(), "127.0.0.2".parse().unwrap()),
            ],
            port,
        )
        .await;
        let count = |prober: &PortProber| {
            prober
                .all_stats
                .lock()
                .unwrap()
                .get(&serving)
                .cloned()
                .unwrap()
        };
        let until = async |prober: &PortProber, is: &dyn Fn(&RequestStats) -> bool| {
            while !is(&count(prober)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        until(&prober, &|stats| stats.sent >= 2).await;
        assert_eq!(count(&prober).lost, 0);
        server.abort();
        until(&prober, &|stats| stats.lost >= 2).await;
        let server = tokio::spawn(serve(TcpListener::bind((address, port)).await.unwrap()));
        until(&prober, &|stats| stats.outage.is_some()).await;
        let all_stats = prober.stop().await;
        server.abort();
        assert!(!all_stats.contains_key(&other));
        assert!(
            all_stats[&serving].outage.unwrap() >= INTERVAL,
            "{all_stats:?}"
        );
    }
}
