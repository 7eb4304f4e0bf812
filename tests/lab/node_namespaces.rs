//! Enters the namespaces of a node's container with `nsenter`. `docker exec` does the same, but
//! starts several programs for it, which takes a tenth of a second of a processor: the lab tests
//! enter nodes thousands of times.

use std::collections::HashMap;
use std::process::Command;
use std::sync::{LazyLock, Mutex, PoisonError};

/// First process of a container.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FirstProcess {
    id: u32,
    /// Start time in clock ticks since boot: another process may get the same ID later.
    started: u64,
}

/// First processes by name of the container.
static KNOWN: LazyLock<Mutex<HashMap<String, FirstProcess>>> = LazyLock::new(Mutex::default);

/// Returns a command that runs a shell script in a container, with the environment that the
/// processes of `docker exec` get. If the container does not run, the command fails with Docker's
/// message.
pub fn command_in(container: &str, script: &str) -> Command {
    let Some(process) = first_process(container) else {
        let mut command = Command::new("docker");
        command.args(["exec", container, "sh", "-c", script]);
        return command;
    };
    let mut command = Command::new("nsenter");
    command
        .args(["--target", &process.id.to_string()])
        .args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup"])
        .args(["--", "sh", "-c", script])
        .env_clear()
        .env(
            "PATH",
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        )
        .env("HOME", "/root")
        .env("container", "docker");
    command
}

fn first_process(container: &str) -> Option<FirstProcess> {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(process) = known.get(container)
        && start_time(process.id) == Some(process.started)
    {
        return Some(*process);
    }
    let found = inspect(container);
    match found {
        Some(process) => known.insert(container.to_owned(), process),
        None => known.remove(container),
    };
    found
}

fn inspect(container: &str) -> Option<FirstProcess> {
    let output = Command::new("docker")
        .args(["inspect", "--format", "{{.State.Pid}}", container])
        .output()
        .ok()?;
    let id = String::from_utf8_lossy(&output.stdout)
        .trim()
        .parse()
        .ok()?;
    // Docker writes 0 for a container that does not run.
    let started = start_time(id).filter(|_| id != 0)?;
    Some(FirstProcess { id, started })
}

/// Returns the start time of a process that still runs.
fn start_time(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name of the program, in parentheses, may contain blanks.
    let (_, fields) = text.rsplit_once(") ")?;
    let fields: Vec<&str> = fields.split(' ').collect();
    if fields.first() == Some(&"Z") {
        return None;
    }
    fields.get(19)?.parse().ok()
}
