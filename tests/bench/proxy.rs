//! A TCP relay that delays every byte by half of a round trip in each direction, and counts turns:
//! how often the client sends after it has received. The handshake of TCP costs one more turn
//! before the first byte.

use std::collections::VecDeque;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// The relay of one listening port; it lives as long as the benchmark.
pub struct DelayProxy {
    port: u16,
    turns: Arc<AtomicUsize>,
}

/// The side of a connection that sent last.
struct TurnState {
    server_spoke: AtomicBool,
    turns: Arc<AtomicUsize>,
}

impl DelayProxy {
    /// Relays to a port of the address to which the client connects.
    pub fn start(target: u16, round_trip: Duration) -> Self {
        Self::relay(None, target, round_trip)
    }

    /// Relays to a port of one machine.
    pub fn to(machine: IpAddr, target: u16, round_trip: Duration) -> Self {
        Self::relay(Some(machine), target, round_trip)
    }

    fn relay(machine: Option<IpAddr>, target: u16, round_trip: Duration) -> Self {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let turns = Arc::new(AtomicUsize::new(0));
        let counter = turns.clone();
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let floor = Arc::new(TurnState {
                    server_spoke: AtomicBool::new(true),
                    turns: counter.clone(),
                });
                thread::spawn(move || {
                    thread::sleep(round_trip);
                    // The TCP handshake.
                    floor.turns.fetch_add(1, Ordering::SeqCst);
                    let machine = machine.unwrap_or_else(|| client.local_addr().unwrap().ip());
                    let server = TcpStream::connect((machine, target)).unwrap();
                    for stream in [&client, &server] {
                        stream.set_nodelay(true).unwrap();
                    }
                    let (from, to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                    let other = floor.clone();
                    thread::spawn(move || relay(server, client, round_trip / 2, &other, true));
                    relay(from, to, round_trip / 2, &floor, false);
                });
            }
        });
        Self { port, turns }
    }

    /// Returns the port on which the relay listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the turns since the last call.
    pub fn take_turns(&self) -> usize {
        self.turns.swap(0, Ordering::SeqCst)
    }
}

/// Bytes with the time at which they may be relayed; empty bytes are the end.
type DelayQueue = Arc<(Mutex<VecDeque<(Instant, Vec<u8>)>>, Condvar)>;

fn relay(
    mut from: TcpStream,
    mut to: TcpStream,
    delay: Duration,
    floor: &TurnState,
    from_server: bool,
) {
    let queue: DelayQueue = DelayQueue::default();
    let sending = queue.clone();
    let sender = thread::spawn(move || {
        loop {
            let (due, bytes) = {
                let (lock, ready) = &*sending;
                let mut waiting = ready
                    .wait_while(lock.lock().unwrap(), |waiting| waiting.is_empty())
                    .unwrap();
                waiting.pop_front().unwrap()
            };
            thread::sleep(due.saturating_duration_since(Instant::now()));
            if bytes.is_empty() || to.write_all(&bytes).is_err() {
                let _ = to.shutdown(Shutdown::Write);
                return;
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = from.read(&mut buffer).unwrap_or(0);
        // Bytes of the client count as a turn if it has received bytes of the server since its last
        // turn. The server's bytes arrive late by the delay, which can only merge two overlapping
        // turns into one.
        if from_server {
            floor.server_spoke.store(true, Ordering::SeqCst);
        } else if length > 0 && floor.server_spoke.swap(false, Ordering::SeqCst) {
            floor.turns.fetch_add(1, Ordering::SeqCst);
        }
        let (lock, ready) = &*queue;
        lock.lock()
            .unwrap()
            .push_back((Instant::now() + delay, buffer[..length].to_vec()));
        ready.notify_one();
        if length == 0 {
            break;
        }
    }
    let _ = sender.join();
}
