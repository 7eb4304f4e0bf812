//! Answers to queries, as data: one answer per query. Absence is an answer. A failed probe is an
//! error and never counts as "in sync".

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{
    DirectoryUsage, DockerAnswer, DockerError, DockerQuery, PackageUpdate, Query, RaftPosition,
    RebootState, SecretBytes, ShellQuery, StackAnswer, StackQuestion, ValueSource,
};
use crate::names::HostName;

/// Largest file content that a query returns, in bytes (1 MiB).
pub const CONTENT_LIMIT: u64 = 1024 * 1024;

/// The answer to one [`Query`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    missing_docs,
    reason = "each variant answers the query of the same name"
)]
pub enum QueryAnswer {
    Facts(HostFacts),
    Path(Option<PathState>),
    AptSources(Vec<AptSourceFile>),
    AptLists(Vec<String>),
    Package(PackageState),
    PackageVersions(Vec<String>),
    AptSimulation(AptSimulation),
    DpkgAudit(Vec<String>),
    PackageUpdates(Vec<PackageUpdate>),
    RebootState(RebootState),
    RaftPosition(Option<RaftPosition>),
    Unit(UnitState),
    User(Option<UserState>),
    Group(Option<GroupState>),
    Sysctl(Option<String>),
    OtherRun(String),
    Program(Option<String>),
    Test(i32),
    Catalogue(Option<Vec<TaggedImage>>),
    Holding(Option<DirectoryUsage>),
    Value(SecretBytes),
    Engine(DockerAnswer),
    Stack(StackAnswer),
}

/// Properties of a host as a whole, read once per run. Templates see them as `facts`.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct HostFacts {
    /// The kernel's host name.
    pub hostname: String,
    /// `ID` of os-release: `debian` or `ubuntu`.
    pub id: String,
    /// `VERSION_ID` of os-release, e.g. `24.04`.
    pub version: String,
    /// `VERSION_CODENAME` of os-release, e.g. `noble`.
    pub codename: String,
    /// `ID` of the distribution whose packages the host takes: `debian`, `ubuntu` or `raspbian`,
    /// also on a distribution that derives from it. Empty if os-release does not tell.
    pub base_id: String,
    /// Codename of that distribution's release, e.g. `noble` on Linux Mint 22. Empty if os-release
    /// does not tell.
    pub base_codename: String,
    /// `PRETTY_NAME` of os-release.
    pub pretty_name: String,
    /// dpkg's architecture, e.g. `amd64`.
    pub architecture: String,
    /// Kernel release, as `uname -r` prints it.
    pub kernel: String,
    /// /etc/machine-id: the machine's identity.
    pub machine_id: String,
    /// Processors online.
    pub processors: u32,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Global addresses (no loopback, no link-local), as `ip` prints them, without prefix length.
    pub addresses: Vec<String>,
    /// Time of the host's clock at the moment of the answer, in seconds since 1970.
    pub clock: u64,
    /// Seconds since the host started.
    pub uptime: u64,
}

/// The type of a path on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of stat(1)")]
pub enum PathType {
    File,
    Directory,
    Symlink,
    Other,
}

impl PathType {
    /// Returns the type with its article, for sentences: `a directory`.
    #[must_use]
    pub fn with_article(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Other => "a device, socket or pipe",
        }
    }
}

/// State of a path on the host. A symbolic link is described itself, not its target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathState {
    /// Type of the path.
    pub kind: PathType,
    /// Name of the owner, or the number if no account has it.
    pub owner: String,
    /// Number of the owner.
    pub uid: u32,
    /// Name of the group, or the number if no group has it.
    pub group: String,
    /// Number of the group.
    pub gid: u32,
    /// Permission bits, e.g. `0o644`.
    pub mode: u32,
    /// Size in bytes.
    pub size: u64,
    /// Modification time, seconds since 1970.
    pub modified: u64,
    /// Target of a link, verbatim.
    pub target: Option<String>,
    /// Content of a regular file, if it was queried and is no larger than [`CONTENT_LIMIT`].
    pub content: Option<Vec<u8>>,
}

/// A file below /etc/apt that names package sources.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AptSourceFile {
    /// Absolute path.
    pub path: String,
    /// Content, lossily decoded.
    pub content: String,
}

/// A package in dpkg's database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackageState {
    /// The installed version, if the package is fully installed (`install ok installed`, or held).
    pub installed: Option<String>,
    /// dpkg's status word if the package is neither installed nor absent: `config-files`,
    /// `half-configured`, `unpacked`, ...
    pub broken: Option<String>,
    /// True if the package is on hold.
    pub held: bool,
}

/// Result of an apt simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AptSimulation {
    /// Apt would perform these actions, in its own order.
    Actions(Vec<AptAction>),
    /// Apt refuses; its own error lines, e.g. `Unable to locate package docker-ce`.
    Impossible(Vec<String>),
}

/// An action of an apt simulation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AptAction {
    /// `Inst name [from] (to ...)`; `from` is `None` for a package that is not installed yet.
    Install {
        /// Package name.
        name: String,
        /// Version before.
        from: Option<String>,
        /// Version after.
        to: String,
    },
    /// `Remv name [from]`.
    Remove {
        /// Package name.
        name: String,
        /// Version before.
        from: String,
    },
}

/// Properties of a systemd unit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitState {
    /// Properties by name, as `systemctl show` prints them: `LoadState`, `ActiveState`, `SubState`,
    /// `UnitFileState`, `NeedDaemonReload`, `FragmentPath`, `MainPID`, `ExecMainStartTimestamp`,
    /// `ActiveEnterTimestamp`, `Result`. Times are seconds since 1970 (`0` means never).
    pub properties: BTreeMap<String, String>,
}

impl UnitState {
    /// Returns a property, or the empty string if the unit does not have it.
    #[must_use]
    pub fn get(&self, property: &str) -> &str {
        self.properties.get(property).map_or("", String::as_str)
    }
    /// Returns true if systemd has loaded the unit.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.get("LoadState") == "loaded"
    }
    /// Returns true if the unit is active (or reloading while active).
    #[must_use]
    pub fn is_active(&self) -> bool {
        matches!(self.get("ActiveState"), "active" | "reloading")
    }
}

/// A tagged image in a registry.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
pub struct TaggedImage {
    /// Name within the registry: `web/front`.
    pub repository: String,
    /// Tag.
    pub tag: String,
    /// Digest of the manifest, `sha256:...`.
    pub digest: String,
}

/// An account of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserState {
    /// Number of the account.
    pub uid: u32,
    /// Number of the account's primary group.
    pub gid: u32,
    /// Home directory.
    pub home: String,
    /// Login shell.
    pub shell: String,
    /// Names of all groups of the user, the primary group included.
    pub groups: BTreeSet<String>,
}

/// A group of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupState {
    /// Number of the group.
    pub gid: u32,
    /// Members listed in the group's entry (not the users who have it as their primary group).
    pub members: BTreeSet<String>,
}

/// Reason why an answer is missing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The probe itself failed on the host.
    #[error("reading {what} failed: {why}")]
    Failed {
        /// Object of the read, in words.
        what: String,
        /// Message from the host.
        why: String,
    },
    /// A kind used an answer that it had not queried: a defect of the kind.
    #[error("defect: {0} was not queried")]
    NotAsked(String),
    /// The answer depends on another host, which does not respond now. A run that repairs that host
    /// may get the answer.
    #[error("{0}")]
    Elsewhere(String),
    /// Root does not follow the path, because another account controls a name in it.
    #[error("{why}")]
    UnsafePath {
        /// Component of the path, and its owner.
        why: String,
        /// Remedy to try.
        hint: String,
        /// Directory in which that account may write; empty if there is none.
        open_directory: String,
    },
    /// The state is about to change without any request, e.g. while an Engine joins its managers. A
    /// run that waits a minute gets an answer.
    #[error("{why}")]
    Settling {
        /// State that was read.
        why: String,
        /// Remedy to try if the state persists.
        hint: String,
    },
    /// The kind cannot use the answer, e.g. because the path has another type than the kind
    /// manages.
    #[error("{0}")]
    Unusable(String),
}

impl ProbeError {
    /// Returns the error of a kind that needs the answer of a Docker Engine whose service runs.
    #[must_use]
    pub fn silent_engine(error: &DockerError) -> Self {
        Self::Failed {
            what: "the running Docker Engine".into(),
            why: format!(
                "docker.service is active, and the Engine does not respond: {error}; if its socket is gone, \
                 `systemctl restart docker.socket docker` on the host creates it again"
            ),
        }
    }
}

/// Answers of one host, by query.
#[derive(Debug, Clone, Default)]
pub struct HostAnswers {
    entries: HashMap<Query, Result<QueryAnswer, ProbeError>>,
}

macro_rules! accessor {
    ($(#[$doc:meta])* $name:ident($($argument:ident: $type:ty),*) -> $answer:ty, $query:expr, $variant:ident) => {
        $(#[$doc])*
        ///
        /// # Errors
        /// [`ProbeError`] if the probe failed or the query was not asked.
        pub fn $name(&self, $($argument: $type),*) -> Result<&$answer, ProbeError> {
            let query = $query;
            match self.get(&query)? {
                QueryAnswer::$variant(answer) => Ok(answer),
                other => Err(ProbeError::Failed { what: format!("{query:?}"), why: format!("answered by {other:?}") }),
            }
        }
    };
}

impl HostAnswers {
    /// Records the answer to a query, replacing an older one.
    pub fn insert(&mut self, query: Query, answer: Result<QueryAnswer, ProbeError>) {
        self.entries.insert(query, answer);
    }

    /// Builder form of [`HostAnswers::insert`], for table tests.
    #[must_use]
    pub fn with(mut self, query: Query, answer: QueryAnswer) -> Self {
        self.insert(query, Ok(answer));
        self
    }

    /// Returns true if the query has been answered or has failed.
    #[must_use]
    pub fn contains(&self, query: &Query) -> bool {
        self.entries.contains_key(query)
    }

    /// Forgets the answer to a query.
    pub fn remove(&mut self, query: &Query) {
        self.entries.remove(query);
    }

    /// Returns the answers to these queries alone.
    #[must_use]
    pub fn of(&self, queries: &[Query]) -> Self {
        let known = queries
            .iter()
            .filter_map(|query| Some((query.clone(), self.entries.get(query)?.clone())));
        Self {
            entries: known.collect(),
        }
    }

    /// Returns every query that has been answered or has failed.
    #[must_use]
    pub fn queries(&self) -> BTreeSet<Query> {
        self.entries.keys().cloned().collect()
    }

    /// Adds all answers of another set, replacing older ones.
    pub fn merge(&mut self, other: Self) {
        self.entries.extend(other.entries);
    }

    /// Returns the number of queries that have an answer or a reason for its absence.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn get(&self, query: &Query) -> Result<&QueryAnswer, ProbeError> {
        match self.entries.get(query) {
            Some(Ok(answer)) => Ok(answer),
            Some(Err(error)) => Err(error.clone()),
            None => Err(ProbeError::NotAsked(format!("{query:?}"))),
        }
    }

    accessor!(/// Returns the facts of the host.
        facts() -> HostFacts, Query::Shell(ShellQuery::Facts), Facts);
    accessor!(/// Returns every apt source file.
        apt_sources() -> Vec<AptSourceFile>, Query::Shell(ShellQuery::AptSources), AptSources);
    accessor!(/// Returns the names of the signed indexes that apt has fetched.
        apt_lists() -> Vec<String>, Query::Shell(ShellQuery::AptLists), AptLists);
    accessor!(/// Returns the state of a package.
        package(name: &str) -> PackageState, Query::Shell(ShellQuery::Package(name.into())), Package);
    accessor!(/// Returns the versions that apt could install, highest first.
        package_versions(name: &str) -> Vec<String>, Query::Shell(ShellQuery::PackageVersions(name.into())), PackageVersions);
    accessor!(/// Returns apt's simulation for these arguments.
        apt_simulation(arguments: &[String]) -> AptSimulation, Query::Shell(ShellQuery::AptSimulation { arguments: arguments.to_vec() }), AptSimulation);
    accessor!(/// Returns the problems that `dpkg --audit` reports.
        dpkg_audit() -> Vec<String>, Query::Shell(ShellQuery::DpkgAudit), DpkgAudit);
    accessor!(/// Returns the packages for which apt offers a newer version.
        package_updates() -> Vec<PackageUpdate>, Query::Shell(ShellQuery::PackageUpdates), PackageUpdates);
    accessor!(/// Returns whether a reboot is due.
        reboot_state() -> RebootState, Query::Shell(ShellQuery::RebootState), RebootState);
    accessor!(/// Returns the last entry of the manager's Raft log, if the journal shows it.
        raft_position() -> Option<RaftPosition>, Query::Shell(ShellQuery::RaftPosition), RaftPosition);
    accessor!(/// Returns the properties of a unit.
        unit(name: &str) -> UnitState, Query::Shell(ShellQuery::Unit(name.into())), Unit);
    accessor!(/// Returns an account, if it exists.
        user(name: &str) -> Option<UserState>, Query::Shell(ShellQuery::User(name.into())), User);
    accessor!(/// Returns a group, if it exists.
        group(name: &str) -> Option<GroupState>, Query::Shell(ShellQuery::Group(name.into())), Group);
    accessor!(/// Returns a kernel parameter, if it exists.
        sysctl(key: &str) -> Option<String>, Query::Shell(ShellQuery::Sysctl(key.into())), Sysctl);
    accessor!(/// Returns the text about another run that works on the host; empty if there is none.
        other_run() -> String, Query::Shell(ShellQuery::OtherRun), OtherRun);
    accessor!(/// Returns the path of a program, if it is installed.
        program(name: &str) -> Option<String>, Query::Shell(ShellQuery::Program(name.into())), Program);
    accessor!(/// Returns the images in a registry's directory, if it exists.
        catalogue(directory: &str) -> Option<Vec<TaggedImage>>, Query::Shell(ShellQuery::Catalogue { directory: directory.into() }), Catalogue);
    accessor!(/// Returns the usage of a directory, if it exists.
        directory_usage(directory: &str) -> Option<DirectoryUsage>, Query::Shell(ShellQuery::Holding { directory: directory.into() }), Holding);
    accessor!(/// Returns the usage of a directory on another host, if it exists.
        directory_usage_at(host: &HostName, directory: &str) -> Option<DirectoryUsage>,
        ShellQuery::Holding { directory: directory.into() }.at(host), Holding);
    accessor!(/// Returns a path of another host and, for a regular file, its content.
        content_at(host: &HostName, path: &str) -> Option<PathState>, ShellQuery::content(path).at(host), Path);
    accessor!(/// Returns the exit status of a test that the user wrote.
        test(script: &str) -> i32, Query::Shell(ShellQuery::Test { script: script.into() }), Test);
    accessor!(/// Returns a value of the operator's machine.
        value(source: &ValueSource) -> SecretBytes, Query::Local(source.clone()), Value);
    accessor!(/// Returns the answer of the host's own Engine.
        engine(path: &str) -> DockerAnswer, Query::docker(path), Engine);
    accessor!(/// Returns the answer of another host's Engine.
        docker_of(host: &HostName, path: &str) -> DockerAnswer, Query::docker_of(host.clone(), path), Engine);

    /// Returns the answer of a registry about an image.
    ///
    /// # Errors
    /// [`ProbeError`] if the probe failed or the query was not asked.
    pub fn distribution(
        &self,
        image: &str,
        credentials: Option<&super::RegistryCredentials>,
    ) -> Result<&DockerAnswer, ProbeError> {
        let query = Query::Docker(DockerQuery::Distribution {
            image: image.into(),
            credentials: credentials.cloned(),
        });
        match self.get(&query)? {
            QueryAnswer::Engine(answer) => Ok(answer),
            other => Err(ProbeError::Failed {
                what: image.into(),
                why: format!("answered by {other:?}"),
            }),
        }
    }
    accessor!(/// Returns a stack's preview: the writes that deploying it would make, or a refusal.
        stack(question: &StackQuestion) -> StackAnswer, Query::Preview(question.clone()), Stack);

    /// Returns the state of a path, whether it was queried with or without its content.
    ///
    /// # Errors
    /// [`ProbeError`] if the probe failed or the path was not queried.
    pub fn path(&self, path: &str) -> Result<Option<&PathState>, ProbeError> {
        let with_content = Query::content(path);
        let query = if self.contains(&with_content) {
            with_content
        } else {
            Query::path(path)
        };
        match self.get(&query)? {
            QueryAnswer::Path(state) => Ok(state.as_ref()),
            other => Err(ProbeError::Failed {
                what: path.into(),
                why: format!("answered by {other:?}"),
            }),
        }
    }
}
