//! A bad link: a TCP relay before a real sshd that delays, cuts after some bytes, falls silent, or turns bits over. Shared by
//! the tests of the transport and of whole runs on lab nodes. Ends with the value.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What happens to the bytes; the numbers count those of both directions and of all connections.
#[derive(Debug, Clone, Copy)]
pub enum Weather {
    Fine,
    Delayed(Duration),
    /// Dead from then on: later connections are cut at once.
    CutAfter(u64),
    SilentAfter(u64),
    TurnsOver(u64),
}

/// A relay on a loopback port of its own.
pub struct Proxy {
    pub port: u16,
    count: Arc<AtomicU64>,
    relay: tokio::task::JoinHandle<()>,
}

impl Proxy {
    /// Before the server at this address and port. Must be called on a runtime that lives as long as the value.
    pub async fn start(address: &str, port: u16, weather: Weather) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (count, address) = (Arc::new(AtomicU64::new(0)), address.to_owned());
        let relay = tokio::spawn(listen(listener, (address, port), weather, count.clone()));
        Self { port: own, count, relay }
    }

    /// Bytes that came from either side so far.
    pub fn bytes(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        // The connections are the task's own and end with it.
        self.relay.abort();
    }
}

async fn listen(listener: TcpListener, to: (String, u16), weather: Weather, count: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (to, count) = (to.clone(), count.clone());
        connections.spawn(async move {
            let Ok(far) = TcpStream::connect((to.0.as_str(), to.1)).await else { return };
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            tokio::select! {
                () = pass(near_in, far_out, weather, count.clone()) => {}
                () = pass(far_in, near_out, weather, count) => {}
            }
        });
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, weather: Weather, counted: Arc<AtomicU64>) {
    let mut buffer = vec![0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        let before = counted.fetch_add(length as u64, Ordering::Relaxed);
        let after = before + length as u64;
        let mut length = length;
        match weather {
            Weather::Fine => {}
            Weather::Delayed(delay) => tokio::time::sleep(delay).await,
            Weather::CutAfter(limit) if after >= limit => {
                length = length.min(usize::try_from(limit.saturating_sub(before)).unwrap());
                let _ = to.write_all(&buffer[..length]).await;
                // What came is worked on before the end is seen: else a server drops it unread.
                tokio::time::sleep(Duration::from_millis(30)).await;
                return;
            }
            Weather::SilentAfter(limit) if after >= limit => std::future::pending().await,
            Weather::TurnsOver(at) if (before..after).contains(&at) => {
                buffer[usize::try_from(at - before).unwrap()] ^= 0x10;
            }
            _ => {}
        }
        if to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
}
