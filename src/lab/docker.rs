//! The `docker` command of this machine: the only file that starts it.
//! Objects of the lab carry labels, so that each lot finds and removes only its own.

use std::fs::{File, OpenOptions};

use super::command::{CommandOutput, LocalCommand};
use super::error::LabError;

/// Label with the lot's name, on every container, volume and network of the lab.
pub(crate) const LABEL_LAB: &str = "skep.lot";
/// Label with the node's name, on the containers of nodes.
pub(crate) const LABEL_NODE: &str = "skep.node";
/// Label with the state directory that made the object.
pub(crate) const LABEL_STATE: &str = "skep.state";

const HINT: &str = "apt-get install docker.io (or run .ci/install)";

/// Runs `docker` with these arguments; killed after `seconds`.
pub(crate) fn docker<I, S>(seconds: u64, arguments: I) -> Result<String, LabError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    tool(seconds, arguments).run()
}

/// The same for commands in which a container joins or leaves a network: one at a time on this machine. In Engine 20.10 a
/// join and a leave lock the same two things in opposite order; when they meet, dockerd hangs for good (seen in its
/// goroutines: `getSvcRecords` against `processEndpointDelete`).
pub(crate) fn docker_alone<I, S>(seconds: u64, arguments: I) -> Result<String, LabError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    let _turn = turn();
    docker(seconds, arguments)
}

/// Held until it is dropped. Where the file cannot be had (another user's), the turn is not waited for: it only makes a
/// rare fault rarer.
fn turn() -> Option<File> {
    let path = std::env::temp_dir().join("skep-lab-docker.lock");
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .ok()?;
    file.lock().ok()?;
    Some(file)
}

/// The same, whatever the status.
pub(crate) fn docker_finish<I, S>(seconds: u64, arguments: I) -> Result<CommandOutput, LabError>
where
    I: IntoIterator<Item = S>,
    S: AsRef<std::ffi::OsStr>,
{
    tool(seconds, arguments).finish()
}

/// Runs a shell script inside a container; the script goes over stdin.
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

/// Whether Docker answers; the reason when not.
pub(crate) fn answers() -> Result<(), LabError> {
    docker(10, ["version", "--format", "{{.Server.Version}}"]).map(drop)
}

/// The state of a container (`running`, `exited`, ...); none when there is no such container.
pub(crate) fn container_state(name: &str) -> Result<Option<String>, LabError> {
    inspect("container", name, "{{.State.Status}}")
}

/// One formatted property of an object; none when there is no such object.
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

/// The names of all objects of a kind (`container`, `volume`, `network`) that carry this label.
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
