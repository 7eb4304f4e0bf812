//! Changes the packages of one host by an `apply` of skep's own play: with the plan, the guard, the
//! locks and the verification of every `apply`.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::diagnostic::{SourceFile, SourceSpan};
use crate::inventory::{Inventory, Roster};
use crate::kinds::package::PackageResource;
use crate::kinds::{BuildError, build};
use crate::maintenance::DrainOptions;
use crate::model::{
    FileLoader, HostContext, InvalidField, Query, Resource, ResourceKind as _, ShellQuery,
    TreeEntry,
};
use crate::names::HostName;
use crate::playbook::{HostResource, ResolvedPlay, ResolvedPlaybook, ResourceBinding};
use crate::runner::gather::gather;
use crate::runner::{
    Fleet, HostOutcome, Outcome, PlanApproval, ReadCache, RunOptions, RunPlan, apply,
};
use crate::safety::SwarmGuard;

/// Ends with 1 if a running Engine has another program than the installed one: the kernel marks a
/// program whose file was replaced.
const OLD_ENGINE_RUNS: &str = r#"pid=$(systemctl show --property=MainPID --value docker.service) || exit 0
case $pid in '' | 0) exit 0 ;; esac
case $(readlink "/proc/$pid/exe") in *' (deleted)') exit 1 ;; esac"#;

/// Packages that one transaction of apt installs, with their exact versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PackageSet {
    pub versions: Vec<(String, String)>,
    pub is_held: bool,
    pub may_downgrade: bool,
}

impl PackageSet {
    /// Returns the fields of a `package` resource, as an inline table of TOML.
    fn fields(&self) -> String {
        let quoted = |text: &str| toml::Value::String(text.to_owned()).to_string();
        let versions = self.versions.iter();
        let names: Vec<String> = versions.clone().map(|(name, _)| quoted(name)).collect();
        let pairs: Vec<String> = versions
            .map(|(name, version)| format!("{} = {}", quoted(name), quoted(version)))
            .collect();
        format!(
            "{{ names = [{}], version = {{ {} }}, allow_downgrade = {}{} }}",
            names.join(", "),
            pairs.join(", "),
            self.may_downgrade,
            if self.is_held { ", hold = true" } else { "" },
        )
    }

    fn resource(&self, context: &HostContext<'_>) -> Result<Arc<dyn Resource>, String> {
        let fields = self.fields();
        let table = toml::de::ValueDeserializer::parse(&fields);
        let table = table.map_err(|error| error.to_string())?;
        match build(PackageResource::NAME, table, context) {
            Some(Ok(resource)) => Ok(resource),
            Some(Err(BuildError::Invalid(invalid))) => Err(invalid.message),
            Some(Err(BuildError::Table(error))) => Err(error.to_string()),
            None => Err("the kind `package` is missing".into()),
        }
    }
}

/// Returns the play that installs the sets, in order.
fn play(roster: &Roster, host: &HostName, sets: &[PackageSet]) -> Result<ResolvedPlaybook, String> {
    let context = HostContext {
        host,
        login_user: "",
        roster,
        files: &NoFiles,
    };
    let source = SourceFile::new("the upgrade", "");
    let mut resources = Vec::new();
    for set in sets {
        resources.push(HostResource {
            tags: Vec::new(),
            place: SourceSpan::new(&source, 0..0),
            resource: ResourceBinding::Bound(set.resource(&context)?),
        });
    }
    Ok(ResolvedPlaybook {
        plays: vec![ResolvedPlay {
            name: "upgrade".into(),
            playbook: "".into(),
            serial: None,
            max_fail: None,
            barrier: None,
            hosts: vec![host.clone()],
            host_resources: [(host.clone(), resources)].into_iter().collect(),
            delegate: None,
            fallbacks: indexmap::IndexMap::default(),
        }],
        ..ResolvedPlaybook::default()
    })
}

/// Installs the sets on one host. `managers` are the managers whose word counts.
///
/// # Errors
/// Reason of the first failure, with the next step.
pub(super) async fn install(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    managers: &[HostName],
    host: &HostName,
    sets: &[PackageSet],
    options: &DrainOptions,
    stop: &CancellationToken,
) -> Result<(), String> {
    let work = Arc::new(play(&inventory.roster(), host, sets)?);
    let guard = SwarmGuard {
        managers: managers.to_vec(),
        ..SwarmGuard::of(&inventory.roster())
    };
    let run = RunOptions {
        forks: options.forks,
        lock_wait: options.lease_wait,
        owner: options.owner.part(),
        cluster_check: None,
    };
    let summary = apply(fleet, &work, Arc::new(guard), &Agreed, &run, stop).await;
    if let Some(outcome) = summary.hosts.get(host) {
        first_failure(outcome)?;
    }
    if summary.interrupted || stop.is_cancelled() {
        return Err("the run was interrupted".into());
    }
    check_running_engine(fleet, host).await
}

/// The operator has confirmed the plan of the whole upgrade.
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

/// Checks that the Engine that runs is the one that is installed.
async fn check_running_engine(fleet: &Fleet, host: &HostName) -> Result<(), String> {
    let connected = fleet.host(host).await.map_err(|error| error.to_string())?;
    let test = Query::Shell(ShellQuery::Test {
        script: OLD_ENGINE_RUNS.into(),
    });
    let answers = gather(
        fleet,
        &ReadCache::default(),
        &connected,
        &BTreeSet::from([test]),
    )
    .await;
    let answers = answers.map_err(|error| error.to_string())?;
    match answers.test(OLD_ENGINE_RUNS) {
        Ok(0) => Ok(()),
        Ok(_) => Err(
            "the packages are installed, and the Engine of before still runs; run `systemctl restart docker` there".into(),
        ),
        Err(error) => Err(error.to_string()),
    }
}

/// The play of an upgrade uses no files.
struct NoFiles;

impl NoFiles {
    fn none<T>() -> Result<T, InvalidField> {
        Err(InvalidField::new("", "an upgrade has no files"))
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
    fn the_play_has_one_resource_for_each_set() {
        let set = |names: &[&str], is_held| PackageSet {
            versions: names
                .iter()
                .map(|name| ((*name).to_owned(), "5:28.5.2-1~x".to_owned()))
                .collect(),
            is_held,
            may_downgrade: false,
        };
        let sets = [
            set(&["docker-ce", "docker-ce-cli"], true),
            set(&["g++"], false),
        ];
        let host = HostName::new("a");
        let work = play(&Roster::default(), &host, &sets).unwrap();
        let resources: Vec<String> = work
            .host_resources(&host)
            .map(|(_, one)| one.label())
            .collect();
        assert_eq!(
            resources,
            ["package[docker-ce, docker-ce-cli]", "package[g++]"]
        );
        assert_eq!(
            sets[0].fields(),
            r#"{ names = ["docker-ce", "docker-ce-cli"], version = { "docker-ce" = "5:28.5.2-1~x", "docker-ce-cli" = "5:28.5.2-1~x" }, allow_downgrade = false, hold = true }"#
        );
        assert!(play(&Roster::default(), &host, &[set(&["no; name"], false)]).is_err());
    }
}
