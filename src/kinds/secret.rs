//! `secret`: a secret of the swarm, in versions. Its value is read on the operator's machine when it is needed; whether the
//! swarm has it is told by a keyed digest, since an Engine never gives a secret back.

use serde::Deserialize;

use super::State;
use super::cluster::{ClusterSite, Found, check_object_name, default_managers};
use super::versions::{Sort, Versions, create, create_key, default_keep, remove};
use crate::model::{
    Action, Answers, Change, HostContext, Invalid, Kind, Observation, ProbeError, Query, Refusal,
    Scope, SecretBytes, Shown, Step, ValueSource, keyed_digest,
};

/// Largest content that the Engine takes, in bytes (500 KiB).
const LIMIT: usize = 500 * 1024;

/// A secret of the swarm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secret {
    /// Its name; the swarm's objects are `NAME-1`, `NAME-2`, ...
    name: String,
    /// The value is a file beside the playbook. One of `file`, `environment`, `command` and `age` is given.
    file: Option<String>,
    /// The value is in this variable of skep's environment.
    environment: Option<String>,
    /// The value is what this command prints, run by `sh -c` on the operator's machine.
    command: Option<String>,
    /// The value is in this file beside the playbook, encrypted with age(1).
    age: Option<String>,
    /// Old versions that are kept beside the current one. Default 1.
    #[serde(default = "default_keep")]
    keep: usize,
    /// `"present"` (default) or `"absent"`.
    #[serde(default)]
    state: State,
    /// The group whose hosts manage the swarm. Default `managers`.
    #[serde(default = "default_managers")]
    managers: String,
    #[serde(skip)]
    site: ClusterSite,
    /// Set by `bind`.
    #[serde(skip)]
    value: Option<Wanted>,
}

/// Where the value is.
#[derive(Debug, Clone)]
enum Wanted {
    Here(SecretBytes),
    Elsewhere(ValueSource),
}

/// The value, and what the swarm has of it.
#[derive(Debug)]
pub struct Seen {
    value: SecretBytes,
    found: Found<Versions>,
}

impl Kind for Secret {
    const NAME: &'static str = "secret";
    const SCOPE: Scope = Scope::Cluster;
    type Observed = Seen;

    fn name(&self) -> String {
        self.name.clone()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), Invalid> {
        // The Engine allows 64 characters, of which the version takes some.
        check_object_name("name", &self.name, 56)?;
        self.site = ClusterSite::of(context, &self.managers)?;
        let given = [&self.file, &self.environment, &self.command, &self.age]
            .into_iter()
            .flatten()
            .count();
        if self.state == State::Absent {
            return match given {
                0 => Ok(()),
                _ => Err(Invalid::new(
                    "state",
                    "a secret that is to be absent has no value",
                )),
            };
        }
        if given != 1 {
            return Err(Invalid::new(
                "name",
                format!("a secret has one value, and {given} are given"),
            )
            .hint("give exactly one of `file`, `environment`, `command` and `age`"));
        }
        self.value = Some(
            match (&self.file, &self.environment, &self.command, &self.age) {
                (Some(file), ..) => Wanted::Here(SecretBytes::new(context.files.source(file)?)),
                (_, Some(variable), ..) => {
                    Wanted::Elsewhere(ValueSource::Environment(variable.clone()))
                }
                (_, _, Some(command), _) => {
                    Wanted::Elsewhere(ValueSource::Command(command.clone()))
                }
                (.., age) => {
                    let name = age.clone().unwrap_or_default();
                    Wanted::Elsewhere(ValueSource::Age {
                        ciphertext: context.files.source(&name)?,
                        name,
                    })
                }
            },
        );
        if let Some(Wanted::Here(value)) = &self.value {
            check_size(value).map_err(|why| Invalid::new("file", why))?;
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        let mut queries = self.site.queries(&Sort::Secret.paths(&self.name));
        if let Some(Wanted::Elsewhere(source)) = &self.value {
            queries.push(Query::Value(source.clone()));
        }
        queries
    }

    fn observe(&self, answers: &Answers) -> Result<Observation<Self::Observed>, ProbeError> {
        let value = match &self.value {
            None => SecretBytes::default(),
            Some(Wanted::Here(value)) => value.clone(),
            Some(Wanted::Elsewhere(source)) => {
                let value = answers.value(source)?.clone();
                check_size(&value)
                    .map_err(|why| ProbeError::Unusable(format!("{source:?}: {why}")))?;
                value
            }
        };
        let paths = Sort::Secret.paths(&self.name);
        let read = |bodies: &[serde_json::Value]| Versions::read(Sort::Secret, &self.name, bodies);
        Ok(match self.site.observe(&paths, answers, read)? {
            Observation::Needs(queries) => Observation::Needs(queries),
            Observation::Known(found) => Observation::Known(Seen { value, found }),
        })
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        match &observed.found {
            Found::Refused(refusal) => Err(refusal.clone()),
            Found::NoSwarm if self.state == State::Absent => Ok(None),
            Found::NoSwarm => {
                let step = Step::known_after_apply(format!(
                    "create secret {}-1, once there is a swarm",
                    self.name
                ));
                Ok(Some(self.creation(Action::Create, None, 1).step(step)))
            }
            Found::Live(versions, managers) if self.state == State::Absent => {
                let mut change = Change::new(Action::Delete);
                for version in versions.all_unused(Sort::Secret, &self.name)? {
                    change = change
                        .field("version", Shown::text(&version.name), Shown::Absent)
                        .step(remove(Sort::Secret, version, managers));
                }
                Ok((!change.fields.is_empty()).then_some(change))
            }
            Found::Live(versions, managers) => {
                Ok(self.compare(&observed.value, versions, managers))
            }
        }
    }
}

impl Secret {
    fn compare(
        &self,
        value: &SecretBytes,
        versions: &Versions,
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
                Sort::Secret,
                &self.name,
                versions.next(),
                value,
                managers,
            ));
        }
        for old in versions.surplus(self.keep, usize::from(!same)) {
            change = change
                .field("old version", Shown::text(&old.name), Shown::Absent)
                .step(remove(Sort::Secret, old, managers));
        }
        (!change.fields.is_empty()).then_some(change)
    }

    fn creation(&self, action: Action, current: Option<&str>, number: u64) -> Change {
        let before = current.map_or(Shown::Absent, Shown::text);
        let content = current.map_or(Shown::Absent, |_| Shown::Secret);
        Change::new(action)
            .field(
                "version",
                before,
                Shown::text(format!("{}-{number}", self.name)),
            )
            .field("content", content, Shown::Secret)
    }
}

fn check_size(value: &SecretBytes) -> Result<(), String> {
    match value.expose().len() {
        0 => Err("the value is empty, and a secret cannot be".into()),
        bytes if bytes > LIMIT => Err(format!(
            "the value has {bytes} bytes, and a secret at most {LIMIT}"
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
