//! Read-only questions as data. `Query` is a closed list of reads: no query can change a host, by
//! type.
//!
//! The runner merges the shell queries of a host into one script (`runner::gather`) and removes
//! duplicates, so a kind simply names everything that it must know.

use super::ValueSource;
use crate::names::HostName;

/// A read-only question, grouped by the source that answers it.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Query {
    /// Answered by the host itself, in the one script of a gather.
    Shell(ShellQuery),
    /// Answered by the API of a Docker Engine.
    Docker(DockerQuery),
    /// A value of the operator's machine, read once per run. Answered by [`super::SecretBytes`].
    Local(ValueSource),
    /// The state of a stack in the swarm, and the writes of a deploy. The `docker` command of this
    /// machine runs against a proxy that passes reads to a manager and only records writes.
    /// Answered by a [`super::StackAnswer`].
    Preview(super::StackQuestion),
    /// A question that another host of the inventory answers. If that host cannot be read, the
    /// answer is [`super::ProbeError::Elsewhere`].
    OtherHost {
        /// The host that answers.
        host: HostName,
        /// The question. Answered as by the asking host itself.
        query: ShellQuery,
    },
}

/// A read that the shell of a host answers. The script of a gather is made of these alone, so it
/// only reads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ShellQuery {
    /// Release, architecture, addresses: what is true of the host as a whole. Answered by
    /// [`super::HostFacts`].
    Facts,
    /// State of a path, of which a link is not followed: type, owner, group, mode, size,
    /// modification time, link target. Answered by [`super::PathState`] or absence.
    Path {
        /// Absolute path on the host.
        path: String,
        /// Also read the content of a regular file, up to [`super::CONTENT_LIMIT`] bytes.
        content: bool,
    },
    /// Every apt source file below /etc/apt (one-line lists and deb822), with content: a list of
    /// [`super::AptSourceFile`].
    AptSources,
    /// Names of the signed indexes that apt has fetched (below /var/lib/apt/lists). All are read:
    /// the names of a repository's indexes depend on facts, and a query that waits for facts costs
    /// one more exec.
    AptLists,
    /// State of one Debian package in dpkg's database: a [`super::PackageState`] (absence is a
    /// state).
    Package(String),
    /// Versions of a package that apt could install, highest first, each as apt prints it. Empty
    /// when apt knows none.
    PackageVersions(String),
    /// Actions that `apt-get --simulate` announces for these literal arguments
    /// (`docker-ce=5:28*`, `docker.io-`).
    AptSimulation {
        /// Arguments behind `apt-get --simulate install`.
        arguments: Vec<String>,
    },
    /// Traces of an interrupted dpkg (`dpkg --audit`, pending updates): a list of complaints, empty
    /// if there are none.
    DpkgAudit,
    /// Installed packages for which apt offers a newer version: a list of
    /// [`super::PackageUpdate`]. Packages on hold are not in it.
    PackageUpdates,
    /// Whether a reboot is due: a [`super::RebootState`].
    RebootState,
    /// Last entry of the Raft log of a manager that asked for votes: a [`super::RaftPosition`], or
    /// absence.
    RaftPosition,
    /// Properties of one systemd unit, as `systemctl show` prints them: a [`super::UnitState`].
    Unit(String),
    /// An account of the host's user database with all its groups: a [`super::UserState`] or
    /// absence.
    User(String),
    /// A group with its members: a [`super::GroupState`] or absence.
    Group(String),
    /// A kernel parameter as /proc/sys shows it, or absence.
    Sysctl(String),
    /// Content of a registry's directory: each tag of each repository with its digest, or absence
    /// of the directory.
    Catalogue {
        /// Absolute path on the host.
        directory: String,
    },
    /// Amount of data in a directory; directories and the marker of a data volume do not count: a
    /// [`super::DirectoryUsage`], or absence.
    Holding {
        /// Absolute path on the host.
        directory: String,
    },
    /// Other run of `apply` that works on the host, as the transport's text prints it; empty if
    /// there is none.
    OtherRun,
    /// A program on root's PATH; answered by its path or absence.
    Program(String),
    /// A user's own read-only command (`unless`), run by sh as root: its exit status. Read-only by
    /// contract of the playbook.
    Test {
        /// POSIX shell text.
        script: String,
    },
}

/// A read that a Docker Engine answers: always `GET`. Answered by a [`super::DockerAnswer`]; a host
/// without an Engine is an answer, not a failure.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DockerQuery {
    /// `GET path` at an Engine's API: the host's own (`host: None`) or that of another host of the
    /// inventory.
    Get {
        /// Host of the Engine; `None` is the host that asks.
        host: Option<HostName>,
        /// Path without the version prefix, e.g. `/info`.
        path: String,
    },
    /// A registry's object under an image's name, as the host's own Engine reads it
    /// (`GET /distribution/NAME/json`).
    Distribution {
        /// Name with its tag.
        image: String,
        /// Credentials, if the registry requires a login.
        credentials: Option<RegistryCredentials>,
    },
}

/// Shows the question without its group: errors quote it.
impl std::fmt::Debug for Query {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Shell(query) => query.fmt(formatter),
            Self::Docker(query) => query.fmt(formatter),
            Self::Local(source) => source.fmt(formatter),
            Self::Preview(question) => question.fmt(formatter),
            Self::OtherHost { host, query } => write!(formatter, "{query:?} on {host}"),
        }
    }
}

/// Credentials for pulls and pushes. The password is never shown.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegistryCredentials {
    /// The user's name.
    pub username: String,
    /// The password.
    pub password: String,
    /// The registry that they are for: `registry.dream:5001`.
    pub registry: String,
}

impl RegistryCredentials {
    /// The value of the header `X-Registry-Auth`: base64url of JSON, as the Engine's API has it.
    #[must_use]
    pub fn header(&self) -> String {
        use base64ct::Encoding as _;
        let json = serde_json::json!({"username": self.username, "password": self.password, "serveraddress": self.registry});
        base64ct::Base64Url::encode_string(json.to_string().as_bytes())
    }
}

impl std::fmt::Debug for RegistryCredentials {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Credentials({} of {})",
            self.username, self.registry
        )
    }
}

impl Query {
    /// Returns a query for a path without its content.
    #[must_use]
    pub fn path(path: impl Into<String>) -> Self {
        Self::Shell(ShellQuery::path(path))
    }

    /// Returns a query for a path and, if it is a regular file, its content.
    #[must_use]
    pub fn content(path: impl Into<String>) -> Self {
        Self::Shell(ShellQuery::content(path))
    }

    /// Returns a `GET` at the Docker Engine of the asking host.
    #[must_use]
    pub fn docker(path: impl Into<String>) -> Self {
        Self::Docker(DockerQuery::Get {
            host: None,
            path: path.into(),
        })
    }

    /// Returns a `GET` at the Docker Engine of another host of the inventory.
    #[must_use]
    pub fn docker_of(host: HostName, path: impl Into<String>) -> Self {
        Self::Docker(DockerQuery::Get {
            host: Some(host),
            path: path.into(),
        })
    }
}

impl ShellQuery {
    /// Returns a query for a path without its content.
    #[must_use]
    pub fn path(path: impl Into<String>) -> Self {
        Self::Path {
            path: path.into(),
            content: false,
        }
    }

    /// Returns a query for a path and, if it is a regular file, its content.
    #[must_use]
    pub fn content(path: impl Into<String>) -> Self {
        Self::Path {
            path: path.into(),
            content: true,
        }
    }

    /// Returns the same question to another host.
    #[must_use]
    pub fn at(self, host: &HostName) -> Query {
        Query::OtherHost {
            host: host.clone(),
            query: self,
        }
    }
}
