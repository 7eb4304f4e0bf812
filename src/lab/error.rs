//! The errors of the lab, as data.
//! Each message says what failed, why, and what to try, in full, since no chain of sources is
//! printed. [`LabError::while_doing`] adds the step in progress.

use std::path::{Path, PathBuf};

/// A failure of the lab.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A program that the lab starts is not on this machine.
    #[error("`{program}` is not installed; try: {hint}")]
    ProgramMissing {
        /// Name of the program.
        program: String,
        /// The command that installs it.
        hint: String,
    },
    /// A child command ended with a failure.
    #[error("`{command}` ended with {status}: {tail}")]
    Command {
        /// The command line as started.
        command: String,
        /// Exit status as text.
        status: String,
        /// Last lines that the command wrote to stderr.
        tail: String,
    },
    /// A child command exceeded its time limit and was killed.
    #[error("`{command}` timed out after {seconds} s and was killed")]
    CommandTimeout {
        /// The command line as started.
        command: String,
        /// The limit in seconds.
        seconds: u64,
    },
    /// A file of the lab's state could not be read or written.
    #[error("cannot {action} {}: {cause}", path.display())]
    File {
        /// The verb: read, write, create, ...
        action: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        cause: std::io::Error,
    },
    /// A record of the lab cannot be parsed.
    #[error("cannot parse {}: {reason}; try: remove the file and run `skep lab up` again", path.display())]
    Record {
        /// Path of the record.
        path: PathBuf,
        /// Error of the parser.
        reason: String,
    },
    /// An SSH key cannot be created or written.
    #[error("cannot create the SSH key of the lab environment: {reason}")]
    Key {
        /// Error of the key library.
        reason: String,
    },
    /// A name given by the user is not valid for a lab environment.
    #[error(
        "`{name}` is not a valid name for a lab environment: use 1 to 20 of a-z, 0-9 and `-`, beginning with a letter"
    )]
    InvalidName {
        /// Name as given.
        name: String,
    },
    /// The number of nodes is outside the limits of an environment.
    #[error(
        "a lab environment has at least 1 manager and at most {most} nodes, not {managers} managers and {workers} workers"
    )]
    InvalidSize {
        /// Number of managers given.
        managers: u8,
        /// Number of workers given.
        workers: u8,
        /// Maximum number of nodes.
        most: u8,
    },
    /// There is no lab environment of this name.
    #[error(
        "there is no lab environment `{lab}`; try: `skep lab up --name {lab}`, or `skep lab list` to see the existing ones"
    )]
    NoSuchLab {
        /// Name as given.
        lab: String,
    },
    /// The environment has no node of this name.
    #[error("lab environment `{lab}` has no node `{node}`; its nodes are {nodes}")]
    NoSuchNode {
        /// Name of the environment.
        lab: String,
        /// Node as given.
        node: String,
        /// Names of the existing nodes.
        nodes: String,
    },
    /// The existing environment has other values of options that cannot change.
    #[error(
        "lab environment `{lab}` exists with {existing}, which cannot change to {requested}; try: `skep lab down --name {lab}` first, or another --name"
    )]
    OptionsDiffer {
        /// Name of the environment.
        lab: String,
        /// Options of the existing environment.
        existing: String,
        /// Options given.
        requested: String,
    },
    /// An environment of this name was created from another state directory.
    #[error(
        "lab environment `{lab}` belongs to the state directory {owner}; try: --state-dir {owner}, or another --name"
    )]
    ForeignStateDirectory {
        /// Name of the environment.
        lab: String,
        /// State directory that created the environment.
        owner: String,
    },
    /// Every subnet of the range is in use.
    #[error(
        "no free subnet in 10.213.0.0/16; try: `skep lab list`, then `skep lab down --name NAME`"
    )]
    NoSubnet,
    /// Docker does not answer and cannot be started.
    #[error("Docker does not answer on this machine and was not started: {reason}; try: {hint}")]
    DockerUnavailable {
        /// Reason why Docker was not started.
        reason: String,
        /// Suggested next step.
        hint: String,
    },
    /// dockerd was started and does not answer.
    #[error("dockerd did not answer within {seconds} s; the end of {}:\n{tail}", log.display())]
    DockerStart {
        /// Time limit in seconds.
        seconds: u64,
        /// Path of dockerd's log file.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// A node did not finish booting.
    #[error(
        "node {node} did not boot within {seconds} s (systemd reports `{state}`):\n{detail}\ntry: `docker logs {node}`, `docker exec {node} journalctl -b`"
    )]
    Boot {
        /// Name of the container.
        node: String,
        /// Time limit in seconds.
        seconds: u64,
        /// Last output of `systemctl is-system-running`.
        state: String,
        /// Failed units, or the end of the container's log.
        detail: String,
    },
    /// A virtual machine did not finish booting.
    #[error(
        "{node} did not boot within {seconds} s; last state: {last}\nthe end of its console:\n{tail}\ntry: {}", console.display()
    )]
    MachineBoot {
        /// Name of the machine.
        node: String,
        /// Time waited, in seconds.
        seconds: u64,
        /// Last observed state.
        last: String,
        /// Last lines of the machine's console.
        tail: String,
        /// Path of the file with the whole output of the console.
        console: PathBuf,
    },
    /// QEMU did not execute a command.
    #[error("QEMU did not execute `{command}` ({}): {reason}; try: `skep lab status`, then stop and start the machine", socket.display())]
    Monitor {
        /// Command of QEMU's machine protocol (QMP).
        command: String,
        /// Path of QEMU's monitor socket.
        socket: PathBuf,
        /// Reason of the failure.
        reason: String,
    },
    /// The path of a Unix socket would be too long.
    #[error("the socket path {} is longer than {limit} bytes; try: --state-dir with a shorter path", path.display())]
    LongPath {
        /// Path of the socket.
        path: PathBuf,
        /// Maximum length in bytes.
        limit: usize,
    },
    /// The packages that a machine installs from no longer exist.
    #[error(
        "the package mirror of lab environment `{lab}` no longer exists on this machine; try: `skep lab up --virtual-machines --name {lab}`"
    )]
    NoMirror {
        /// Name of the environment.
        lab: String,
    },
    /// No port is left for SSH.
    #[error(
        "all ports of 127.0.0.1 from {first} to {last} are in use; try: `skep lab list`, then `skep lab down --name NAME`"
    )]
    NoPort {
        /// First port tried.
        first: u16,
        /// Last port tried.
        last: u16,
    },
    /// The lab has no virtual machines for this architecture.
    #[error(
        "virtual machines need {known}, and this machine is {architecture}; try: `skep lab up` without --virtual-machines"
    )]
    Architecture {
        /// Architecture of this machine.
        architecture: String,
        /// Supported architecture.
        known: &'static str,
    },
    /// The package mirror of the environment does not answer.
    #[error(
        "the package mirror of the lab environment cannot listen on {address}: {reason}; try: free that port"
    )]
    PackageMirror {
        /// Address and ports tried.
        address: String,
        /// Last output of the server.
        reason: String,
    },
    /// A Debian package does not have the expected content.
    #[error("cannot build the stand-in package {package}: {reason}")]
    Package {
        /// Package to be created.
        package: String,
        /// Reason of the failure.
        reason: String,
    },
    /// A failure, with the step in progress.
    #[error("{doing}: {cause}")]
    Step {
        /// Description of the step.
        doing: String,
        /// The failure itself.
        cause: Box<Self>,
    },
}

impl LabError {
    /// Adds the step in progress.
    #[must_use]
    pub fn while_doing(self, doing: impl Into<String>) -> Self {
        Self::Step {
            doing: doing.into(),
            cause: Box::new(self),
        }
    }

    /// Returns a function that converts an I/O error on `path`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |cause| Self::File {
            action,
            path,
            cause,
        }
    }
}
