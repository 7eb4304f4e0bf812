//! A faulty link: a TCP relay in front of a real sshd that delays, cuts after some bytes or at the
//! end of a packet, stops relaying, or flips bits. Shared by the tests of the transport and of
//! whole runs on lab nodes. Ends with the value.

mod packets;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use self::packets::PacketTracker;

/// Fault of the link; the numbers count the bytes of both directions and of all connections.
#[derive(Debug, Clone, Copy)]
pub enum LinkFault {
    /// No fault; packets are counted. For this, and for cuts at the ends of packets, the connection
    /// must use `aes256-gcm@openssh.com`, which skep offers first.
    None,
    Delayed(Duration),
    /// Cuts the link after so many bytes; later connections are refused.
    CutAfter(u64),
    SilentAfter(u64),
    FlipBit(u64),
    /// Like `CutAfter`, at a position relative to a packet.
    CutAtPacket(PacketPosition),
}

impl LinkFault {
    /// Returns true if the cut is exactly between two packets.
    pub fn cuts_at_an_end(self) -> bool {
        matches!(
            self,
            Self::CutAtPacket(PacketPosition {
                offset: Offset::At,
                ..
            })
        )
    }
}

/// A position near the end of a packet. Packets of one direction are counted from one; all packets
/// before it were relayed.
#[derive(Debug, Clone, Copy)]
pub struct PacketPosition {
    pub direction: Direction,
    pub packet: u64,
    pub offset: Offset,
}

/// Direction of the packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Host,
    Client,
}

/// Offset from the end: one byte before it, at it, or after one byte of the next packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offset {
    Before,
    At,
    After,
}

/// Relayed bytes, and the state of the link.
#[derive(Debug, Default)]
struct RelayState {
    bytes: AtomicU64,
    packets: [AtomicU64; 2],
    connections: AtomicU64,
    dead: watch::Sender<bool>,
}

/// A relay on a loopback port of its own.
pub struct FaultProxy {
    pub port: u16,
    state: Arc<RelayState>,
    relay: tokio::task::JoinHandle<()>,
}

impl FaultProxy {
    /// Starts a relay to the server at this address and port. Must be called on a runtime that
    /// lives as long as the value.
    pub async fn start(address: &str, port: u16, fault: LinkFault) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let own = listener.local_addr().unwrap().port();
        let (state, address) = (Arc::new(RelayState::default()), address.to_owned());
        let relay = tokio::spawn(listen(listener, (address, port), fault, state.clone()));
        Self {
            port: own,
            state,
            relay,
        }
    }

    /// Returns the number of bytes received from both sides.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::Relaxed)
    }

    /// Returns the number of packets relayed to the host and to skep.
    pub fn packets(&self) -> [u64; 2] {
        [Direction::Host, Direction::Client]
            .map(|to| self.state.packets[to as usize].load(Ordering::Relaxed))
    }

    /// Returns every cut near the end of a packet of a whole run, with these numbers of packets to
    /// the host and to skep.
    pub fn cut_points(packets: [u64; 2]) -> Vec<LinkFault> {
        let mut cut_points = Vec::new();
        for to in [Direction::Host, Direction::Client] {
            for packet in 1..=packets[to as usize] {
                let offset = [Offset::Before, Offset::At, Offset::After];
                cut_points.extend(offset.map(|offset| {
                    LinkFault::CutAtPacket(PacketPosition {
                        direction: to,
                        packet,
                        offset,
                    })
                }));
            }
        }
        cut_points
    }

    /// Returns the number of connections.
    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        // The connections belong to the task and end with it.
        self.relay.abort();
    }
}

async fn listen(
    listener: TcpListener,
    to: (String, u16),
    fault: LinkFault,
    state: Arc<RelayState>,
) {
    let mut connections = JoinSet::new();
    let mut dead = state.dead.subscribe();
    loop {
        let near = tokio::select! {
            near = listener.accept() => near,
            _ = dead.wait_for(|dead| *dead) => break,
        };
        let Ok((near, _)) = near else { break };
        state.connections.fetch_add(1, Ordering::Relaxed);
        let (to, state) = (to.clone(), state.clone());
        connections.spawn(async move {
            let Ok(far) = TcpStream::connect((to.0.as_str(), to.1)).await else {
                return;
            };
            let (near_in, near_out) = near.into_split();
            let (far_in, far_out) = far.into_split();
            tokio::select! {
                () = pass(near_in, far_out, Direction::Host, fault, &state) => {}
                () = pass(far_in, near_out, Direction::Client, fault, &state) => {}
            }
        });
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn pass(
    mut from: OwnedReadHalf,
    mut out: OwnedWriteHalf,
    direction: Direction,
    fault: LinkFault,
    state: &RelayState,
) {
    let mut buffer = vec![0; 4096];
    let mut packets = PacketTracker::new();
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if *state.dead.borrow() {
            std::future::pending::<()>().await;
        }
        let before = state.bytes.fetch_add(length as u64, Ordering::Relaxed);
        let after = before + length as u64;
        let mut cut = None;
        match fault {
            LinkFault::Delayed(delay) => tokio::time::sleep(delay).await,
            LinkFault::CutAfter(limit) if after >= limit => {
                cut = Some(length.min(usize::try_from(limit.saturating_sub(before)).unwrap()));
            }
            LinkFault::SilentAfter(limit) if after >= limit => std::future::pending().await,
            LinkFault::FlipBit(at) if (before..after).contains(&at) => {
                buffer[usize::try_from(at - before).unwrap()] ^= 0x10;
            }
            LinkFault::None | LinkFault::CutAtPacket(_) => {
                let ends = packets.ends(&buffer[..length]);
                let ended = state.packets[direction as usize]
                    .fetch_add(ends.len() as u64, Ordering::Relaxed);
                if let LinkFault::CutAtPacket(place) = fault
                    && place.direction == direction
                {
                    cut = place.within(ended, &ends, length);
                }
            }
            _ => {}
        }
        if out
            .write_all(&buffer[..cut.unwrap_or(length)])
            .await
            .is_err()
        {
            return;
        }
        if cut.is_some() {
            state.dead.send_replace(true);
            // The server needs time to process the received bytes before it sees the end; otherwise
            // it drops them unread.
            tokio::time::sleep(Duration::from_millis(30)).await;
            return;
        }
    }
}

impl PacketPosition {
    /// Returns how many of these bytes are relayed if the cut is among them; `ended` packets ended
    /// before, more at `ends`.
    fn within(self, ended: u64, ends: &[usize], length: usize) -> Option<usize> {
        if ended >= self.packet {
            // The byte after the end is the first of these.
            return Some(1);
        }
        let end = *ends.get(usize::try_from(self.packet - ended - 1).unwrap())?;
        match self.offset {
            Offset::Before => Some(end - 1),
            Offset::At => Some(end),
            Offset::After => (end < length).then_some(end + 1),
        }
    }
}
