//! `secret`: a secret of the swarm, in versions. Its value is read on the operator's machine when
//! it is needed. An Engine never returns a secret, and a keyed digest shows whether the swarm has
//! the value.

use serde::Deserialize;

use super::DesiredState;
use super::cluster::{ClusterSite, ClusterState, check_object_name, default_managers};
use super::versions::{ObjectKind, ObjectVersions, create, create_key, default_keep, remove};
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, ProbeError,
    Query, Refusal, ResourceKind, ResourceScope, SecretBytes, Step, ValueSource, keyed_digest,
};

/// Largest content that the Engine accepts, in bytes (500 KiB).
const LIMIT: usize = 500 * 1024;

/// A secret of the swarm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecretResource {
    /// Name of the secret; the swarm's objects are `NAME-1`, `NAME-2`, ...
    name: String,
    /// File beside the playbook with the value. Exactly one of `file`, `environment`, `command` and
    /// `age` is required.
    file: Option<String>,
    /// Variable of skep's environment with the value.
    environment: Option<String>,
    /// Command that prints the value, run by `sh -c` on the operator's machine.
    command: Option<String>,
    /// File beside the playbook with the value, encrypted with age(1).
    age: Option<String>,
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
    /// Location of the value; set by `bind`.
    #[serde(skip)]
    value: Option<SecretLocation>,
}

/// Location of the value.
#[derive(Debug, Clone)]
enum SecretLocation {
    Here(SecretBytes),
    Elsewhere(ValueSource),
}

/// The value, and the versions that the swarm has.
#[derive(Debug)]
pub struct SecretState {
    value: SecretBytes,
    found: ClusterState<ObjectVersions>,
}

impl ResourceKind for SecretResource {
    const NAME: &'static str = "secret";
    const SCOPE: ResourceScope = ResourceScope::Cluster;
    type Observed = SecretState;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        // The Engine allows 64 characters, and the version number uses some of them.
        check_object_name("name", &self.name, 56)?;
        self.site = ClusterSite::of(context, &self.managers)?;
        let given = [&self.file, &self.environment, &self.command, &self.age]
            .into_iter()
            .flatten()
            .count();
        if self.state == DesiredState::Absent {
            return match given {
                0 => Ok(()),
                _ => Err(InvalidField::new(
                    "state",
                    "a secret with state = \"absent\" has no value",
                )),
            };
        }
        if given != 1 {
            return Err(InvalidField::new(
                "name",
                format!("a secret has one value, but {given} are given"),
            )
            .hint("give exactly one of `file`, `environment`, `command` and `age`"));
        }
        self.value = Some(
            match (&self.file, &self.environment, &self.command, &self.age) {
                (Some(file), ..) => {
                    SecretLocation::Here(SecretBytes::new(context.files.source(file)?))
                }
                (_, Some(variable), ..) => {
                    SecretLocation::Elsewhere(ValueSource::Environment(variable.clone()))
                }
                (_, _, Some(command), _) => {
                    SecretLocation::Elsewhere(ValueSource::Command(command.clone()))
                }
                (.., age) => {
                    let name = age.clone().unwrap_or_default();
                    SecretLocation::Elsewhere(ValueSource::Age {
                        ciphertext: context.files.source(&name)?,
                        name,
                    })
                }
            },
        );
        if let Some(SecretLocation::Here(value)) = &self.value {
            check_size(value).map_err(|why| InvalidField::new("file", why))?;
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        let mut queries = self.site.queries(&ObjectKind::Secret.paths(&self.name));
        if let Some(SecretLocation::Elsewhere(source)) = &self.value {
            queries.push(Query::Local(source.clone()));
        }
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let value = match &self.value {
            None => SecretBytes::default(),
            Some(SecretLocation::Here(value)) => value.clone(),
            Some(SecretLocation::Elsewhere(source)) => {
                let value = answers.value(source)?.clone();
                check_size(&value)
                    .map_err(|why| ProbeError::Unusable(format!("{source:?}: {why}")))?;
                value
            }
        };
        let paths = ObjectKind::Secret.paths(&self.name);
        let read = |bodies: &[serde_json::Value]| {
            ObjectVersions::read(ObjectKind::Secret, &self.name, bodies)
        };
        Ok(match self.site.observe(&paths, answers, read)? {
            Observation::Needs(queries) => Observation::Needs(queries),
            Observation::Known(found) => Observation::Known(SecretState { value, found }),
        })
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        match &observed.found {
            ClusterState::Refused(refusal) => Err(refusal.clone()),
            ClusterState::NoSwarm if self.state == DesiredState::Absent => Ok(None),
            ClusterState::NoSwarm => {
                let step = Step::known_after_apply(format!(
                    "create secret {}-1, once there is a swarm",
                    self.name
                ));
                Ok(Some(self.creation(Action::Create, None, 1).step(step)))
            }
            ClusterState::Live(versions, managers) if self.state == DesiredState::Absent => {
                let mut change = Change::new(Action::Delete);
                for version in versions.all_unused(ObjectKind::Secret, &self.name)? {
                    change = change
                        .field(
                            "version",
                            DisplayValue::text(&version.name),
                            DisplayValue::Absent,
                        )
                        .step(remove(ObjectKind::Secret, version, managers));
                }
                Ok((!change.fields.is_empty()).then_some(change))
            }
            ClusterState::Live(versions, managers) => {
                Ok(self.compare(&observed.value, versions, managers))
            }
        }
    }
}

impl SecretResource {
    fn compare(
        &self,
        value: &SecretBytes,
        versions: &ObjectVersions,
        managers: &[crate::names::HostName],
    ) -> Option<Change> {
        let current = versions.current();
        let digest = versions
            .key
            .as_ref()
            .map(|key| keyed_digest(key.expose(), &self.name, value));
        let same = current.is_some_and(|current| digest.as_ref() == Some(&current.digest));
        let mut change = Change::new(Action::Update);
        if !same {
            let action = if current.is_some() {
                Action::Update
            } else {
                Action::Create
            };
            change = self.creation(
                action,
                current.map(|version| version.name.as_str()),
                versions.next(),
            );
            if versions.key.is_none() {
                change = change.step(create_key(managers));
            }
            change = change.step(create(
                ObjectKind::Secret,
                &self.name,
                versions.next(),
                value,
                managers,
            ));
        }
        for old in versions.surplus(self.keep, usize::from(!same)) {
            change = change
                .field(
                    "old version",
                    DisplayValue::text(&old.name),
                    DisplayValue::Absent,
                )
                .step(remove(ObjectKind::Secret, old, managers));
        }
        (!change.fields.is_empty()).then_some(change)
    }

    fn creation(&self, action: Action, current: Option<&str>, number: u64) -> Change {
        let before = current.map_or(DisplayValue::Absent, DisplayValue::text);
        let content = current.map_or(DisplayValue::Absent, |_| DisplayValue::Secret);
        Change::new(action)
            .field(
                "version",
                before,
                DisplayValue::text(format!("{}-{number}", self.name)),
            )
            .field("content", content, DisplayValue::Secret)
    }
}

fn check_size(value: &SecretBytes) -> Result<(), String> {
    match value.expose().len() {
        0 => Err("the value is empty, but a secret must have content".into()),
        bytes if bytes > LIMIT => Err(format!(
            "the value has {bytes} bytes, but a secret may have at most {LIMIT}"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
