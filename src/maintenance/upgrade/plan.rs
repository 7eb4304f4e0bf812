//! Plan of an upgrade: the changes of each node, and the risks that need consent.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::host_packages::{FleetPackages, HostPackages, is_engine};
use super::package_reading::read_packages;
use super::version_choice::choose;
use super::{RebootRule, UpgradeRequest};
use crate::inventory::Inventory;
use crate::kinds::package::compare_versions;
use crate::maintenance::availability::{DRAINED_BY, is_passing};
use crate::maintenance::drain::check_interruption;
use crate::maintenance::reading::{SwarmReading, read_settled_swarm};
use crate::maintenance::{DrainOptions, MaintenanceError, NodeTarget};
use crate::model::PackageUpdate;
use crate::names::HostName;
use crate::playbook::ResolvedPlaybook;
use crate::runner::{DockerReader as _, Fleet};
use crate::swarm::{EngineFacts, EngineVersion, RequiredConsent};

/// Time for an Engine to start that was stopped by the step of a run that was killed.
const START_LIMIT: Duration = Duration::from_secs(30);
/// Time between two readings meanwhile.
const START_PAUSE: Duration = Duration::from_secs(1);

/// Name of the consent to a new major version.
const MAJOR: &str = "major";
/// Name of the consent to a lower version.
const DOWNGRADE: &str = "downgrade";

/// Change of one package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PackageChange {
    /// Name of the package.
    pub name: String,
    /// Installed version.
    pub from: String,
    /// New version.
    pub to: String,
}

/// Upgrade of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeUpgrade {
    /// The node.
    pub target: NodeTarget,
    /// Note about the voters.
    pub note: Option<String>,
    /// Changes of the Engine's packages.
    pub engine: Vec<PackageChange>,
    /// Updates of the operating system.
    pub os: Vec<PackageUpdate>,
    /// Reason of a reboot, as far as it is known before the packages are installed.
    pub reboot: Option<String>,
    /// True if an upgrade before this one drained the node and did not take it back.
    pub is_begun: bool,
    /// True if the Engine's packages are on hold, and stay so.
    pub is_held: bool,
}

impl NodeUpgrade {
    fn is_needed(&self) -> bool {
        self.is_begun || !self.engine.is_empty() || !self.os.is_empty() || self.reboot.is_some()
    }
}

/// Plan of an upgrade: the nodes in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpgradePlan {
    /// Nodes that change.
    pub nodes: Vec<NodeUpgrade>,
    /// Hosts that have the wanted versions.
    pub current: Vec<HostName>,
    /// Notes about versions and sources.
    pub notes: Vec<String>,
    /// Risks that need consent.
    pub consents: Vec<RequiredConsent>,
}

impl UpgradePlan {
    /// Checks that the operator accepts every risk, and that no service is interrupted unless that
    /// is allowed.
    ///
    /// # Errors
    /// [`MaintenanceError::Consent`], and [`MaintenanceError::Interruption`].
    pub fn check(
        &self,
        request: &UpgradeRequest,
        allow_interruption: bool,
    ) -> Result<(), MaintenanceError> {
        let missing = self.consents.iter();
        let missing = missing.filter(|consent| !request.accepted.contains(&consent.name));
        let missing: Vec<RequiredConsent> = missing.cloned().collect();
        if !missing.is_empty() {
            return Err(MaintenanceError::Consent(missing));
        }
        if allow_interruption {
            return Ok(());
        }
        let mut nodes = self.nodes.iter().filter(|node| !node.is_begun);
        nodes.try_for_each(|node| check_interruption(&node.target))
    }

    /// Returns the plan of the first node, and that of the others.
    #[must_use]
    pub fn split_first(self) -> (Self, Self) {
        let mut first = self;
        let later = first.nodes.split_off(first.nodes.len().min(1));
        let rest = Self {
            nodes: later,
            ..first.clone()
        };
        (first, rest)
    }
}

/// Fetches the package lists of the hosts, reads packages and swarm, and chooses one set of
/// versions for all hosts.
///
/// # Errors
/// [`MaintenanceError`] if a host is no node of the swarm or cannot be read, or no set exists.
pub async fn plan_upgrade(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    work: &Arc<ResolvedPlaybook>,
    hosts: &[HostName],
    request: &UpgradeRequest,
    facts: &EngineFacts,
    options: &DrainOptions,
) -> Result<UpgradePlan, MaintenanceError> {
    // The lock of each host waits for the step of a run that was killed. Its last act may be the
    // start of the Engine, which is waited for, too.
    let packages = read_packages(fleet, work, hosts, request, options).await?;
    let reading = read_started_engines(fleet, inventory, hosts, options.forks).await?;
    let targets = hosts.iter().map(|host| reading.target(host, &[]));
    let targets = targets.collect::<Result<Vec<_>, _>>()?;
    let chosen = choose(&packages).map_err(MaintenanceError::NoVersion)?;
    let is_encrypted = has_encrypted_network(fleet, &reading).await?;
    let mut plan = UpgradePlan {
        nodes: Vec::new(),
        current: Vec::new(),
        notes: warnings(&packages),
        consents: Vec::new(),
    };
    let nothing = HostPackages::default();
    let unlocks = options.unlock_key.is_some();
    for target in SwarmReading::in_order(targets) {
        let host = &target.host;
        let installed = packages.get(host).unwrap_or(&nothing);
        if installed.installed.is_empty() {
            return Err(MaintenanceError::Packages {
                host: host.clone(),
                why: "Docker Engine comes from no package there that skep knows".into(),
            });
        }
        let versions = chosen.get(host).into_iter().flatten();
        let node = NodeUpgrade {
            note: reading.check_restart(&target, unlocks)?,
            engine: changes(installed, versions),
            os: installed.updates.clone(),
            reboot: match request.reboot {
                RebootRule::Never => None,
                RebootRule::WhenDue => installed.reboot.reason(),
                RebootRule::Always => Some("--reboot=always".into()),
            },
            is_begun: reading
                .label(&target.node.id, DRAINED_BY)
                .is_some_and(is_passing),
            is_held: installed.is_held,
            target,
        };
        if !node.is_needed() {
            plan.current.push(node.target.host);
            continue;
        }
        plan.judge(&node, facts, is_encrypted);
        plan.nodes.push(node);
    }
    Ok(plan)
}

/// Reads the swarm, and again for a short time while the Engine of a host starts.
async fn read_started_engines(
    fleet: &Arc<Fleet>,
    inventory: &Inventory,
    hosts: &[HostName],
    forks: usize,
) -> Result<SwarmReading, MaintenanceError> {
    let begun = Instant::now();
    loop {
        let reading = read_settled_swarm(fleet, inventory, forks).await?;
        let is_silent = |host| {
            let located = reading.locate(host);
            matches!(located, Err(MaintenanceError::Unreadable { .. }))
        };
        if !hosts.iter().any(is_silent) || begun.elapsed() >= START_LIMIT {
            return Ok(reading);
        }
        sleep(START_PAUSE).await;
    }
}

/// Returns the packages whose version is another one than the chosen one.
fn changes<'a>(
    packages: &HostPackages,
    versions: impl Iterator<Item = (&'a String, &'a String)>,
) -> Vec<PackageChange> {
    let change = |(name, to): (&String, &String)| {
        let from = packages.installed.get(name)?;
        (from != to).then(|| PackageChange {
            name: name.clone(),
            from: from.clone(),
            to: to.clone(),
        })
    };
    versions.filter_map(change).collect()
}

impl UpgradePlan {
    /// Adds the risks and notes of one node; each of them once.
    fn judge(&mut self, node: &NodeUpgrade, facts: &EngineFacts, is_encrypted: bool) {
        let host = &node.target.host;
        for change in &node.engine {
            let PackageChange { name, from, to } = change;
            if compare_versions(to, from) == Ordering::Less {
                self.require(
                    DOWNGRADE,
                    format!("{name} {from} on {host} is newer than {to}"),
                );
            }
            if !is_engine(name) {
                continue;
            }
            let major = |version: &str| EngineVersion::parse(version).map(EngineVersion::major);
            if let (Some(old), Some(new)) = (major(from), major(to))
                && new > old
            {
                let why = format!(
                    "version {new} of Docker Engine is a new major version; {host} has {old}"
                );
                self.require(MAJOR, why);
            }
            let verdict = facts.judge(from, to, is_encrypted);
            for consent in verdict.consents {
                self.require(&consent.name, consent.why);
            }
            for note in verdict.notes {
                if !self.notes.contains(&note) {
                    self.notes.push(note);
                }
            }
        }
    }

    fn require(&mut self, name: &str, why: String) {
        if !self.consents.iter().any(|consent| consent.name == name) {
            self.consents.push(RequiredConsent {
                name: name.to_owned(),
                why,
            });
        }
    }
}

/// Returns apt's warnings, each with the hosts that have it.
fn warnings(packages: &FleetPackages) -> Vec<String> {
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, packages) in packages {
        for warning in &packages.warnings {
            hosts.entry(warning).or_default().push(host.as_str());
        }
    }
    let line =
        |(warning, hosts): (&str, Vec<&str>)| format!("apt on {}: {warning}", hosts.join(", "));
    hosts.into_iter().map(line).collect()
}

/// Returns true if the swarm has an encrypted overlay network.
async fn has_encrypted_network(
    fleet: &Arc<Fleet>,
    reading: &SwarmReading,
) -> Result<bool, MaintenanceError> {
    let mut reasons = Vec::new();
    for manager in &reading.managers {
        let answer = fleet.get(manager, "/networks").await;
        match answer.json() {
            Ok(networks) => return Ok(is_any_encrypted(networks)),
            Err(error) => reasons.push(format!("{manager}: {error}")),
        }
    }
    Err(MaintenanceError::NoManager(reasons.join("; ")))
}

/// The option `encrypted` counts by its presence (moby, libnetwork/drivers/overlay), except for the
/// value `false`.
fn is_any_encrypted(networks: &Value) -> bool {
    let mut networks = networks.as_array().into_iter().flatten();
    networks.any(|network| {
        let option = network.pointer("/Options/encrypted");
        network["Driver"] == "overlay" && option.is_some_and(|value| value != "false")
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;
    use crate::swarm::SwarmNode;

    fn node(host: &str, changes: &[(&str, &str, &str)]) -> NodeUpgrade {
        let listed = json!([{
            "ID": "abc", "Version": {"Index": 1}, "Spec": {"Role": "worker", "Availability": "active", "Labels": {}},
            "Description": {"Hostname": host}, "Status": {"State": "ready", "Addr": "192.0.2.1"},
        }]);
        let change = |(name, from, to): &(&str, &str, &str)| PackageChange {
            name: (*name).into(),
            from: (*from).into(),
            to: (*to).into(),
        };
        NodeUpgrade {
            target: NodeTarget {
                host: HostName::new(host),
                node: SwarmNode::list(&listed).unwrap().remove(0),
                impacts: Vec::new(),
            },
            note: None,
            engine: changes.iter().map(change).collect(),
            os: Vec::new(),
            reboot: None,
            is_begun: false,
            is_held: false,
        }
    }

    fn judged(nodes: &[NodeUpgrade], is_encrypted: bool) -> UpgradePlan {
        let mut plan = UpgradePlan {
            nodes: Vec::new(),
            current: Vec::new(),
            notes: Vec::new(),
            consents: Vec::new(),
        };
        let facts = EngineFacts::built_in().unwrap();
        for node in nodes {
            plan.judge(node, &facts, is_encrypted);
        }
        plan
    }

    #[test]
    fn each_risk_needs_its_own_consent_once() {
        let nodes = [
            node(
                "a",
                &[
                    ("docker-ce", "5:28.5.2-1", "5:29.1.0-1"),
                    ("containerd.io", "2.0.1-1", "1.7.9-1"),
                ],
            ),
            node("b", &[("docker-ce", "5:28.5.2-1", "5:29.1.0-1")]),
        ];
        let plan = judged(&nodes, true);
        let names: Vec<&str> = plan.consents.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["major", "encrypted-overlay", "downgrade"]);
        assert_eq!(plan.notes.len(), 2, "{:?}", plan.notes);
        let mut request = UpgradeRequest::default();
        let error = plan.check(&request, false).unwrap_err().to_string();
        for name in names {
            assert!(error.contains(&format!("--accept {name}")), "{error}");
            request.accepted.insert(name.to_owned());
        }
        assert!(plan.check(&request, false).is_ok());
        // The plugins have major versions of their own, which mean nothing for the Engine.
        let plugin = node("a", &[("docker-buildx-plugin", "0.29.1-1", "1.0.0-1")]);
        assert_eq!(judged(&[plugin], true).consents, []);
    }

    #[test]
    fn encrypted_networks() {
        let networks =
            |driver: &str, options: Value| json!([{"Driver": driver, "Options": options}]);
        assert!(is_any_encrypted(&networks(
            "overlay",
            json!({"encrypted": ""})
        )));
        assert!(is_any_encrypted(&networks(
            "overlay",
            json!({"encrypted": "true"})
        )));
        assert!(!is_any_encrypted(&networks(
            "overlay",
            json!({"encrypted": "false"})
        )));
        assert!(!is_any_encrypted(&networks("overlay", json!(null))));
        assert!(!is_any_encrypted(&networks(
            "bridge",
            json!({"encrypted": ""})
        )));
    }

    #[test]
    fn the_first_node_is_split_off() {
        let mut plan = judged(&[], false);
        plan.nodes = vec![node("a", &[]), node("b", &[]), node("c", &[])];
        let (first, rest) = plan.split_first();
        assert_eq!((first.nodes.len(), rest.nodes.len()), (1, 2));
        assert_eq!(first.nodes[0].target.host.as_str(), "a");
    }
}
