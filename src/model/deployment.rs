//! A stack as data: what the `docker` command is given, what it would write, and what the swarm has now. Contents may be
//! secret: nothing here is shown by `{:?}`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::names::HostName;

/// The label by which all of a stack's objects are known.
pub const STACK_LABEL: &str = "com.docker.stack.namespace";

/// Returns the value of a `label` filter that selects a stack's objects.
#[must_use]
pub fn stack_label(stack: &str) -> String {
    format!("{STACK_LABEL}={stack}")
}

/// What the `docker` command is given to deploy a stack.
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackDeployment {
    /// The stack's name.
    pub name: String,
    /// Compose files in their order, each a key of `files`; never empty.
    pub compose: Vec<String>,
    /// Everything that lies in the command's folder, by relative path.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Variables of the command's environment.
    pub variables: BTreeMap<String, String>,
    /// Remove services that the compose files no longer have.
    pub prune: bool,
    /// When images are looked up at their registry: `always`, `changed` or `never`.
    pub resolve_image: &'static str,
    /// Hand this account's leave at registries to the nodes.
    pub registry_auth: bool,
}

/// A question for a stack; see [`super::Query::Stack`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StackQuestion {
    /// Working managers; the first is asked. None means that there is no swarm yet: an empty one is imagined.
    pub managers: Vec<HostName>,
    /// What would be deployed.
    pub deployment: Arc<StackDeployment>,
}

/// What deploying a stack would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StackAnswer {
    /// The command would do this.
    Previewed(DeployPreview),
    /// The command refuses, in its own words.
    Refused(String),
}

/// What the command would do.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct DeployPreview {
    /// Its writes, in order.
    pub writes: Vec<StackWrite>,
    /// External objects that are not in the swarm, as `secret db_password`.
    pub missing: Vec<String>,
    /// What it printed.
    pub said: String,
}

/// One write to the Engine's API that the command would make.
#[derive(Clone, PartialEq, Eq)]
pub struct StackWrite {
    /// `POST` or `DELETE`.
    pub method: String,
    /// Path and query, without the version.
    pub path: String,
    /// The body, without the data of secrets: of these only the length of their Base64 text, as `DataLength`.
    pub body: Value,
}

/// Deploys a stack: [`super::Operation::Deploy`].
#[derive(Debug, Clone)]
pub struct DeployStack {
    /// The first of these that answers as a manager is written to.
    pub managers: Vec<HostName>,
    /// What is deployed.
    pub deployment: Arc<StackDeployment>,
    /// Limit of time for the command.
    pub timeout: Duration,
}

/// Waits until a stack's services run as they should: [`super::Operation::Converge`].
#[derive(Debug, Clone)]
pub struct WaitForConvergence {
    /// The first of these that answers as a manager is asked.
    pub managers: Vec<HostName>,
    /// The stack's name.
    pub name: String,
    /// Limit of time.
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
    fn no_content_reaches_a_log() {
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
