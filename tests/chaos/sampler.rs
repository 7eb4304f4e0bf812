//! Reads the state of the three managers and of the worker every half second, at their own sockets.
//! A socket is only used while an Engine runs behind it: systemd starts an Engine for a connection
//! to its socket.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::account::{ManagerSample, SampledState};

const PERIOD: Duration = Duration::from_millis(500);
const ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// Returns the time in seconds since 1970, which the journals of the nodes use as well.
pub fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs_f64()
}

/// Samples until [`ManagerSampler::finish`].
pub struct ManagerSampler {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<ManagerSample>>,
}

impl ManagerSampler {
    /// Starts to sample the nodes that these containers are; the last one is the worker.
    pub fn start(containers: [String; 4]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut managers = containers.map(|container| ManagerSocket {
                container,
                root: None,
            });
            let mut samples = Vec::new();
            while !stopped.load(Ordering::SeqCst) {
                let (started, at) = (Instant::now(), now());
                let [first, second, third, worker] = std::thread::scope(|scope| {
                    managers
                        .each_mut()
                        .map(|manager| scope.spawn(move || manager.state()))
                        .map(|thread| thread.join().unwrap())
                });
                samples.push(ManagerSample {
                    at,
                    managers: [first, second, third],
                    worker,
                });
                std::thread::sleep(PERIOD.saturating_sub(started.elapsed()));
            }
            samples
        });
        Self { stop, thread }
    }

    /// Returns all samples.
    pub fn finish(self) -> Vec<ManagerSample> {
        self.stop.store(true, Ordering::SeqCst);
        self.thread.join().unwrap()
    }
}

struct ManagerSocket {
    container: String,
    /// Root folder of the running node, below /proc.
    root: Option<PathBuf>,
}

impl ManagerSocket {
    fn state(&mut self) -> SampledState {
        let engine = self
            .root()
            .and_then(|root| engine_runs(&root).then_some(root));
        let Some(root) = engine else {
            return SampledState::Absent;
        };
        if get(&root, "/_ping").is_none() {
            // It may have ended while it was asked.
            return if engine_runs(&root) {
                SampledState::Silent
            } else {
                SampledState::Absent
            };
        }
        let info = get(&root, "/info");
        let info = info.and_then(|body| serde_json::from_slice::<serde_json::Value>(&body).ok());
        match info {
            Some(info) if info["Swarm"]["ControlAvailable"] == true => SampledState::Reachable,
            Some(_) => SampledState::NoManager,
            None => SampledState::NoLeader,
        }
    }

    /// Returns the root folder of the node; None while the node is stopped.
    fn root(&mut self) -> Option<PathBuf> {
        if self
            .root
            .as_ref()
            .is_none_or(|root| !root.join("run").exists())
        {
            let output = Command::new("docker")
                .args(["inspect", "--format", "{{.State.Pid}}", &self.container])
                .stdin(Stdio::null())
                .output()
                .ok()?;
            let process = String::from_utf8_lossy(&output.stdout).trim().to_owned();
            let stopped = process.is_empty() || process == "0";
            self.root = (!stopped).then(|| Path::new("/proc").join(process).join("root"));
        }
        self.root.clone()
    }
}

fn engine_runs(root: &Path) -> bool {
    let read = |path: &str| std::fs::read_to_string(root.join(path)).unwrap_or_default();
    let process = read("run/docker.pid").trim().to_owned();
    !process.is_empty() && read(&format!("proc/{process}/comm")).trim() == "dockerd"
}

/// Returns the answer of the Engine to a request; None if there is none within the limit.
fn get(root: &Path, path: &str) -> Option<Vec<u8>> {
    let started = Instant::now();
    let mut stream = UnixStream::connect(root.join("run/docker.sock")).ok()?;
    stream.set_write_timeout(Some(ANSWER_LIMIT)).ok()?;
    // With version 1.0, the answer is not chunked and the server closes the connection.
    let request = format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let (mut answer, mut part) = (Vec::new(), [0; 8192]);
    loop {
        let rest = ANSWER_LIMIT.checked_sub(started.elapsed())?;
        stream
            .set_read_timeout(Some(rest.max(Duration::from_millis(1))))
            .ok()?;
        match stream.read(&mut part).ok()? {
            0 => break,
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    let body = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")? + 4;
    Some(answer.split_off(body))
}
