//! `config`: a config of the swarm, in versions. The Engine returns the content of a config, and
//! skep compares the content itself and shows a difference as a diff.

use serde::Deserialize;

use super::DesiredState;
use super::cluster::{ClusterSite, ClusterState, check_object_name, default_managers};
use super::versions::{ObjectKind, ObjectVersions, create, default_keep, remove};
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, ProbeError,
    Query, Refusal, ResourceKind, ResourceScope, SecretBytes, Step,
};

/// Largest content that every supported Engine accepts, in bytes (500 KiB).
const LIMIT: usize = 500 * 1024;

/// A config of the swarm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigResource {
    /// Name of the config; the swarm's objects are `NAME-1`, `NAME-2`, ...
    name: String,
    /// Content as text. Exactly one of `content`, `template` and `source` is required.
    content: Option<String>,
    /// Template below `templates/`.
    template: Option<String>,
    /// File beside the playbook, taken byte for byte.
    source: Option<String>,
    /// Number of old versions that are kept beside the current version. Default 1.
    #[serde(default = "default_keep")]
    keep: usize,
    /// `"present"` (default) or `"absent"`.
    #[serde(default)]
    state: DesiredState,
    /// Group whose hosts manage the swarm. Default `managers`.
    #[serde(default = "default_managers")]
    managers: String,
    #[serde(skip)]
    site: ClusterSite,
    #[serde(skip)]
    wanted: Vec<u8>,
}

impl ResourceKind for ConfigResource {
    const NAME: &'static str = "config";
    const SCOPE: ResourceScope = ResourceScope::Cluster;
    type Observed = ClusterState<ObjectVersions>;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        // The Engine allows 64 characters, and the version number uses some of them.
        check_object_name("name", &self.name, 56)?;
        self.site = ClusterSite::of(context, &self.managers)?;
        let given = [&self.content, &self.template, &self.source]
            .into_iter()
            .flatten()
            .count();
        if self.state == DesiredState::Absent {
            return match given {
                0 => Ok(()),
                _ => Err(InvalidField::new(
                    "state",
                    "a config with state = \"absent\" has no content",
                )),
            };
        }
        self.wanted = match (self.content.take(), &self.template, &self.source) {
            (Some(content), None, None) => content.into_bytes(),
            (None, Some(template), None) => context.files.template(template)?.into_bytes(),
            (None, None, Some(source)) => context.files.source(source)?,
            _ => {
                return Err(InvalidField::new(
                    "content",
                    format!("a config has one content, but {given} are given"),
                )
                .hint("give exactly one of `content`, `template` and `source`"));
            }
        };
        match self.wanted.len() {
            0 => Err(InvalidField::new(
                "content",
                "the content is empty, but a config must have content",
            )),
            bytes if bytes > LIMIT => Err(InvalidField::new(
                "content",
                format!("the content has {bytes} bytes, but a config may have at most {LIMIT}"),
            )),
            _ => Ok(()),
        }
    }

    fn queries(&self) -> Vec<Query> {
        self.site.queries(&ObjectKind::Config.paths(&self.name))
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let read = |bodies: &[serde_json::Value]| {
            ObjectVersions::read(ObjectKind::Config, &self.name, bodies)
        };
        self.site
            .observe(&ObjectKind::Config.paths(&self.name), answers, read)
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        let versions = match observed {
            ClusterState::Refused(refusal) => return Err(refusal.clone()),
            ClusterState::NoSwarm if self.state == DesiredState::Absent => return Ok(None),
            ClusterState::NoSwarm => {
                let step = Step::known_after_apply(format!(
                    "create config {}-1, once there is a swarm",
                    self.name
                ));
                return Ok(Some(self.creation(&ObjectVersions::default()).step(step)));
            }
            ClusterState::Live(versions, _) => versions,
        };
        let ClusterState::Live(_, managers) = observed else {
            return Ok(None);
        };
        let mut change = Change::new(Action::Delete);
        let going = if self.state == DesiredState::Absent {
            versions.all_unused(ObjectKind::Config, &self.name)?
        } else {
            let same = versions
                .current()
                .is_some_and(|current| current.content.as_ref() == Some(&self.wanted));
            change.action = Action::Update;
            if !same {
                let content = SecretBytes::new(self.wanted.clone());
                let step = create(
                    ObjectKind::Config,
                    &self.name,
                    versions.next(),
                    &content,
                    managers,
                );
                change = self.creation(versions).step(step);
            }
            versions.surplus(self.keep, usize::from(!same))
        };
        for old in going {
            change = change
                .field(
                    "old version",
                    DisplayValue::text(&old.name),
                    DisplayValue::Absent,
                )
                .step(remove(ObjectKind::Config, old, managers));
        }
        Ok((!change.fields.is_empty()).then_some(change))
    }
}

impl ConfigResource {
    fn creation(&self, versions: &ObjectVersions) -> Change {
        let current = versions.current();
        let action = if current.is_some() {
            Action::Update
        } else {
            Action::Create
        };
        let before = current.map_or(DisplayValue::Absent, |version| {
            DisplayValue::text(&version.name)
        });
        let content = current
            .and_then(|version| version.content.as_deref())
            .map_or(DisplayValue::Absent, DisplayValue::content);
        Change::new(action)
            .field(
                "version",
                before,
                DisplayValue::text(format!("{}-{}", self.name, versions.next())),
            )
            .field("content", content, DisplayValue::content(&self.wanted))
    }
}

#[cfg(test)]
mod tests;
