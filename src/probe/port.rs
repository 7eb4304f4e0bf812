//! Requests to a published port, as clients of each machine would send them: five a second, each on
//! a connection of its own.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::RequestStats;
use super::stats::RequestLog;
use crate::names::HostName;

/// Interval between two requests to one machine.
const INTERVAL: Duration = Duration::from_millis(200);
/// Time limit of a request, connection included.
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Sends requests until it is stopped.
pub struct PortProber {
    logs: Arc<Mutex<BTreeMap<HostName, RequestLog>>>,
    tasks: tokio::task::JoinSet<()>,
}

impl PortProber {
    /// Starts with the machines that answer now. The others serve nothing at that port, and
    /// requests to them would count as lost.
    pub async fn start(addresses: &[(HostName, IpAddr)], port: u16) -> Self {
        let logs: Arc<Mutex<BTreeMap<HostName, RequestLog>>> = Arc::default();
        let mut tasks = tokio::task::JoinSet::new();
        for (host, address) in addresses.iter().cloned() {
            if !answers(address, port).await {
                continue;
            }
            let logs = logs.clone();
            logs.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(host.clone(), RequestLog::default());
            tasks.spawn(async move {
                let mut ticks = tokio::time::interval(INTERVAL);
                ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    let sent = Instant::now();
                    let answered = answers(address, port).await;
                    let mut logs = logs.lock().unwrap_or_else(PoisonError::into_inner);
                    logs.entry(host.clone()).or_default().add(sent, answered);
                }
            });
        }
        Self { logs, tasks }
    }

    /// Stops, and returns the counts by host.
    pub async fn stop(mut self) -> BTreeMap<HostName, RequestStats> {
        self.tasks.shutdown().await;
        let logs = self.logs.lock().unwrap_or_else(PoisonError::into_inner);
        let stats = logs
            .iter()
            .map(|(host, log)| (host.clone(), log.stats.clone()));
        stats.collect()
    }
}

/// Returns true if the port sends anything in answer to a request. The protocol does not matter:
/// any byte proves that a task serves the port.
async fn answers(address: IpAddr, port: u16) -> bool {
    let request = async {
        let mut stream = TcpStream::connect((address, port)).await?;
        stream
            .write_all(b"GET / HTTP/1.0\r\nHost: drill\r\n\r\n")
            .await?;
        let mut start = [0; 16];
        stream.read(&mut start).await
    };
    matches!(
        tokio::time::timeout(ANSWER_LIMIT, request).await,
        Ok(Ok(1..))
    )
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
    async fn lost_requests_are_counted_and_the_gap_is_measured() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, port) = (
            listener.local_addr().unwrap().ip(),
            listener.local_addr().unwrap().port(),
        );
        let server = tokio::spawn(serve(listener));
        let (serving, other) = (HostName::new("a"), HostName::new("b"));
        // The other machine serves nothing there before the drill, so no request to it is lost.
        let prober = PortProber::start(
            &[
                (serving.clone(), address),
                (other.clone(), "127.0.0.2".parse().unwrap()),
            ],
            port,
        )
        .await;
        let count = |prober: &PortProber| {
            let logs = prober.logs.lock().unwrap();
            logs[&serving].stats.clone()
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
