//! The Docker daemon of this machine: starts dockerd if no daemon answers, and stops only a dockerd
//! that the lab started.
//! Before a start, leftovers of a killed dockerd (PID files, sockets) are removed.

use std::fs::{self, OpenOptions};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use super::command::{LocalCommand, tail};
use super::docker;
use super::error::LabError;
use super::progress::ProgressFn;
use super::state::{StateDirectory, write_file};
use crate::base::child_command;

/// Time limit for the first answer of dockerd, in seconds.
const START_SECONDS: u64 = 60;
const PROCESS_FILE: &str = "/var/run/docker.pid";
const SYSTEM_CONTAINERD: &str = "/run/containerd/containerd.sock";

/// Result of a request to stop Docker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerStopOutcome {
    /// Docker is stopped.
    Stopped,
    /// The lab did not start this Docker, so it still runs.
    NotStartedByLab,
    /// Docker still runs, because these containers run in it.
    InUse(Vec<String>),
}

/// Ensures that this machine's Docker daemon answers, and starts it if it does not.
///
/// # Errors
/// If Docker is not installed or does not start; the error says what to try.
pub fn ensure_docker(state: &StateDirectory, progress: ProgressFn<'_>) -> Result<(), LabError> {
    let reason = match docker::answers() {
        Ok(()) => return Ok(()),
        Err(missing @ LabError::ProgramMissing { .. }) => return Err(missing),
        Err(error) => error.to_string(),
    };
    let _lock = state.lock("dockerd", progress)?;
    if docker::answers().is_ok() {
        return Ok(());
    }
    if reason.to_lowercase().contains("permission denied") {
        return Err(LabError::DockerUnavailable {
            reason,
            hint: "run as root, or join the group `docker` and log in again".to_owned(),
        });
    }
    if !is_root() {
        return Err(LabError::DockerUnavailable {
            reason: "only root may start dockerd".to_owned(),
            hint: "sudo systemctl start docker, or run as root".to_owned(),
        });
    }
    if Path::new("/run/systemd/system").exists() && unit_exists() {
        progress("starting Docker: systemctl start docker");
        LocalCommand::new("systemctl")
            .arguments(["start", "docker"])
            .seconds(START_SECONDS)
            .run()?;
        return docker::answers();
    }
    clear_leftovers(progress)?;
    start(state, &[], progress).or_else(|error| {
        // The default bridge may collide with a network of this machine, and no node needs it.
        if !matches!(&error, LabError::DockerStart { tail, .. } if tail.contains("bridge")) {
            return Err(error);
        }
        progress("the default bridge cannot be created: starting dockerd without it");
        clear_leftovers(progress)?;
        start(state, &["--bridge=none"], progress)
    })
}

/// Stops the dockerd that the lab started, unless a container still runs in it.
///
/// # Errors
/// If Docker cannot be queried or signalled.
pub fn stop_docker(
    state: &StateDirectory,
    progress: ProgressFn<'_>,
) -> Result<DockerStopOutcome, LabError> {
    let _lock = state.lock("dockerd", progress)?;
    let record = state.daemon_record();
    let Ok(text) = fs::read_to_string(&record) else {
        return Ok(DockerStopOutcome::NotStartedByLab);
    };
    let process = text.trim().to_owned();
    if process_name(&process).as_deref() == Some("dockerd") {
        // A stop would also end other users' lab environments and containers that are not the
        // lab's.
        let running = docker::docker(30, ["ps", "--format", "{{.Names}}"])?;
        if !running.trim().is_empty() {
            let names: Vec<String> = running.lines().map(str::to_owned).collect();
            return Ok(DockerStopOutcome::InUse(names));
        }
        progress("stopping the dockerd that the lab started");
        LocalCommand::new("kill").arguments([&process]).run()?;
        let started = Instant::now();
        while process_name(&process).is_some() {
            if started.elapsed() > Duration::from_secs(30) {
                LocalCommand::new("kill")
                    .arguments(["-9", &process])
                    .run()?;
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    fs::remove_file(&record).map_err(LabError::file("remove", &record))?;
    Ok(DockerStopOutcome::Stopped)
}

fn start(state: &StateDirectory, flags: &[&str], progress: ProgressFn<'_>) -> Result<(), LabError> {
    let log = state.daemon_log();
    progress(&format!("starting dockerd; its log is {}", log.display()));
    let output = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(&log)
        .map_err(LabError::file("write", &log))?;
    let errors = output.try_clone().map_err(LabError::file("write", &log))?;
    // A process group of its own: a Ctrl-C meant for skep must not stop the nodes.
    let spawned = child_command("dockerd")
        .args(flags)
        .stdin(Stdio::null())
        .stdout(output)
        .stderr(errors)
        .current_dir("/")
        .process_group(0)
        .spawn();
    let mut child = spawned.map_err(|source| LabError::DockerUnavailable {
        reason: format!("cannot run dockerd: {source}"),
        hint: "apt-get install docker.io (or run .ci/install)".to_owned(),
    })?;
    write_file(
        &state.daemon_record(),
        child.id().to_string().as_bytes(),
        0o600,
    )?;
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(START_SECONDS) {
        if docker::answers().is_ok() {
            return Ok(());
        }
        if matches!(child.try_wait(), Ok(Some(_))) {
            break;
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    // A hanging dockerd would hold the socket of the next one.
    let _ = child.kill();
    let _ = child.wait();
    let _ = fs::remove_file(state.daemon_record());
    Err(LabError::DockerStart {
        seconds: START_SECONDS,
        tail: tail(&fs::read_to_string(&log).unwrap_or_default(), 15),
        log,
    })
}

/// Removes files that prevent the start of a new dockerd: the PID file of a process that has ended
/// (or whose number another program has now), and sockets without a listener.
fn clear_leftovers(progress: ProgressFn<'_>) -> Result<(), LabError> {
    let managed = "/var/run/docker/containerd/containerd.pid";
    for (file, program) in [(PROCESS_FILE, "dockerd"), (managed, "containerd")] {
        let Ok(text) = fs::read_to_string(file) else {
            continue;
        };
        if process_name(text.trim()).as_deref() != Some(program) {
            progress(&format!("removing {file} of a {program} that has ended"));
            fs::remove_file(file).map_err(LabError::file("remove", Path::new(file)))?;
        }
    }
    // dockerd waits for the system's containerd whenever this socket exists.
    let refused = UnixStream::connect(SYSTEM_CONTAINERD)
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused);
    if refused {
        progress(&format!(
            "removing {SYSTEM_CONTAINERD}, which has no listener"
        ));
        fs::remove_file(SYSTEM_CONTAINERD)
            .map_err(LabError::file("remove", Path::new(SYSTEM_CONTAINERD)))?;
    }
    Ok(())
}

fn process_name(process: &str) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.split_once('(')?;
    let (name, state) = rest.rsplit_once(')')?;
    // A zombie has ended, even if its parent has not waited for it yet.
    (!state.trim_start().starts_with('Z')).then(|| name.to_owned())
}

fn unit_exists() -> bool {
    LocalCommand::new("systemctl")
        .arguments(["cat", "docker.service"])
        .finish()
        .is_ok_and(|finished| finished.success)
}

fn is_root() -> bool {
    fs::read_to_string("/proc/self/status").is_ok_and(|status| {
        status
            .lines()
            .find_map(|line| line.strip_prefix("Uid:"))
            .and_then(|ids| ids.split_whitespace().nth(1).map(|id| id == "0"))
            .unwrap_or(false)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_names() {
        assert!(process_name(&std::process::id().to_string()).is_some());
        assert_eq!(process_name("0"), None);
        assert_eq!(process_name("not a number"), None);
    }
}
