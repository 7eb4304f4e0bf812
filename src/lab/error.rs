//! Everything that can go wrong in the lab, as data.
//! A message says what failed, why, and what to try, in full (there is no chain of sources to print); the step that was under way is added by [`LabError::while_doing`].

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
        /// How it ended.
        status: String,
        /// The last lines that it wrote to stderr.
        tail: String,
    },
    /// A child command took longer than it may, and was killed.
    #[error("`{command}` was killed: it did not end within {seconds} s")]
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
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        cause: std::io::Error,
    },
    /// A record of the lab cannot be understood.
    #[error("cannot understand {}: {reason}; try: remove it and run `skep lab up` again", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// The parser's reason.
        reason: String,
    },
    /// A key could not be made or written.
    #[error("cannot make the lot's SSH key: {reason}")]
    Key {
        /// The reason given by the key library.
        reason: String,
    },
    /// A name given by the user cannot be the name of a lot.
    #[error("`{name}` cannot name a lot: 1 to 20 of a-z, 0-9 and `-`, beginning with a letter")]
    InvalidName {
        /// The name as given.
        name: String,
    },
    /// More or fewer nodes were asked for than a lot can hold.
    #[error(
        "a lot has at least 1 manager and at most {most} nodes; asked for {managers} managers and {workers} workers"
    )]
    InvalidSize {
        /// Managers asked for.
        managers: u8,
        /// Workers asked for.
        workers: u8,
        /// The limit.
        most: u8,
    },
    /// There is no lot of this name.
    #[error(
        "there is no lot `{lab}`; try: `skep lab up --lot {lab}`, or `skep lab list` for those that exist"
    )]
    NoSuchLab {
        /// The name as given.
        lab: String,
    },
    /// The lot has no node of this name.
    #[error("lot `{lab}` has no node `{node}`; it has {nodes}")]
    NoSuchNode {
        /// The lot.
        lab: String,
        /// The node as given.
        node: String,
        /// The nodes that it has.
        nodes: String,
    },
    /// A lot of this name exists and differs in what cannot be changed.
    #[error(
        "lot `{lab}` exists with {existing}, asked for {asked}; try: `skep lab down --lot {lab}` first, or another --lot"
    )]
    OptionsDiffer {
        /// The lot.
        lab: String,
        /// What it was made with.
        existing: String,
        /// What was asked for.
        asked: String,
    },
    /// A lot of this name was made from another state directory.
    #[error(
        "lot `{lab}` belongs to the state directory {owner}; try: --state-dir {owner}, or another --lot"
    )]
    ForeignStateDirectory {
        /// The lot.
        lab: String,
        /// The state directory that made it.
        owner: String,
    },
    /// Every subnet of the range is in use.
    #[error(
        "no free subnet in 10.213.0.0/16; try: `skep lab list`, then `skep lab down --lot NAME`"
    )]
    NoSubnet,
    /// Docker does not answer and cannot be started.
    #[error("Docker does not answer on this machine and was not started: {reason}; try: {hint}")]
    DockerUnavailable {
        /// Why it was not started.
        reason: String,
        /// What to do.
        hint: String,
    },
    /// The Docker that was started did not come up.
    #[error("dockerd did not answer within {seconds} s; the end of {}:\n{tail}", log.display())]
    DockerStart {
        /// The limit in seconds.
        seconds: u64,
        /// Its log file.
        log: PathBuf,
        /// The last lines of the log.
        tail: String,
    },
    /// A node did not finish booting.
    #[error(
        "node {node} did not boot within {seconds} s (systemd says `{state}`):\n{detail}\ntry: `docker logs {node}`, `docker exec {node} journalctl -b`"
    )]
    Boot {
        /// The container's name.
        node: String,
        /// The limit in seconds.
        seconds: u64,
        /// What `systemctl is-system-running` said last.
        state: String,
        /// Failed units, or the end of the container's log.
        detail: String,
    },
    /// A virtual machine did not finish booting.
    #[error(
        "{node} did not boot within {seconds} s; last: {last}\nthe end of its console:\n{tail}\ntry: {}", console.display()
    )]
    MachineBoot {
        /// The machine.
        node: String,
        /// How long it was waited for, in seconds.
        seconds: u64,
        /// What was seen last.
        last: String,
        /// The last lines of its console.
        tail: String,
        /// Where all that it wrote to its console is.
        console: PathBuf,
    },
    /// QEMU did not do what it was asked to.
    #[error("QEMU was asked for `{command}` at {} and said: {reason}; try: `skep lab status`, then stop and start the machine", socket.display())]
    Monitor {
        /// The command of its protocol.
        command: String,
        /// Where it listens.
        socket: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A socket cannot be made under so long a path.
    #[error("{} is longer than the {limit} bytes that a socket may have; try: --state-dir with a shorter path", path.display())]
    LongPath {
        /// The socket.
        path: PathBuf,
        /// The limit in bytes.
        limit: usize,
    },
    /// The packages that a machine installs from are gone.
    #[error(
        "the packages of lot `{lab}` are not on this machine any more; try: `skep lab up --virtual-machines --lot {lab}`"
    )]
    NoMirror {
        /// The lot.
        lab: String,
    },
    /// No port is left for SSH.
    #[error(
        "all ports of 127.0.0.1 from {first} to {last} are in use; try: `skep lab list`, then `skep lab down --lot NAME`"
    )]
    NoPort {
        /// The first tried.
        first: u16,
        /// The last tried.
        last: u16,
    },
    /// Virtual machines of this architecture are not known.
    #[error(
        "virtual machines are made for {known} only, and this machine is {architecture}; try: without --virtual-machines"
    )]
    Architecture {
        /// Of this machine.
        architecture: String,
        /// The one that works.
        known: &'static str,
    },
    /// The package mirror of the lot does not answer.
    #[error("the lot's package mirror cannot listen on {address}: {reason}; try: free that port")]
    PackageMirror {
        /// Address and ports that were tried.
        address: String,
        /// The server's last words.
        reason: String,
    },
    /// A package of Debian is not what the lab expects.
    #[error("cannot make the stand-in package {package}: {reason}")]
    Package {
        /// The package that was to be made.
        package: String,
        /// Why not.
        reason: String,
    },
    /// A failure, with the step that was under way.
    #[error("{doing}: {cause}")]
    Step {
        /// The step.
        doing: String,
        /// The failure itself.
        cause: Box<LabError>,
    },
}

impl LabError {
    /// Adds the step that was under way.
    #[must_use]
    pub fn while_doing(self, doing: impl Into<String>) -> Self {
        Self::Step {
            doing: doing.into(),
            cause: Box::new(self),
        }
    }

    /// Makes the mapping from an input or output error on `path`.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |cause| Self::File {
            action,
            path,
            cause,
        }
    }
}
