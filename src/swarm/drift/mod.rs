//! Drift of the swarm as a whole, although every host is in sync with its resources: foreign nodes,
//! nodes that are down, voters, versions, certificates. Pure; `check` shows it as drift of
//! `cluster[swarm]`.

use std::collections::{BTreeMap, BTreeSet};

use super::certificate::CertificateValidity;
use super::{DockerStatus, SwarmNode, Voters};
use crate::model::{DisplayValue, FieldChange};
use crate::names::HostName;

/// Observations of one host that should be a member.
#[derive(Debug, Clone)]
pub struct MemberObservation {
    /// State of the host's Engine.
    pub engine: DockerStatus,
    /// Certificate of the node, if it exists and can be read.
    pub certificate: Option<CertificateValidity>,
    /// True if the certificate was read by an earlier check and could not be read by this one.
    pub certificate_is_old: bool,
    /// True if the playbook declares the node's availability; its resource then compares it.
    pub says_availability: bool,
}

/// Share of a certificate's life, in percent, below which it should have been renewed. A node
/// renews its certificate when a random part between half and four fifths of its life is over
/// (SwarmKit, `ca.calculateRandomExpiry`).
const LEAST_LEFT: i64 = 15;

/// Tolerated clock difference in seconds: longer than a check takes, and less than the tolerance of
/// certificates (an hour).
const CLOCK_TOLERANCE: i64 = 300;

/// Differences from a healthy cluster.
#[derive(Debug, Default)]
pub struct ClusterDrift {
    /// Differences by field.
    pub fields: Vec<FieldChange>,
    /// A note for each difference that a command fixes, in the order of `fields`.
    pub remedies: Vec<String>,
}

/// Returns the differences from a healthy cluster. `everything` means that all hosts of the
/// inventory were checked: only then is a node that matches none of them known to be foreign.
#[must_use]
pub fn cluster_drift(
    members: &BTreeMap<HostName, MemberObservation>,
    nodes: &[SwarmNode],
    everything: bool,
    now: i64,
) -> ClusterDrift {
    let mut found = ClusterDrift::default();
    let hosts: BTreeMap<&str, (&HostName, &MemberObservation)> = members
        .iter()
        .filter_map(|(host, sighting)| {
            Some((sighting.engine.info()?.node_id.as_str(), (host, sighting)))
        })
        .collect();
    let unread = members
        .values()
        .any(|sighting| sighting.engine.unknown().is_some());
    claims(members, &mut found);
    for node in nodes {
        let host = hosts.get(node.id.as_str());
        let name = host.map_or_else(
            || format!("{} ({})", node.hostname, node.short_id()),
            |(host, _)| host.to_string(),
        );
        if host.is_none() && everything && !unread {
            found.add(
                format!("node {name}"),
                &format!("{}, and not in the inventory", node.state),
                None,
            );
            let remedy = "add the machine to the inventory, or remove its node: `skep node remove --unlisted`";
            if !found.remedies.iter().any(|one| one == remedy) {
                found.remedies.push(remedy.into());
            }
            continue;
        }
        if node.state != "ready" {
            found.add(format!("state of {name}"), &node.state, Some("ready"));
            // The host name is the node's own word, and becomes part of a command only if it is the
            // name of a host.
            let machine = host.map(|(host, _)| *host).or_else(|| {
                members
                    .keys()
                    .find(|member| member.as_str() == node.hostname)
            });
            found.remedies.push(machine.map_or_else(
                || format!("start the machine of {name}, or read `journalctl -u docker` on it"),
                |machine| {
                    format!(
                        "start {machine} (`vagrant up {machine}`, `skep lab start {machine}`), or read `journalctl -u docker` on it"
                    )
                },
            ));
        }
        if node.availability != "active"
            && host.is_some_and(|(_, sighting)| !sighting.says_availability)
        {
            found.add(
                format!("availability of {name}"),
                &node.availability,
                Some("active"),
            );
            // The `docker` command knows a node by its ID or, if no other node has it, its host
            // name.
            let is_plain = host.is_some_and(|(host, _)| host.as_str() == node.hostname)
                && nodes
                    .iter()
                    .filter(|other| other.hostname == node.hostname)
                    .count()
                    == 1;
            let word = if is_plain { &node.hostname } else { &node.id };
            found.remedies.push(format!(
                "on a manager: `docker node update --availability active {word}`"
            ));
        }
        if let Some(manager) = node
            .manager
            .as_ref()
            .filter(|manager| manager.reachability != "reachable")
        {
            found.add(
                format!("manager {name}"),
                &manager.reachability,
                Some("reachable"),
            );
        }
    }
    let voters = Voters::count(nodes);
    if voters.leader.is_none() {
        found.fields.push(FieldChange {
            field: "leader".into(),
            before: DisplayValue::Absent,
            after: DisplayValue::text("one of the managers"),
        });
    }
    if voters.total > 1 && voters.total.is_multiple_of(2) {
        found.add(
            "managers".into(),
            &voters.total.to_string(),
            Some("an odd number"),
        );
    }
    versions(nodes, &mut found);
    for (host, sighting) in members {
        if let Some(validity) = sighting.certificate {
            certificate(host, validity, sighting.certificate_is_old, now, &mut found);
        }
        if let Some(time) = sighting.engine.info().and_then(|info| info.system_time)
            && (time - now).abs() > CLOCK_TOLERANCE
        {
            let off = span((time - now).abs());
            let before = if time < now {
                format!("{off} behind this machine's")
            } else {
                format!("{off} ahead of this machine's")
            };
            found.add(format!("clock of {host}"), &before, Some("the same time"));
            found.remedies.push(format!(
                "on {host}: `sudo systemctl restart systemd-timesyncd`, or `sudo chronyc makestep`, sets the clock; if the other hosts differ \
                 too, this machine's clock is wrong"
            ));
        }
    }
    found
}

impl ClusterDrift {
    fn add(&mut self, field: String, before: &str, after: Option<&str>) {
        let after = after.map_or(DisplayValue::Absent, DisplayValue::text);
        self.fields.push(FieldChange {
            field,
            before: DisplayValue::text(before),
            after,
        });
    }
}

/// Adds the nodes that several hosts claim: one machine listed twice, a copy of a machine, or a
/// host whose Engine does not tell the truth.
fn claims(members: &BTreeMap<HostName, MemberObservation>, found: &mut ClusterDrift) {
    let mut claims: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, sighting) in members {
        if let Some(info) = sighting.engine.info()
            && !info.node_id.is_empty()
        {
            claims.entry(&info.node_id).or_default().push(host.as_str());
        }
    }
    for (node_id, hosts) in claims.into_iter().filter(|(_, hosts)| hosts.len() > 1) {
        let hosts = hosts.join(" and ");
        found.add(
            format!("hosts of node {}", node_id.get(..12).unwrap_or(node_id)),
            &hosts,
            Some("one host"),
        );
        found.remedies.push(format!(
            "if the inventory lists one machine as {hosts}, list it once; if one is a copy of the other, make it anew (`skep node rebuild`); \
             otherwise examine both: an Engine does not tell the truth"
        ));
    }
}

fn versions(nodes: &[SwarmNode], found: &mut ClusterDrift) {
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for node in nodes.iter().filter(|node| !node.engine_version.is_empty()) {
        versions
            .entry(&node.engine_version)
            .or_default()
            .insert(&node.hostname);
    }
    if versions.len() > 1 {
        let all: Vec<String> = versions
            .iter()
            .map(|(version, hosts)| {
                format!(
                    "{version} ({})",
                    hosts.iter().copied().collect::<Vec<_>>().join(" ")
                )
            })
            .collect();
        found.add(
            "Engine versions".into(),
            &all.join(", "),
            Some("one version"),
        );
    }
}

fn certificate(
    host: &HostName,
    validity: CertificateValidity,
    is_old: bool,
    now: i64,
    found: &mut ClusterDrift,
) {
    let (life, left) = (validity.until - validity.from, validity.until - now);
    if left * 100 < life * LEAST_LEFT {
        // Days and hours suffice to act on, and the same report a minute later should not look new.
        let span = |seconds: i64| {
            let (count, unit) = match seconds.unsigned_abs() / 3600 {
                hours @ 0..48 => (hours, "hour"),
                hours => (hours / 24, "day"),
            };
            format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
        };
        let (before, remedy) = if left > 0 {
            (
                format!("ends in {}", span(left)),
                format!("on {host}: `sudo systemctl restart docker` requests a new certificate"),
            )
        } else {
            (
                format!("ended {} ago", span(left)),
                format!(
                    "{host} was away for longer than its certificate lives: `skep apply` makes it join again; if its managers still refuse it, \
                     make the machine anew (`skep node rebuild {host}`)"
                ),
            )
        };
        // A node that is off renews nothing, and cannot return by itself after its certificate has
        // expired.
        let seen = if is_old {
            ", as last read; the node does not answer"
        } else {
            ""
        };
        found.add(
            format!("certificate of {host}"),
            &format!("{before}{seen}"),
            Some("renewed by the node"),
        );
        found.remedies.push(remedy);
    }
}

/// Formats a time span in days, hours or minutes: this suffices to act on, and the same report a
/// little later should not look new.
fn span(seconds: i64) -> String {
    let (count, unit) = match seconds.unsigned_abs() {
        seconds @ 0..3600 => (seconds / 60, "minute"),
        seconds if seconds < 48 * 3600 => (seconds / 3600, "hour"),
        seconds => (seconds / 86_400, "day"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
