//! Services that a label binds to a directory of a node: they are deployed only if the directory
//! exists on that node; a data volume also needs its link and its marker.

use serde_json::Value;

use super::super::DataVolume;
use super::super::data_volume::{MARKER, owner};
use super::LiveStack;
use crate::model::{
    DeployPreview, DockerAnswer, DockerError, HostAnswers, HostContext, PathState, PathType,
    ProbeError, Query, Refusal, ShellQuery,
};
use crate::names::HostName;
use crate::swarm::{DockerInfo, SwarmNode, host_part};

/// Finding about a bound directory: blocks or refuses a deploy, or is reported with it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum VolumeFinding {
    /// The directory is missing or unknown; an earlier resource of the playbook may create it.
    Blocked(String),
    /// The deploy would do harm.
    Refused(Refusal),
    /// A note for the plan.
    Note(String),
}

/// Hosts of the inventory, for finding the host of a node.
#[derive(Debug, Clone, Default)]
pub(super) struct InventoryHosts {
    /// Name of each host, and its address in the swarm.
    all: Vec<(HostName, String)>,
    own: String,
}

/// A directory of a node that a service mounts.
struct BoundMount<'a> {
    service: &'a str,
    source: &'a str,
    /// Labels that bind the service, as its constraints name them.
    labels: String,
    /// Nodes that may run a task.
    nodes: Vec<&'a SwarmNode>,
    volume: Option<&'a DataVolume>,
    /// True if the service does not exist yet.
    new: bool,
}

impl InventoryHosts {
    pub(super) fn of(context: &HostContext<'_>) -> Self {
        let all = context.roster.hosts.iter().map(|(name, entry)| {
            let address = entry.swarm_address.as_deref().unwrap_or(&entry.address);
            (name.clone(), host_part(address).to_owned())
        });
        Self {
            all: all.collect(),
            own: context.host.to_string(),
        }
    }

    /// Returns the host that may be this node: by its address, or by its name if no address
    /// matches. A query to its Engine then confirms the node ID.
    fn candidate(&self, node: &SwarmNode) -> Option<&HostName> {
        let by_address = self
            .all
            .iter()
            .find(|(_, address)| *address == node.address);
        by_address
            .or_else(|| {
                self.all
                    .iter()
                    .find(|(name, _)| name.as_str() == node.hostname)
            })
            .map(|(name, _)| name)
    }

    fn identity(&self, host: &HostName) -> Query {
        if host.as_str() == self.own {
            Query::docker("/info")
        } else {
            Query::docker_of(host.clone(), "/info")
        }
    }

    /// Returns the node's host, or the reason why it is unknown.
    fn find<'a>(
        &'a self,
        node: &SwarmNode,
        answers: &HostAnswers,
        needs: &mut Vec<Query>,
    ) -> Result<&'a HostName, String> {
        let unknown = || {
            format!(
                "no host of the inventory matches the node {} ({})",
                node.hostname,
                node.short_id()
            )
        };
        let host = self.candidate(node).ok_or_else(unknown)?;
        let query = self.identity(host);
        if !answers.contains(&query) {
            needs.push(query);
            return Err(String::new());
        }
        let answer = if host.as_str() == self.own {
            answers.engine("/info")
        } else {
            answers.docker_of(host, "/info")
        };
        match answer.map(DockerAnswer::json) {
            Ok(Ok(body)) if DockerInfo::read(body).node_id == node.id => Ok(host),
            Ok(Err(DockerError::NoAnswer(why))) => Err(format!("{host} cannot be read: {why}")),
            _ => Err(unknown()),
        }
    }
}

/// Refuses a deploy if a task could start on a node that does not have the volume.
pub(super) fn check_labels(live: &LiveStack, preview: &DeployPreview) -> Result<(), Refusal> {
    for pinned in pinned(live, preview) {
        let Some(volume) = pinned.volume else {
            continue;
        };
        if let Some(node) = pinned.nodes.iter().find(|node| node.id != volume.node) {
            return Err(Refusal {
                why: format!(
                    "{} may start on {}, which has its label but not its data: the volume {} is on {}, in {}",
                    pinned.service, node.hostname, volume.name, volume.host, volume.path
                ),
                hint: format!(
                    "remove the label from {}, or copy the volume there with its marker and declare it in `node_labels`; \
                     to give it up: `docker config rm {}` on a manager",
                    node.hostname,
                    DataVolume::config_name(&volume.name)
                ),
            });
        }
    }
    Ok(())
}

/// Checks the directories of services that are to be deployed, or returns the queries that must be
/// answered first.
pub(super) fn look(
    live: &LiveStack,
    preview: &DeployPreview,
    hosts: &InventoryHosts,
    answers: &HostAnswers,
) -> Result<Vec<VolumeFinding>, Vec<Query>> {
    let (mut findings, mut needs) = (Vec::new(), Vec::new());
    for pinned in pinned(live, preview) {
        let found = match pinned.volume {
            _ if pinned.nodes.is_empty() => {
                let (service, labels) = (pinned.service, &pinned.labels);
                Some(VolumeFinding::Blocked(format!(
                    "no node has the label of {service} ({labels}) to which {} is bound",
                    pinned.source
                )))
            }
            Some(volume) => declared(&pinned, volume, hosts, answers, &mut needs),
            None => undeclared(&pinned, hosts, answers, &mut needs),
        };
        findings.extend(found);
    }
    needs.sort_unstable();
    needs.dedup();
    if needs.is_empty() {
        Ok(findings)
    } else {
        Err(needs)
    }
}

fn declared(
    pinned: &BoundMount<'_>,
    volume: &DataVolume,
    hosts: &InventoryHosts,
    answers: &HostAnswers,
    needs: &mut Vec<Query>,
) -> Option<VolumeFinding> {
    let node = pinned.nodes.iter().find(|node| node.id == volume.node)?;
    let lacks = |why: String| {
        Some(VolumeFinding::Blocked(format!(
            "{} needs the volume {}, but {why}",
            pinned.service, volume.name
        )))
    };
    let host = match hosts.find(node, answers, needs) {
        Ok(host) => host,
        Err(why) => return lacks(why),
    };
    let marker = format!("{}/{MARKER}", volume.path);
    let link = Some(volume.link.as_str()).filter(|link| !link.is_empty());
    let asked: Vec<&str> = [marker.as_str(), pinned.source]
        .into_iter()
        .chain(link)
        .collect();
    let state = match read(host, &asked, answers, needs) {
        Ok(states) => states,
        Err(why) => return lacks(why),
    };
    match state.first().cloned().flatten() {
        None => return lacks(format!("{marker} is not on {host} (is its disk mounted?)")),
        Some(found) if found.content.as_deref() != Some(volume.marker.as_bytes()) => {
            let said =
                String::from_utf8_lossy(found.content.as_deref().unwrap_or_default()).into_owned();
            return Some(VolumeFinding::Refused(Refusal {
                why: format!(
                    "{} needs the volume {}, but {} of {host} holds {}",
                    pinned.service,
                    volume.name,
                    volume.path,
                    owner(&said)
                ),
                hint: "mount the right disk on the node that has the label".into(),
            }));
        }
        Some(_) => {}
    }
    if state.get(1).is_none_or(Option::is_none) {
        return lacks(format!("{} is not on {host}", pinned.source));
    }
    let leads = |state: &PathState| {
        state.kind == PathType::Symlink && state.target.as_deref() == Some(&volume.path)
    };
    match (link, state.get(2).cloned().flatten()) {
        (Some(link), found) if !found.as_ref().is_some_and(leads) => {
            lacks(format!("{link} of {host} is not a link to {}", volume.path))
        }
        _ => None,
    }
}

/// Checks that a directory without a declared volume exists on some node: the Engine creates no
/// directory for a service, and its tasks would only fail.
fn undeclared(
    pinned: &BoundMount<'_>,
    hosts: &InventoryHosts,
    answers: &HostAnswers,
    needs: &mut Vec<Query>,
) -> Option<VolumeFinding> {
    let mut look = |node: &&SwarmNode| {
        let host = hosts.find(node, answers, needs)?;
        Ok((
            host.as_str(),
            read(host, &[pinned.source], answers, needs)?
                .iter()
                .any(Option::is_some),
        ))
    };
    // Mapping all nodes before judging any collects all missing queries in one round.
    let looked: Vec<Result<(&str, bool), String>> = pinned
        .nodes
        .iter()
        .filter(|node| node.state == "ready")
        .map(&mut look)
        .collect();
    // A directory that cannot be read is not known to be missing.
    let looked = looked.into_iter().collect::<Result<Vec<_>, _>>().ok()?;
    if let Some((host, _)) = looked.iter().find(|(_, is_there)| *is_there) {
        let words = "no label declares it as a volume, and its data is not checked";
        return pinned.new.then(|| {
            VolumeFinding::Note(format!(
                "{} mounts {} of {host}: {words}",
                pinned.service, pinned.source
            ))
        });
    }
    let without: Vec<&str> = looked.iter().map(|(host, _)| *host).collect();
    (!without.is_empty()).then(|| {
        VolumeFinding::Blocked(format!(
            "{} mounts {}, which is not on {}",
            pinned.service,
            pinned.source,
            without.join(", ")
        ))
    })
}

/// Returns paths of a host with their content; an `Err` with an empty text when they must be
/// queried first.
fn read(
    host: &HostName,
    paths: &[&str],
    answers: &HostAnswers,
    needs: &mut Vec<Query>,
) -> Result<Vec<Option<PathState>>, String> {
    let missing: Vec<Query> = paths
        .iter()
        .map(|path| ShellQuery::content(*path).at(host))
        .filter(|query| !answers.contains(query))
        .collect();
    if !missing.is_empty() {
        needs.extend(missing);
        return Err(String::new());
    }
    let states = paths
        .iter()
        .map(|path| answers.content_at(host, path).cloned())
        .collect::<Result<_, ProbeError>>();
    states.map_err(|error| error.to_string())
}

fn pinned<'a>(live: &'a LiveStack, preview: &'a DeployPreview) -> Vec<BoundMount<'a>> {
    let text =
        |value: &'a Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut all = Vec::new();
    for write in preview
        .writes
        .iter()
        .filter(|write| write.method == "POST" && write.path.starts_with("/services/"))
    {
        let list = |pointer: &str| {
            write
                .body
                .pointer(pointer)
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
        };
        let constraints: Vec<PlacementConstraint<'_>> = list("/TaskTemplate/Placement/Constraints")
            .filter_map(|constraint| PlacementConstraint::read(constraint.as_str()?))
            .collect();
        if !constraints.iter().any(PlacementConstraint::binds_by_label) {
            continue;
        }
        let bind = constraints
            .iter()
            .filter(|one| one.binds_by_label())
            .map(|one| one.key.trim_start_matches("node.labels."));
        let labels = bind.collect::<Vec<_>>().join(", ");
        let nodes: Vec<&SwarmNode> = live
            .nodes
            .iter()
            .filter(|node| constraints.iter().all(|one| one.allows(node)))
            .collect();
        for mount in
            list("/TaskTemplate/ContainerSpec/Mounts").filter(|mount| text(mount, "Type") == "bind")
        {
            let source = text(mount, "Source");
            let made_by_the_engine =
                mount.pointer("/BindOptions/CreateMountpoint") == Some(&Value::Bool(true));
            let volume = live.volumes.iter().find(|volume| volume.covers(source));
            if volume.is_some() || !made_by_the_engine {
                let (service, new) = (text(&write.body, "Name"), write.path.ends_with("/create"));
                all.push(BoundMount {
                    service,
                    source,
                    labels: labels.clone(),
                    nodes: nodes.clone(),
                    volume,
                    new,
                });
            }
        }
    }
    all
}

/// A placement constraint; a constraint on anything but a node's ID, name, role or labels counts as
/// met.
struct PlacementConstraint<'a> {
    key: &'a str,
    equal: bool,
    value: &'a str,
}

impl<'a> PlacementConstraint<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let (at, equal) = match (text.find("=="), text.find("!=")) {
            (Some(equal), Some(unequal)) if unequal < equal => (unequal, false),
            (Some(equal), _) => (equal, true),
            (None, Some(unequal)) => (unequal, false),
            (None, None) => return None,
        };
        Some(Self {
            key: text[..at].trim(),
            equal,
            value: text[at + 2..].trim(),
        })
    }

    fn binds_by_label(&self) -> bool {
        self.equal && self.key.starts_with("node.labels.")
    }

    /// Returns true if the node meets the constraint. The swarm ignores upper and lower case.
    fn allows(&self, node: &SwarmNode) -> bool {
        let value = match self.key {
            "node.id" => node.id.as_str(),
            "node.hostname" => node.hostname.as_str(),
            "node.role" => node.role.word(),
            key => match key.strip_prefix("node.labels.") {
                Some(label) => node.labels.get(label).map_or("", String::as_str),
                None => return true,
            },
        };
        value.eq_ignore_ascii_case(self.value) == self.equal
    }
}

#[cfg(test)]
mod tests;
