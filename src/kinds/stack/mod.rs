//! `stack`: services, networks, secrets and configs of compose files, deployed by the `docker`
//! command of this machine. The command's writes are recorded without being performed, and compared
//! with the state of the swarm: the plan is exact.

mod absent;
mod compose_paths;
mod data;
mod display;
mod explain;
mod interpolation;
mod live;
mod objects;
mod plan;
mod ports;
mod running;
mod service;
mod specification;
mod whole_object;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;

use self::compose_paths::ComposePaths;
pub use self::live::LiveStack;
use super::DesiredState;
use super::cluster::{ClusterSite, ClusterState, default_managers};
use crate::model::{
    Change, HostAnswers, HostContext, InvalidField, Observation, ProbeError, Query, Refusal,
    ResourceKind, ResourceScope, StackAnswer, StackDeployment, StackQuestion,
};

/// A stack.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StackResource {
    /// Name of the stack: the first part of its objects' names.
    name: String,
    /// Compose files beside the playbook, used verbatim.
    #[serde(default)]
    sources: Vec<String>,
    /// Compose files below `templates/`, rendered; they come after `sources`, and each file
    /// overrides the preceding files.
    #[serde(default)]
    templates: Vec<String>,
    /// Files that the compose files name (`env_file`, secrets, configs), used verbatim.
    #[serde(default)]
    files: Vec<String>,
    /// Files below `templates/` that the compose files name, rendered.
    #[serde(default)]
    file_templates: Vec<String>,
    /// Variables for `${NAME}` in the compose files, which do not see this machine's environment.
    #[serde(default)]
    variables: BTreeMap<String, toml::Value>,
    /// Remove services that the compose files no longer have. Default `false`, as with `docker
    /// stack deploy`.
    #[serde(default)]
    prune: bool,
    /// Time of resolving an image at its registry. Default `changed`.
    #[serde(default)]
    resolve_image: ResolveImage,
    /// Pass this account's registry credentials (`docker login`) to the nodes. Default `false`.
    #[serde(default)]
    registry_auth: bool,
    /// Wait for stack convergence: until every service runs as declared. Default `true`.
    #[serde(default = "yes")]
    wait: bool,
    /// Time limit of the wait, e.g. `90s` or `5m`. Default `5m`.
    #[serde(default = "default_timeout")]
    timeout: String,
    /// Group whose hosts manage the swarm. Default `managers`.
    #[serde(default = "default_managers")]
    managers: String,
    /// `present` (default) or `absent`.
    #[serde(default)]
    state: DesiredState,
    #[serde(skip)]
    limit: Duration,
    #[serde(skip)]
    site: ClusterSite,
    #[serde(skip)]
    hosts: data::InventoryHosts,
    #[serde(skip)]
    deployment: Option<Arc<StackDeployment>>,
}

/// See [`StackResource::resolve_image`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ResolveImage {
    /// Resolve images at every deploy: a tag that was moved at the registry is a difference.
    Always,
    /// Resolve an image when the compose files name another image than before.
    #[default]
    Changed,
    /// Never resolve images: each node pulls the image that the tag names at that moment.
    Never,
}

fn yes() -> bool {
    true
}

fn default_timeout() -> String {
    "5m".into()
}

impl ResourceKind for StackResource {
    const NAME: &'static str = "stack";
    const SCOPE: ResourceScope = ResourceScope::Cluster;
    type Observed = StackState;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        check_name(&self.name)?;
        self.limit = humantime::parse_duration(&self.timeout).map_err(|error| {
            InvalidField::new(
                "timeout",
                format!("`{}` is not a duration: {error}", self.timeout),
            )
            .hint("for example \"5m\"")
        })?;
        self.site = ClusterSite::of(context, &self.managers)?;
        if self.state == DesiredState::Absent {
            return Ok(());
        }
        self.hosts = data::InventoryHosts::of(context);
        if self.sources.is_empty() && self.templates.is_empty() {
            return Err(InvalidField::new("sources", "no compose file is given")
                .hint("name a file in `sources` (used verbatim) or `templates` (rendered)"));
        }
        self.deployment = Some(Arc::new(self.deployment(context)?));
        Ok(())
    }

    // The preview of a deploy costs a run of the command; `observe` queries it only when it is
    // needed.
    fn queries(&self) -> Vec<Query> {
        self.site.queries(&LiveStack::paths(&self.name))
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let mut found =
            match self
                .site
                .observe(&LiveStack::paths(&self.name), answers, LiveStack::read)?
            {
                Observation::Needs(queries) => return Ok(Observation::Needs(queries)),
                Observation::Known(found) => found,
            };
        let managers = match (&found, &self.deployment) {
            (ClusterState::Refused(_), _) | (_, None) => {
                return Ok(Observation::Known(StackState {
                    found,
                    preview: None,
                    data: Vec::new(),
                }));
            }
            (ClusterState::NoSwarm, _) => Vec::new(),
            (ClusterState::Live(_, managers), _) => managers.clone(),
        };
        let deployment = self.deployment.clone().unwrap_or_default();
        let question = StackQuestion {
            managers,
            deployment,
        };
        let query = Query::Preview(question.clone());
        let mut needs = if answers.contains(&query) {
            Vec::new()
        } else {
            vec![query]
        };
        if matches!(&found, ClusterState::Live(live, _) if live.has_lost_a_node()) {
            match self.site.observe(
                &LiveStack::paths_with_tasks(&self.name),
                answers,
                LiveStack::read,
            )? {
                Observation::Known(with_tasks) => found = with_tasks,
                Observation::Needs(more) => needs.extend(more),
            }
        }
        if !needs.is_empty() {
            return Ok(Observation::Needs(needs));
        }
        let preview = answers.stack(&question)?.clone();
        let data = match (&found, &preview) {
            // Disks are read only when there is something to deploy.
            (ClusterState::Live(live, managers), StackAnswer::Previewed(writes))
                if plan::deploys(self, (live, managers), &preview) =>
            {
                match data::look(live, writes, &self.hosts, answers) {
                    Ok(findings) => findings,
                    Err(needs) => return Ok(Observation::Needs(needs)),
                }
            }
            _ => Vec::new(),
        };
        Ok(Observation::Known(StackState {
            found,
            preview: Some(preview),
            data,
        }))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        match &observed.found {
            ClusterState::Refused(refusal) => Err(refusal.clone()),
            ClusterState::Live(live, managers) if self.state == DesiredState::Absent => {
                Ok(absent::plan(self, live, managers))
            }
            ClusterState::Live(live, managers) => plan::plan(
                self,
                Some((live, managers)),
                observed.preview.as_ref(),
                &observed.data,
            ),
            ClusterState::NoSwarm => plan::plan(self, None, observed.preview.as_ref(), &[]),
        }
    }
}

/// State of the swarm, and the effect that a deploy would have.
#[derive(Debug, Clone, PartialEq)]
pub struct StackState {
    found: ClusterState<LiveStack>,
    /// Preview of the deploy; `None` when there is nothing to deploy.
    preview: Option<StackAnswer>,
    /// Findings about the data that the stack needs.
    data: Vec<data::VolumeFinding>,
}

impl StackResource {
    fn deployment(&self, context: &HostContext<'_>) -> Result<StackDeployment, InvalidField> {
        let mut files = BTreeMap::new();
        let mut compose: Vec<String> = Vec::new();
        let add =
            |files: &mut BTreeMap<String, Vec<u8>>, field: &str, name: &str, content: Vec<u8>| {
                let parts = Path::new(name).components();
                if !parts
                    .into_iter()
                    .all(|part| matches!(part, std::path::Component::Normal(_)))
                {
                    return Err(InvalidField::new(
                        field,
                        format!("`{name}` points outside the folder of the stack"),
                    )
                    .hint("name files by paths without `..`"));
                }
                match files.insert(name.to_owned(), content) {
                    None => Ok(()),
                    Some(_) => Err(InvalidField::new(field, format!("`{name}` is named twice"))
                        .hint("name it once")),
                }
            };
        for name in &self.sources {
            add(&mut files, "sources", name, context.files.source(name)?)?;
            compose.push(name.clone());
        }
        for name in &self.templates {
            add(
                &mut files,
                "templates",
                name,
                context.files.template(name)?.into_bytes(),
            )?;
            compose.push(name.clone());
        }
        for name in &self.files {
            add(&mut files, "files", name, context.files.source(name)?)?;
        }
        for name in &self.file_templates {
            add(
                &mut files,
                "file_templates",
                name,
                context.files.template(name)?.into_bytes(),
            )?;
        }
        let variables = self.variables()?;
        let base = compose.first().and_then(|name| Path::new(name).parent());
        let paths = ComposePaths {
            files: &files,
            variables: &variables,
            base: base.unwrap_or(Path::new("")).to_path_buf(),
        };
        for name in &self.sources {
            paths.check("sources", name)?;
        }
        for name in &self.templates {
            paths.check("templates", name)?;
        }
        Ok(StackDeployment {
            name: self.name.clone(),
            compose,
            files,
            variables,
            prune: self.prune,
            resolve_image: match self.resolve_image {
                ResolveImage::Always => "always",
                ResolveImage::Changed => "changed",
                ResolveImage::Never => "never",
            },
            registry_auth: self.registry_auth,
        })
    }

    fn variables(&self) -> Result<BTreeMap<String, String>, InvalidField> {
        let mut variables = BTreeMap::new();
        for (name, value) in &self.variables {
            let usable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
            let reserved = name.starts_with("DOCKER_") || matches!(name.as_str(), "PATH" | "HOME");
            if name.is_empty() || !name.bytes().all(usable) || reserved {
                return Err(InvalidField::new(
                    "variables",
                    format!("`{name}` cannot be a variable of the compose files"),
                )
                .hint(
                    "use letters, digits and `_`; PATH, HOME and DOCKER_... belong to the command",
                ));
            }
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Boolean(value) => value.to_string(),
                toml::Value::Integer(value) => value.to_string(),
                toml::Value::Float(value) => value.to_string(),
                other => {
                    return Err(InvalidField::new(
                        "variables",
                        format!("`{name}` is of type {}", other.type_str()),
                    )
                    .hint("a variable is text or a number"));
                }
            };
            if text.contains('\0') {
                return Err(InvalidField::new(
                    "variables",
                    format!("`{name}` contains a NUL byte"),
                ));
            }
            variables.insert(name.clone(), text);
        }
        Ok(variables)
    }
}

/// Checks the name of a stack. The command accepts more, but the name is part of host names in the
/// stack's networks and of filters.
fn check_name(name: &str) -> Result<(), InvalidField> {
    let usable = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if name.len() <= 60
        && name.bytes().all(usable)
        && name.starts_with(|first: char| first.is_ascii_alphanumeric())
    {
        return Ok(());
    }
    Err(
        InvalidField::new("name", format!("`{name}` cannot be the name of a stack"))
            .hint("use letters, digits, `-` and `_`, at most 60, a letter or digit first"),
    )
}

#[cfg(test)]
mod tests;
