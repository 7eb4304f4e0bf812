//! `package`: Debian packages, with versions and holds. The plan shows the result of apt's own
//! simulation. If apt does not know the packages yet, the plan says this, and the step fetches the
//! package lists first.

mod hold;
mod plan;
mod script;
mod target;
mod version;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::DesiredState;
use super::engine_settings::{RestartHazard, restart_hazard, restart_queries};
use crate::model::{
    AptAction, AptSimulation, Change, HostAnswers, HostContext, InvalidField, Observation,
    PackageState, PinnedVersion, ProbeError, Query, Refusal, ResourceKind, ShellQuery,
};
use hold::HoldPolicy;
use target::{AptTransaction, PackageTarget};
pub use version::{VersionPattern, VersionSelection, compare_versions};

/// A set of packages that are installed, changed and held together.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageResource {
    /// Name of one package. Either `name` or `names` is required.
    name: Option<PackageName>,
    /// Names of several packages, installed in one transaction.
    names: Option<Vec<PackageName>>,
    /// A version or a pattern such as `"28.*"` for the whole set, or a table from package to
    /// version. Epoch and revision may be left out. Default: the installed version, or the newest
    /// if none is installed.
    #[serde(default)]
    version: VersionSelection,
    /// Put the packages on hold (`true`), release the holds that skep has set (`false`) or all
    /// holds of these packages (`"release"`). Without it, holds are left unchanged and respected.
    hold: Option<HoldPolicy>,
    /// Packages that are removed in the same transaction if they are installed.
    #[serde(default)]
    conflicts: Vec<PackageName>,
    /// Also install recommended packages. Default `true`, as apt does.
    #[serde(default = "yes")]
    install_recommends: bool,
    /// Allow a lower version than the installed one. Default `false`.
    #[serde(default)]
    allow_downgrade: bool,
    /// `"present"` (default) or `"absent"` (removed; configuration files stay).
    #[serde(default)]
    state: DesiredState,
}

fn yes() -> bool {
    true
}

/// A package's name: at least two of lower-case letters, digits, `+`, `-` and `.`, the first a
/// letter or digit (Debian policy 5.6.1). It must not end with `-`, which apt-get(8) would read as
/// "remove".
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct PackageName(String);

impl PackageName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PackageName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let letter = |one: char| one.is_ascii_lowercase() || one.is_ascii_digit();
        let all = name.chars().all(|one| letter(one) || "+-.".contains(one));
        if name.starts_with(letter)
            && all
            && (2..=128).contains(&name.len())
            && !name.ends_with('-')
        {
            return Ok(Self(name));
        }
        Err(format!(
            "{name:?} is not the name of a package: lower-case letters, digits, \"+\", \"-\" and \".\"; a version goes \
             into `version`"
        ))
    }
}

/// State of the packages, and the changes that apt would make.
#[derive(Debug)]
pub struct PackageSetState {
    states: BTreeMap<String, PackageState>,
    /// Problems that dpkg reports; empty when there are none.
    audit: Vec<String>,
    forecast: AptForecast,
    /// Packages that skep has put on hold.
    own_holds: BTreeSet<String>,
    /// Reason why Docker Engine would not come back from a restart.
    hazard: Option<RestartHazard>,
    /// True if Docker Engine is also installed as a snap.
    has_snap: bool,
}

/// Changes that apt would make.
#[derive(Debug)]
enum AptForecast {
    /// No package needs to be installed or removed.
    Nothing,
    /// Result of apt's own simulation.
    Known {
        transaction: AptTransaction,
        actions: Vec<AptAction>,
    },
    /// Apt cannot determine the changes yet; `words` are its messages.
    Unknown {
        transaction: AptTransaction,
        words: Vec<String>,
    },
}

impl ResourceKind for PackageResource {
    const NAME: &'static str = "package";
    type Observed = PackageSetState;

    fn name(&self) -> String {
        let names: Vec<&str> = self.names().map(PackageName::as_str).collect();
        names.join(", ")
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        if self.name.is_some() == self.names.is_some() || self.names().next().is_none() {
            return Err(InvalidField::new(
                "names",
                "give either `name` or `names`, with at least one package",
            )
            .hint("write name = \"jq\" or names = [\"jq\", \"curl\"]"));
        }
        if let Some(both) = self
            .conflicts
            .iter()
            .find(|one| self.names().any(|name| name == *one))
        {
            return Err(InvalidField::new(
                "conflicts",
                format!(
                    "{} is both in the wanted packages and in `conflicts`",
                    both.as_str()
                ),
            ));
        }
        if let VersionSelection::Each(patterns) = &self.version
            && let Some(stranger) = patterns
                .keys()
                .find(|one| !self.names().any(|name| name == *one))
        {
            return Err(InvalidField::new(
                "version",
                format!("{} is not in `names`", stranger.as_str()),
            )
            .hint("add it to `names`, or remove its version"));
        }
        let more = self.version != VersionSelection::Any
            || self.hold.is_some()
            || !self.conflicts.is_empty();
        if self.state == DesiredState::Absent && more {
            return Err(InvalidField::new(
                "state",
                "`version`, `hold` and `conflicts` apply to installed packages only",
            )
            .hint("remove them, or the line `state = \"absent\"`"));
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        let packages = self
            .names()
            .chain(&self.conflicts)
            .map(|name| Query::Shell(ShellQuery::Package(name.0.clone())));
        let mut queries: Vec<Query> = packages
            .chain([Query::Shell(ShellQuery::DpkgAudit)])
            .collect();
        if self.hold.is_some() {
            queries.push(Query::content(hold::RECORD));
        }
        if self.concerns_engine() {
            queries.extend(restart_queries());
            queries.push(Query::Shell(ShellQuery::Unit(SNAP_UNIT.into())));
        }
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let states = self.names().chain(&self.conflicts);
        let states = states.map(|name| Ok((name.0.clone(), answers.package(&name.0)?.clone())));
        let states = states.collect::<Result<BTreeMap<_, _>, ProbeError>>()?;
        let audit = answers.dpkg_audit()?.clone();
        let own_holds = match self.hold {
            Some(_) => answers
                .path(hold::RECORD)?
                .and_then(|record| record.content.as_deref())
                .map(hold::recorded)
                .unwrap_or_default(),
            None => BTreeSet::new(),
        };
        let (mut hazard, mut has_snap) = (None, false);
        if self.concerns_engine() {
            has_snap = answers.unit(SNAP_UNIT)?.exists();
            hazard = match restart_hazard(answers)? {
                Observation::Needs(queries) => return Ok(Observation::Needs(queries)),
                Observation::Known(hazard) => hazard,
            };
        }
        let known = |forecast| {
            Ok(Observation::Known(PackageSetState {
                states: states.clone(),
                audit: audit.clone(),
                forecast,
                own_holds: own_holds.clone(),
                hazard: hazard.clone(),
                has_snap,
            }))
        };

        let unmet = self.unmet(&states);
        let removals: Vec<PackageTarget> = self
            .removals(&states)
            .map(|name| PackageTarget::Remove { name: name.clone() })
            .collect();
        if unmet.is_empty() && removals.is_empty() {
            return known(AptForecast::Nothing);
        }
        let patterned = unmet.iter().filter(|name| self.version.of(name).is_some());
        let versions: Vec<Query> = patterned
            .map(|name| Query::Shell(ShellQuery::PackageVersions(name.0.clone())))
            .collect();
        let unknown: Vec<Query> = versions
            .into_iter()
            .filter(|query| !answers.contains(query))
            .collect();
        if !unknown.is_empty() {
            return Ok(Observation::Needs(unknown));
        }
        let (mut targets, mut words) = (Vec::new(), Vec::new());
        for name in unmet {
            let name = name.clone();
            let Some(pattern) = self.version.of(&name) else {
                targets.push(PackageTarget::Preferred { name });
                continue;
            };
            let candidates = answers.package_versions(&name.0)?;
            if let Some(version) = candidates.iter().find(|version| pattern.matches(version)) {
                let version = version.clone();
                targets.push(PackageTarget::Version { name, version });
            } else {
                words.push(no_match(&name.0, pattern, candidates));
                let pattern = pattern.clone();
                targets.push(PackageTarget::Matching { name, pattern });
            }
        }
        targets.extend(removals);
        let transaction = AptTransaction {
            options: self.options(),
            targets,
        };
        if !words.is_empty() {
            return known(AptForecast::Unknown { transaction, words });
        }
        let arguments = transaction.arguments();
        let simulation = Query::Shell(ShellQuery::AptSimulation {
            arguments: arguments.clone(),
        });
        if !answers.contains(&simulation) {
            return Ok(Observation::Needs(vec![simulation]));
        }
        match answers.apt_simulation(&arguments)?.clone() {
            AptSimulation::Actions(actions) => known(AptForecast::Known {
                transaction,
                actions,
            }),
            AptSimulation::Impossible(words) => known(AptForecast::Unknown { transaction, words }),
        }
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        plan::plan(self, observed)
    }

    fn pinned_versions(&self) -> Vec<PinnedVersion> {
        let pin = |name: &PackageName| {
            Some(PinnedVersion {
                package: name.0.clone(),
                version: self.version.of(name)?.as_str().to_owned(),
            })
        };
        self.names().filter_map(pin).collect()
    }
}

/// Unit of the Engine that the snap `docker` contains.
const SNAP_UNIT: &str = "snap.docker.dockerd.service";

impl PackageResource {
    /// Returns true if a change of the packages may start or restart Docker Engine.
    fn concerns_engine(&self) -> bool {
        self.names()
            .chain(&self.conflicts)
            .any(|name| plan::is_engine(name.as_str()))
    }

    fn names(&self) -> impl Iterator<Item = &PackageName> {
        self.name.iter().chain(self.names.iter().flatten())
    }

    /// Returns the wanted packages that are missing or have another version.
    fn unmet(&self, states: &BTreeMap<String, PackageState>) -> Vec<&PackageName> {
        let met = |name: &PackageName| {
            let installed = states
                .get(&name.0)
                .and_then(|state| state.installed.as_deref());
            installed.is_some_and(|installed| {
                self.version
                    .of(name)
                    .is_none_or(|pattern| pattern.matches(installed))
            })
        };
        match self.state {
            DesiredState::Present => self.names().filter(|name| !met(name)).collect(),
            DesiredState::Absent => Vec::new(),
        }
    }

    /// Returns the names of present packages that should be absent.
    fn removals<'a>(
        &'a self,
        states: &'a BTreeMap<String, PackageState>,
    ) -> impl Iterator<Item = &'a PackageName> {
        let wanted_gone = self
            .names()
            .filter(|_| self.state == DesiredState::Absent)
            .chain(&self.conflicts);
        wanted_gone.filter(|name| states.get(&name.0).is_some_and(is_there))
    }

    /// Returns the options of apt-get that change its result, for the simulation and the
    /// installation alike.
    fn options(&self) -> Vec<String> {
        let mut options = Vec::new();
        if !self.install_recommends {
            options.push("--no-install-recommends".to_owned());
        }
        if self.allow_downgrade {
            options.push("--allow-downgrades".to_owned());
        }
        // The hold is released before the installation, but the simulation runs while it is still
        // set.
        if self.hold.is_some() {
            options.push("--allow-change-held-packages".to_owned());
        }
        options
    }
}

/// Returns true if the package is installed or half-installed; configuration files alone do not
/// count.
fn is_there(state: &PackageState) -> bool {
    state.installed.is_some()
        || state
            .broken
            .as_deref()
            .is_some_and(|word| word != "config-files")
}

fn no_match(name: &str, pattern: &VersionPattern, candidates: &[String]) -> String {
    let pattern = pattern.as_str();
    match candidates.first() {
        None => format!("apt knows no version of {name} yet"),
        Some(_) => format!(
            "no version of {name} that apt knows matches {pattern}: {}",
            candidates.join(", ")
        ),
    }
}

#[cfg(test)]
mod tests;
