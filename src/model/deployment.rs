//! A stack as data: the input of the `docker` command and the writes that it would make. Contents
//! may be secret, so `{:?}` never shows them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::names::HostName;

/// Label that all objects of a stack have; its value is the stack's name.
pub const STACK_LABEL: &str = "com.docker.stack.namespace";

/// Returns the value of a `label` filter that selects a stack's objects.
#[must_use]
pub fn stack_label(stack: &str) -> String {
    format!("{STACK_LABEL}={stack}")
}

/// Input of the `docker` command that deploys a stack.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackDeployment {
    /// Name of the stack.
    pub name: String,
    /// Compose files in order, each a key of `files`; never empty.
    pub compose: Vec<String>,
    /// Files in the command's working folder, by relative path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Variables of the command's environment.
    pub variables: BTreeMap<String, String>,
    /// Remove services that the compose files no longer define.
    pub prune: bool,
    /// Policy for resolving image digests at the registry: `always`, `changed` or `never`.
    pub resolve_image: &'static str,
    /// Pass this account's registry credentials on to the nodes.
    pub registry_auth: bool,
}

/// Asks for the preview of a stack; see [`super::Query::Preview`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackQuestion {
    /// Working managers; the first one is queried. An empty list means that there is no swarm yet:
    /// an empty swarm is assumed.
    pub managers: Vec<HostName>,
    /// Deployment to preview.
    pub deployment: Arc<StackDeployment>,
}

/// Answer to a [`StackQuestion`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackAnswer {
    /// The command would make these writes.
    Previewed(DeployPreview),
    /// The command refuses; its own message.
    Refused(String),
}

/// Result of a previewed deployment.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DeployPreview {
    /// Writes that the command would make, in order.
    pub writes: Vec<StackWrite>,
    /// External objects that the swarm does not have, e.g. `secret db_password`.
    pub missing: Vec<String>,
    /// Output of the command.
    pub said: String,
}

/// A write to the Engine's API that the command would make.
#[derive(Clone, PartialEq, Eq)]
pub struct StackWrite {
    /// `POST` or `DELETE`.
    pub method: String,
    /// Path and query string, without the version prefix.
    pub path: String,
    /// Body without the data of secrets; `DataLength` is the length of their Base64 text.
    pub body: Value,
}

/// Deploys a stack: [`super::Operation::Deploy`].
#[derive(Debug, Clone)]
pub struct DeployStack {
    /// Candidates; the first one that answers as a manager gets the writes.
    pub managers: Vec<HostName>,
    /// Deployment to perform.
    pub deployment: Arc<StackDeployment>,
    /// Time limit for the command.
    pub timeout: Duration,
}

/// Waits for stack convergence: [`super::Operation::Converge`].
#[derive(Debug, Clone)]
pub struct WaitForConvergence {
    /// Candidates; the first one that answers as a manager is queried.
    pub managers: Vec<HostName>,
    /// Name of the stack.
    pub name: String,
    /// Time limit.
    pub deadline: Duration,
}

impl std::fmt::Debug for StackDeployment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Deployment({}, {} files, {} variables)",
            self.name,
            self.files.len(),
            self.variables.len()
        )
    }
}

impl std::fmt::Debug for DeployPreview {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "Preview({} writes, missing {:?})",
            self.writes.len(),
            self.missing
        )
    }
}

impl std::fmt::Debug for StackWrite {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}", self.method, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_shows_no_content() {
        let deployment = StackDeployment {
            name: "web".into(),
            files: [("web.env".to_owned(), b"PASSWORD=hunter2".to_vec())].into(),
            variables: [("TOKEN".to_owned(), "hunter2".to_owned())].into(),
            ..StackDeployment::default()
        };
        let question = StackQuestion {
            managers: vec![],
            deployment: Arc::new(deployment),
        };
        let write = StackWrite {
            method: "POST".into(),
            path: "/x".into(),
            body: "hunter2".into(),
        };
        let preview = DeployPreview {
            writes: vec![write.clone()],
            said: "hunter2".into(),
            ..DeployPreview::default()
        };
        let text = format!("{question:?}{write:?}{preview:?}");
        assert!(text.contains("web") && !text.contains("hunter2"), "{text}");
    }
}
