//! Runs the `docker` command of this machine. No other file starts it.
//! The lab labels its objects, so that each environment finds and removes only its own.

use std::fs::{File, OpenOptions};

use super::command::{CommandOutput, LocalCommand};
use super::error::LabError;

/// Label with the environment's name, on every container, volume and network of the lab. The word
/// `lot` is the older name of an environment.
pub(crate) const LABEL_LAB: &str = "skep.lot";
/// Label with the node's name, on the containers of nodes.
pub(crate) const LABEL_NODE: &str = "skep.node";
/// Label with the state directory that made the object.
pub(crate) const LABEL_STATE: &str = "skep.state";

const HINT: &str = "apt-get install docker.io (or run .ci/install)";

/// Runs `docker` with these arguments, and kills it after `seconds`.
pub(crate) fn docker<I, S>(seconds: u64, arguments: I) -> Result<String, LabError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    tool(seconds, arguments).run()
}

/// Runs a command that connects a container to a network or disconnects it; only one at a time runs
/// on this machine.
///
/// In Engine 20.10, connect and disconnect take the same two locks in opposite order. If both run
/// at once, dockerd may hang forever (seen in its goroutines: `getSvcRecords` against
/// `processEndpointDelete`).
pub(crate) fn docker_alone<I, S>(seconds: u64, arguments: I) -> Result<String, LabError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let _turn = turn();
    docker(seconds, arguments)
}

/// Lock of the whole machine. Only root can write to its folder: in `/tmp`, any account could
/// create the file first, and hold its lock.
const TURN_FILE: &str = "/run/skep-lab-docker.lock";

/// Takes the lock of the machine, which is held until the result is dropped. An account that cannot
/// open the file runs the command without the lock: the lock only makes a rare fault rarer.
fn turn() -> Option<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(TURN_FILE)
        .ok()?;
    file.lock().ok()?;
    Some(file)
}

/// Runs `docker` with these arguments, and returns its output whatever its status is.
pub(crate) fn docker_finish<I, S>(seconds: u64, arguments: I) -> Result<CommandOutput, LabError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    tool(seconds, arguments).finish()
}

/// Runs a shell script inside a container. The script is passed over stdin.
pub(crate) fn shell_in(container: &str, script: &str, seconds: u64) -> Result<String, LabError> {
    tool(seconds, ["exec", "-i", container, "sh", "-eu", "-s"])
        .input(script)
        .run()
}

/// Feeds `input` to `docker` with these arguments.
pub(crate) fn docker_fed(
    seconds: u64,
    arguments: &[&str],
    input: &str,
) -> Result<String, LabError> {
    tool(seconds, arguments).input(input).run()
}

/// Checks whether the Docker daemon answers; the error contains the reason.
pub(crate) fn answers() -> Result<(), LabError> {
    docker(10, ["version", "--format", "{{.Server.Version}}"]).map(drop)
}

/// Returns the state of a container (`running`, `exited`, ...), or `None` if there is no such
/// container.
pub(crate) fn container_state(name: &str) -> Result<Option<String>, LabError> {
    inspect("container", name, "{{.State.Status}}")
}

/// Returns one formatted property of an object, or `None` if there is no such object.
pub(crate) fn inspect(kind: &str, name: &str, format: &str) -> Result<Option<String>, LabError> {
    let finished = docker_finish(30, [kind, "inspect", "--format", format, name])?;
    if finished.success {
        return Ok(Some(finished.stdout.trim().to_owned()));
    }
    let said = finished.stderr.to_lowercase();
    if said.contains("no such") || said.contains("not found") {
        return Ok(None);
    }
    Err(finished.into_error())
}

/// Returns the names of all objects of a kind (`container`, `volume`, `network`) with this label.
pub(crate) fn labelled(kind: &str, label: &str) -> Result<Vec<String>, LabError> {
    let filter = format!("label={label}");
    let format = if kind == "container" {
        "{{.Names}}"
    } else {
        "{{.Name}}"
    };
    let mut arguments = vec![kind, "ls", "--filter", filter.as_str(), "--format", format];
    if kind == "container" {
        arguments.push("--all");
    }
    let listed = docker(30, arguments)?;
    Ok(listed.lines().map(str::to_owned).collect())
}

fn tool<I, S>(seconds: u64, arguments: I) -> LocalCommand
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    LocalCommand::new("docker")
        .arguments(arguments)
        .seconds(seconds)
        .install_hint(HINT)
}
