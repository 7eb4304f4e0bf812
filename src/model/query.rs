//! What can be asked of a host. `Query` is a closed list of reads: no query can change a host, by type.
//!
//! The engine turns the queries of a host into one script (`runner::gather`) and Engine API reads; it removes doubles,
//! so a kind simply names all that it must know.

use super::ValueSource;
use crate::names::HostName;

/// One read-only question to a host or to an Engine.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Query {
    /// Release, architecture, addresses: what is true of the host as a whole. Answered by [`super::HostFacts`].
    Facts,
    /// One path (not followed when it is a link): type, owner, group, mode, size, modification time, link target.
    /// Answered by [`super::PathState`] or absence.
    Path {
        /// Absolute path on the host.
        path: String,
        /// Also read the content of a regular file, up to [`super::CONTENT_LIMIT`] bytes.
        content: bool,
    },
    /// Every apt source file below /etc/apt (one-line lists and deb822), with content: a list of [`super::AptSourceFile`].
    AptSources,
    /// Names of the signed indexes that apt has fetched (below /var/lib/apt/lists). All of them: which one a repository has hangs
    /// on facts, and a question that waits for those costs an exec more.
    AptLists,
    /// State of one Debian package in dpkg's database: a [`super::PackageState`] (absence is a state).
    Package(String),
    /// Versions of a package that apt could install, highest first, each as apt prints it. Empty when apt knows none.
    PackageVersions(String),
    /// What `apt-get --simulate` says it would do for these literal arguments (`docker-ce=5:28*`, `docker.io-`).
    AptSimulation {
        /// Arguments behind `apt-get --simulate install`.
        arguments: Vec<String>,
    },
    /// Whether dpkg was interrupted half-way (`dpkg --audit`, pending updates): a list of complaints, empty when sound.
    DpkgAudit,
    /// Properties of one systemd unit, as `systemctl show` prints them: a [`super::UnitState`].
    Unit(String),
    /// One account of the host's user database with all its groups: a [`super::UserState`] or absence.
    User(String),
    /// One group with its members: a [`super::GroupState`] or absence.
    Group(String),
    /// A kernel parameter as /proc/sys shows it, or absence.
    Sysctl(String),
    /// What a registry's directory holds: each tag of each repository with its digest, or absence of the directory.
    Catalogue {
        /// Absolute path on the host.
        directory: String,
    },
    /// How much a directory holds, the marker of a data volume and directories not counted: a [`super::DirectoryUsage`], or absence.
    Holding {
        /// Absolute path on the host.
        directory: String,
    },
    /// A question about paths that another host of the inventory is to answer; by the answer to the question itself. A host that
    /// cannot be read is [`super::ProbeError::Elsewhere`].
    At {
        /// Who is asked.
        host: HostName,
        /// What is asked; not an Engine's read, and not another such question.
        query: Box<Query>,
    },
    /// Whether a program is on root's PATH; answered by its path or absence.
    Program(String),
    /// A user's own read-only command (`unless`), run by sh as root: its exit status. Read-only by contract of the playbook.
    Test {
        /// POSIX shell text.
        script: String,
    },
    /// A value of the operator's machine, read once a run. Answered by [`super::SecretBytes`].
    Value(ValueSource),
    /// `GET path` at an Engine's API: the host's own (`host: None`) or that of another host of the inventory.
    /// Answered by an [`super::DockerAnswer`]; a host without an Engine is an answer, not a failure.
    DockerApi {
        /// Whose Engine; `None` is the host that asks.
        host: Option<HostName>,
        /// Path without the version prefix, e.g. `/info`.
        path: String,
    },
    /// What a registry has under an image's name, as the host's own Engine sees it (`GET /distribution/NAME/json`). Answered by an
    /// [`super::DockerAnswer`].
    Distribution {
        /// Name with its tag.
        image: String,
        /// Who asks, where the registry knows its users.
        credentials: Option<RegistryCredentials>,
    },
    /// What the swarm has of a stack, and what deploying it would do: the `docker` command of this machine is run against a gate
    /// that passes reads to a manager and only records writes. Answered by a [`super::StackAnswer`].
    Stack(super::StackQuestion),
}

/// Who pulls and pushes. The password is never shown.
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
    /// A query for a path without its content.
    #[must_use]
    pub fn path(path: impl Into<String>) -> Self {
        Self::Path {
            path: path.into(),
            content: false,
        }
    }

    /// A query for a path and, when it is a regular file, its content.
    #[must_use]
    pub fn content(path: impl Into<String>) -> Self {
        Self::Path {
            path: path.into(),
            content: true,
        }
    }

    /// The same question to another host.
    #[must_use]
    pub fn at(self, host: &HostName) -> Self {
        Self::At {
            host: host.clone(),
            query: Box::new(self),
        }
    }

    /// A `GET` at the asking host's own Engine.
    #[must_use]
    pub fn engine(path: impl Into<String>) -> Self {
        Self::DockerApi {
            host: None,
            path: path.into(),
        }
    }

    /// A `GET` at the Engine of another host of the inventory.
    #[must_use]
    pub fn docker_of(host: HostName, path: impl Into<String>) -> Self {
        Self::DockerApi {
            host: Some(host),
            path: path.into(),
        }
    }
}
