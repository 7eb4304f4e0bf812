//! Concrete steps of a change. Only the runner performs them (`runner::perform`), and only in
//! `apply`.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::{DeployStack, RegistryCredentials, WaitForConvergence};
use crate::base::path_script;
use crate::names::HostName;

/// Default time limit of a step: two minutes.
pub const STEP_TIMEOUT: Duration = Duration::from_secs(120);

/// A concrete step, with the summary that is shown while it runs.
#[derive(Debug, Clone)]
pub struct Step {
    /// Summary in the imperative and without secrets: `install docker-ce`.
    pub summary: String,
    /// Operation to perform.
    pub act: Operation,
}

/// Operation of a step.
#[derive(Clone)]
pub enum Operation {
    /// Runs POSIX sh text as root on the host (or as `user`). Values never become shell text: they
    /// are passed as the positional parameters `$1`, `$2`, ... or as standard input. The shell
    /// starts with `set -eu`, `LC_ALL=C.UTF-8` and `umask 022`. A status other than 0 fails the
    /// step, and its stderr is shown.
    Script(RunScript),
    /// Writes a file: writes it in a private folder beside its place, sets owner and mode, syncs,
    /// and renames it over the old file.
    WriteFile(WriteFile),
    /// Calls an Engine's API.
    DockerApi(DockerCall),
    /// Sends the host's own Engine an image to build, load or push, and reads its progress
    /// messages.
    Image(ImageCall),
    /// Polls an Engine until a field has a value.
    Wait(WaitForValue),
    /// Deploys a stack: runs the `docker` command of this machine against a proxy that forwards
    /// writes.
    Deploy(DeployStack),
    /// Waits for stack convergence, and fails as soon as it is known that the stack will not
    /// converge.
    Converge(WaitForConvergence),
    /// Placeholder for a step whose prerequisite an earlier resource of the playbook may create. If
    /// the prerequisite is still missing when the step runs, the step fails with this message and
    /// does nothing.
    Blocked {
        /// Missing prerequisite, in one sentence.
        why: String,
        /// Remedy to try.
        hint: String,
    },
    /// Placeholder in a forecast for a step whose arguments are known only after an earlier
    /// resource, usually `swarm_member`. If they are still not known when the step runs, it fails
    /// and does nothing.
    KnownAfterApply,
}

/// See [`Operation::Script`].
#[derive(Clone)]
pub struct RunScript {
    /// POSIX sh text, static if possible.
    pub script: Cow<'static, str>,
    /// Positional parameters.
    pub arguments: Vec<String>,
    /// Standard input.
    pub stdin: Vec<u8>,
    /// Account that runs the script instead of root, in a fresh session (`runuser -u`), so that new
    /// group memberships apply.
    pub user: Option<String>,
    /// Time limit, after which the command and its children are terminated on the host.
    pub timeout: Duration,
}

/// See [`Operation::WriteFile`].
#[derive(Clone)]
pub struct WriteFile {
    /// Absolute path.
    pub path: String,
    /// Whole content; never logged.
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
    /// Candidates; the first one whose Engine answers as a manager of a swarm gets the call. Empty
    /// means the host's own Engine, whatever its role.
    pub managers: Vec<HostName>,
    /// `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Path with query string, without the version prefix.
    pub path: String,
    /// JSON body.
    pub body: Option<serde_json::Value>,
    /// Deferred values, read at the moment of the call and set in the body.
    pub late: Vec<DeferredValue>,
    /// Value that is generated at the moment of the call and set in the body.
    pub made: GeneratedValue,
    /// Time limit.
    pub timeout: Duration,
}

/// See [`Operation::Image`]: a `POST` whose answer is a stream of JSON messages, one of which may
/// be an error.
#[derive(Clone)]
pub struct ImageCall {
    /// Path with query string, without the version prefix.
    pub path: String,
    /// Tar archive, or empty.
    pub archive: Arc<[u8]>,
    /// Credentials for the registry, if it requires a login.
    pub credentials: Option<RegistryCredentials>,
    /// Time limit.
    pub timeout: Duration,
}

/// A value that no plan can hold because it is random or needs data that only a live manager has.
#[derive(Clone, Debug, Default)]
pub enum GeneratedValue {
    /// No value.
    #[default]
    Nothing,
    /// 32 random bytes in Base64.
    RandomKey {
        /// JSON pointer into the body where the key is set.
        into: String,
    },
    /// The keyed digest of a secret.
    KeyedDigest(KeyedDigest),
}

/// See [`GeneratedValue::KeyedDigest`].
#[derive(Clone, Debug)]
pub struct KeyedDigest {
    /// Candidates; the first one that answers provides the key.
    pub managers: Vec<HostName>,
    /// Path of the `GET` that returns the key.
    pub path: String,
    /// JSON pointer into the answer to the key, in Base64.
    pub pointer: String,
    /// Name that goes into the digest.
    pub name: String,
    /// Content that is digested.
    pub content: super::SecretBytes,
    /// JSON pointer into the body where the digest is set.
    pub into: String,
}

/// A value that is read from another host's Engine at apply time, and never stored or shown.
#[derive(Clone, Debug)]
pub struct DeferredValue {
    /// Candidates; the first one that answers provides the value.
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
    /// Candidates; the first one whose Engine answers is polled. Empty means the host's own Engine.
    pub managers: Vec<HostName>,
    /// Path of the `GET`.
    pub path: String,
    /// JSON pointer into the answer; a field that the Engine leaves out reads as null.
    pub pointer: String,
    /// Value that ends the wait.
    pub equals: serde_json::Value,
    /// Time limit; the step fails when it is exceeded.
    pub deadline: Duration,
}

impl WriteFile {
    /// Returns the script that replaces the file in one move, and its arguments. Its standard input
    /// is the content. `src/base/safe_paths/path_steps.sh` has the function.
    #[must_use]
    pub fn script(&self) -> (String, Vec<String>) {
        let arguments = vec![
            self.path.clone(),
            format!("{}:{}", self.owner, self.group),
            format!("{:04o}", self.mode),
            self.content.len().to_string(),
        ];
        (path_script("write_file \"$@\"\n"), arguments)
    }
}

impl Step {
    /// Makes a step that runs a static script with literal parameters.
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

    /// Sets standard input (script steps only; other steps are returned unchanged).
    #[must_use]
    pub fn with_stdin(mut self, content: impl Into<Vec<u8>>) -> Self {
        if let Operation::Script(script) = &mut self.act {
            script.stdin = content.into();
        }
        self
    }

    /// Sets another time limit (script steps only).
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        if let Operation::Script(script) = &mut self.act {
            script.timeout = timeout;
        }
        self
    }

    /// Makes a step whose arguments become known only while applying.
    pub fn known_after_apply(summary: impl Into<String>) -> Self {
        Self {
            summary: summary.into(),
            act: Operation::KnownAfterApply,
        }
    }
}

// Not derived: contents, bodies and standard input may be secret and must not reach a log through
// `{:?}`.
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
