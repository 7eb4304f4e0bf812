//! A play of skep's own for one host: an `apply` with the plan, the guard, the locks and the
//! verification of every `apply`.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::DrainOptions;
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::inventory::{Inventory, Roster};
use crate::kinds::{BuildError, build};
use crate::model::{FileLoader, HostContext, InvalidField, Resource, TreeEntry};
use crate::names::HostName;
use crate::playbook::{HostResource, ResolvedPlay, ResolvedPlaybook, ResourceBinding};
use crate::runner::{Fleet, HostOutcome, Outcome, PlanApproval, RunOptions, RunPlan, apply};
use crate::safety::SwarmGuard;

/// A resource of such a play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OwnResource {
    /// Name of the kind.
    pub kind: &'static str,
    /// Fields of the resource, as an inline table of TOML.
    pub fields: String,
}

/// A play for one host.
pub(super) struct OwnPlay<'a> {
    pub name: &'a str,
    pub host: &'a HostName,
    /// The resources, in order.
    pub resources: &'a [OwnResource],
}

impl OwnResource {
    fn resource(&self, context: &HostContext<'_>) -> Result<Arc<dyn Resource>, String> {
        let table = toml::de::ValueDeserializer::parse(&self.fields);
        let table = table.map_err(|error| error.to_string())?;
        match build(self.kind, table, context) {
            Some(Ok(resource)) => Ok(resource),
            Some(Err(BuildError::Invalid(invalid))) => Err(invalid.message),
            Some(Err(BuildError::Table(error))) => Err(error.to_string()),
            None => Err(format!("the kind `{}` is missing", self.kind)),
        }
    }
}

impl OwnPlay<'_> {
    fn resolve(&self, roster: &Roster) -> Result<ResolvedPlaybook, String> {
        let context = HostContext {
            host: self.host,
            login_user: "",
            roster,
            files: &NoFiles,
        };
        let source = SourceFile::new(self.name, "");
        let mut resources = Vec::new();
        for resource in self.resources {
            resources.push(HostResource {
                tags: Vec::new(),
                place: SourceSpan::new(&source, 0..0),
                resource: ResourceBinding::Bound(resource.resource(&context)?),
            });
        }
        Ok(ResolvedPlaybook {
            plays: vec![ResolvedPlay {
                name: self.name.into(),
                playbook: "".into(),
                serial: None,
                max_fail: None,
                barrier: None,
                drain: None,
                hosts: vec![self.host.clone()],
                host_resources: [(self.host.clone(), resources)].into_iter().collect(),
                delegate: None,
                fallbacks: indexmap::IndexMap::default(),
            }],
            ..ResolvedPlaybook::default()
        })
    }

    /// Applies the play. `managers` are the managers whose word counts.
    ///
    /// # Errors
    /// Reason of the first failure, with the next step.
    pub(super) async fn run(
        &self,
        fleet: &Arc<Fleet>,
        inventory: &Inventory,
        managers: &[HostName],
        options: &DrainOptions,
        stop: &CancellationToken,
    ) -> Result<(), String> {
        let work = Arc::new(self.resolve(&inventory.roster())?);
        let guard = SwarmGuard {
            managers: managers.to_vec(),
            unlocks: options.unlock_key.is_some(),
            ..SwarmGuard::of(&inventory.roster())
        };
        let run = RunOptions {
            forks: options.forks,
            lock_wait: options.lease_wait,
            owner: options.owner.part(),
            cluster_check: None,
            drain: None,
            unlock_key: options.unlock_key.clone(),
        };
        let summary = apply(fleet, &work, Arc::new(guard), &Agreed, &run, stop).await;
        if let Some(outcome) = summary.hosts.get(self.host) {
            first_failure(outcome)?;
        }
        if summary.interrupted || stop.is_cancelled() {
            return Err("the run was interrupted".into());
        }
        Ok(())
    }
}

/// The operator has confirmed the plan of the whole act.
struct Agreed;

#[async_trait::async_trait]
impl PlanApproval for Agreed {
    async fn approve(&self, _forecast: &RunPlan) -> bool {
        true
    }
}

fn first_failure(outcome: &HostOutcome) -> Result<(), String> {
    let problems = outcome.unreachable.iter().chain(&outcome.failure);
    let problems = problems.map(|problem| (&problem.why, &problem.hint));
    let failures = outcome.resources.iter();
    let failures = failures.filter_map(|resource| match &resource.outcome {
        Outcome::Failed { why, hint } => Some((why, hint)),
        _ => None,
    });
    match problems.chain(failures).next() {
        None => Ok(()),
        Some((why, hint)) if hint.is_empty() => Err(why.clone()),
        Some((why, hint)) => Err(format!("{why}; {hint}")),
    }
}

/// Such a play uses no files.
struct NoFiles;

impl NoFiles {
    fn none<T>() -> Result<T, InvalidField> {
        Err(InvalidField::new("", "the play has no files"))
    }
}

impl FileLoader for NoFiles {
    fn source(&self, _path: &str) -> Result<Vec<u8>, InvalidField> {
        Self::none()
    }

    fn tree(&self, _path: &str) -> Result<Vec<TreeEntry>, InvalidField> {
        Self::none()
    }

    fn archive(&self, _path: &str) -> Result<Vec<u8>, InvalidField> {
        Self::none()
    }

    fn template(&self, _path: &str) -> Result<String, InvalidField> {
        Self::none()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_play_has_its_resources_in_order() {
        let host = HostName::new("a");
        let play = |fields: &[(&'static str, &str)]| {
            let resources: Vec<OwnResource> = fields
                .iter()
                .map(|(kind, fields)| OwnResource {
                    kind,
                    fields: (*fields).to_owned(),
                })
                .collect();
            let play = OwnPlay {
                name: "upgrade",
                host: &host,
                resources: &resources,
            };
            play.resolve(&Roster::default()).map(|work| {
                let labels = work.host_resources(&host).map(|(_, one)| one.label());
                labels.collect::<Vec<_>>()
            })
        };
        let two = [
            ("package", "{ names = [\"docker-ce\", \"docker-ce-cli\"] }"),
            ("package", "{ name = \"g++\" }"),
        ];
        assert_eq!(
            play(&two).unwrap(),
            ["package[docker-ce, docker-ce-cli]", "package[g++]"]
        );
        assert!(play(&[("package", "{ name = \"no; name\" }")]).is_err());
        assert!(play(&[("packet", "{}")]).is_err());
    }
}
