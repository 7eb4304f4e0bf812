//! Concrete acts. Only the engine performs them (`runner::perform`), and only in `apply`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::{DeployStack, RegistryCredentials, WaitForConvergence};
use crate::names::HostName;

/// Time that a step may take when it does not say otherwise: two minutes.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(120);

/// One concrete act, with the words that people see while it runs.
#[derive(Debug, Clone)]
pub struct Step {
    /// What is done, in the imperative and without secrets: `install docker-ce`.
    pub summary: String,
    /// The act itself.
    pub act: Operation,
}

/// What a step does.
#[derive(Clone)]
pub enum Operation {
    /// Runs POSIX sh text as root on the host (or as `user`). Values never become shell text: they are the literal positional
    /// parameters `$1`, `$2`, ... or standard input. The shell starts with `set -eu`, `LC_ALL=C.UTF-8` and `umask 022`.
    /// A status other than 0 fails the step; its stderr is shown.
    Script(RunScript),
    /// Writes a file: to a temporary name in the same folder, owner and mode set, synced, renamed over the old one.
    WriteFile(WriteFile),
    /// Calls an Engine's API.
    DockerApi(DockerCall),
    /// Sends the host's own Engine an image to build, load or push, and reads what it says while it works.
    Image(ImageCall),
    /// Asks an Engine again and again until a field has a value.
    Wait(WaitForValue),
    /// Deploys a stack: the `docker` command of this machine, through a gate that lets writes through.
    Deploy(DeployStack),
    /// Waits until a stack's services run as they should, or until it is known that they will not.
    Converge(WaitForConvergence),
    /// Stands in a forecast for an act that lacks something, which an earlier resource of the playbook may make. Where it is still
    /// missing when its turn comes, it fails with these words: nothing was done.
    Blocked {
        /// What is missing, in one sentence.
        why: String,
        /// What to try.
        hint: String,
    },
    /// Stands in a forecast for an act whose arguments are not known yet; performing it is a defect.
    KnownAfterApply,
}

/// See [`Operation::Script`].
#[derive(Clone)]
pub struct RunScript {
    /// POSIX sh text, static wherever it can be.
    pub script: Cow<'static, str>,
    /// Positional parameters.
    pub arguments: Vec<String>,
    /// Standard input.
    pub stdin: Vec<u8>,
    /// The account that runs it instead of root, in a fresh session (`runuser -u`), so that new groups count.
    pub user: Option<String>,
    /// Limit of time, after which the command is ended on the host, with its children.
    pub timeout: Duration,
}

/// See [`Operation::WriteFile`].
#[derive(Clone)]
pub struct WriteFile {
    /// Absolute path.
    pub path: String,
    /// All of the content; never logged.
    pub content: Vec<u8>,
    /// Owner, by name or number.
    pub owner: String,
    /// Group, by name or number.
    pub group: String,
    /// Permission bits.
    pub mode: u32,
}

/// See [`Operation::DockerApi`].
#[derive(Clone)]
pub struct DockerCall {
    /// Whose Engine: the first of these that answers as a manager of a swarm; empty means the host's own, whatever it is.
    pub managers: Vec<HostName>,
    /// `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Path with query string, without the version prefix.
    pub path: String,
    /// JSON body.
    pub body: Option<serde_json::Value>,
    /// Values that are read at the moment of the call and set in the body.
    pub late: Vec<DeferredValue>,
    /// A value that is made at the moment of the call and set in the body.
    pub made: GeneratedValue,
    /// Limit of time.
    pub timeout: Duration,
}

/// See [`Operation::Image`]: a `POST` that is answered by a stream of JSON messages, of which one may be an error.
#[derive(Clone)]
pub struct ImageCall {
    /// Path with query string, without the version prefix.
    pub path: String,
    /// A tar, or nothing.
    pub archive: Arc<[u8]>,
    /// Who pushes, where the registry knows its users.
    pub credentials: Option<RegistryCredentials>,
    /// Limit of time.
    pub timeout: Duration,
}

/// A value that no plan can hold, because it is random or needs what only a live manager has.
#[derive(Clone, Debug, Default)]
pub enum GeneratedValue {
    /// None.
    #[default]
    Nothing,
    /// 32 random bytes in Base64.
    RandomKey {
        /// JSON pointer into the body where they are set.
        into: String,
    },
    /// The keyed digest of a secret.
    KeyedDigest(KeyedDigest),
}

/// See [`GeneratedValue::KeyedDigest`].
#[derive(Clone, Debug)]
pub struct KeyedDigest {
    /// The first of these that answers gives the key.
    pub managers: Vec<HostName>,
    /// Path of the `GET` that gives it.
    pub path: String,
    /// JSON pointer into the answer: the key in Base64.
    pub pointer: String,
    /// Name that goes into the digest.
    pub name: String,
    /// What it is the digest of.
    pub content: super::SecretBytes,
    /// JSON pointer into the body where the digest is set.
    pub into: String,
}

/// A value that is read from another host's Engine at apply time, and never kept, shown or written down.
#[derive(Clone, Debug)]
pub struct DeferredValue {
    /// The first of these that answers gives the value.
    pub hosts: Vec<HostName>,
    /// Path of the `GET`, e.g. `/swarm`.
    pub path: String,
    /// JSON pointer into the answer (RFC 6901), e.g. `/JoinTokens/Worker`.
    pub pointer: String,
    /// JSON pointer into the body where the value is set, e.g. `/JoinToken`.
    pub into: String,
}

/// See [`Operation::Wait`].
#[derive(Clone, Debug)]
pub struct WaitForValue {
    /// Whose Engine: the first of these that answers; empty means the host's own.
    pub managers: Vec<HostName>,
    /// Path of the `GET`.
    pub path: String,
    /// JSON pointer into the answer; where it points to nothing (a field that the Engine leaves out), it reads as null.
    pub pointer: String,
    /// The value that ends the waiting.
    pub equals: serde_json::Value,
    /// Limit of time; passing it fails the step.
    pub deadline: Duration,
}

impl Step {
    /// A step that runs a static script with literal parameters.
    pub fn script<A: Into<String>>(
        summary: impl Into<String>,
        script: impl Into<Cow<'static, str>>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            summary: summary.into(),
            act: Operation::Script(RunScript {
                script: script.into(),
                arguments: arguments.into_iter().map(Into::into).collect(),
                stdin: Vec::new(),
                user: None,
                timeout: STEP_TIMEOUT,
            }),
        }
    }

    /// The same step with standard input (script steps only; others are returned as they are).
    #[must_use]
    pub fn with_stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        if let Operation::Script(script) = &mut self.act {
            script.stdin = content.into();
        }
        self
    }

    /// The same step with another limit of time (script steps only).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        if let Operation::Script(script) = &mut self.act {
            script.timeout = timeout;
        }
        self
    }

    /// A step whose arguments are learnt while applying.
    pub fn known_after_apply(summary: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            act: Operation::KnownAfterApply,
        }
    }
}

// By hand: contents, bodies and standard input may be secret and must not reach a log through `{:?}`.
impl std::fmt::Debug for Operation {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Script(script) => {
                write!(
                    formatter,
                    "Script({:?}, {} bytes of stdin)",
                    script.arguments,
                    script.stdin.len()
                )
            }
            Self::WriteFile(file) => write!(
                formatter,
                "WriteFile({:?}, {} bytes)",
                file.path,
                file.content.len()
            ),
            Self::DockerApi(call) => write!(formatter, "Engine({} {})", call.method, call.path),
            Self::Image(call) => write!(
                formatter,
                "Image({}, {} bytes)",
                call.path,
                call.archive.len()
            ),
            Self::Wait(wait) => write!(formatter, "Wait({} {})", wait.path, wait.pointer),
            Self::Deploy(deploy) => write!(formatter, "Deploy({:?})", deploy.deployment),
            Self::Converge(converge) => write!(formatter, "Converge({})", converge.name),
            Self::Blocked { why, .. } => write!(formatter, "Blocked({why})"),
            Self::KnownAfterApply => formatter.write_str("KnownAfterApply"),
        }
    }
}
