//! The former swarm of a host that is about to start a new one. A manager whose folder
//! `/var/lib/docker/swarm` is empty (another `data-root`, a restored disk) looks like a machine
//! that was never in a swarm. The record of the last apply and the other hosts remember the swarm.

use std::net::IpAddr;

use super::SwarmMemberResource;
use crate::model::{APPLIED_RECORD, HostAnswers, Observation, ProbeError, Query, Refusal};
use crate::names::HostName;
use crate::swarm::{DockerStatus, Membership, MembershipStatus, comparable};

/// Traces of a former swarm.
#[derive(Debug, Default)]
pub(super) struct FormerSwarm {
    /// True if the record of the last apply contains a membership of this host.
    recorded: bool,
    /// Hosts whose Engines still remember this host as a manager.
    remembered_by: Vec<HostName>,
}

/// Returns the traces. Queries are sent only if the host would start a swarm.
pub(super) fn observe(
    member: &SwarmMemberResource,
    status: &MembershipStatus,
    answers: &HostAnswers,
) -> Result<Observation<FormerSwarm>, ProbeError> {
    let place = &member.place;
    let is_first = place.ours.managers.first().map(|(name, _)| name) == Some(&place.host);
    let starts = status.membership == Membership::Inactive && status.swarm.is_none() && is_first;
    if !starts || !member.init || member.accepts_new_swarm {
        return Ok(Observation::Known(FormerSwarm::default()));
    }
    let others: Vec<&HostName> = place
        .ours
        .hosts
        .names()
        .filter(|name| **name != place.host)
        .collect();
    let missing: Vec<Query> = others
        .iter()
        .map(|name| Query::docker_of((*name).clone(), "/info"))
        .chain([Query::content(APPLIED_RECORD)])
        .filter(|query| !answers.contains(query))
        .collect();
    if !missing.is_empty() {
        return Ok(Observation::Needs(missing));
    }
    let own: Vec<IpAddr> = answers
        .facts()?
        .addresses
        .iter()
        .chain([&place.advertise])
        .filter_map(|address| comparable(address))
        .collect();
    let mut remembered_by = Vec::new();
    for name in others {
        let engine = DockerStatus::read(answers.docker_of(name, "/info")?);
        let remembers = engine.info().is_some_and(|info| {
            info.remote_managers.iter().any(|remote| {
                comparable(&remote.addr).is_some_and(|address| {
                    own.contains(&address) || place.ours.hosts.has(&place.host, &[address])
                })
            })
        });
        if remembers {
            remembered_by.push(name.clone());
        }
    }
    let record = answers.path(APPLIED_RECORD)?;
    Ok(Observation::Known(FormerSwarm {
        recorded: record
            .is_some_and(|file| names_a_membership(file.content.as_deref().unwrap_or_default())),
        remembered_by,
    }))
}

/// Returns true if the record of the last apply names a `swarm_member`.
fn names_a_membership(record: &[u8]) -> bool {
    let record: serde_json::Value = serde_json::from_slice(record).unwrap_or_default();
    record["resources"]
        .as_object()
        .is_some_and(|resources| resources.keys().any(|id| id.starts_with("swarm_member[")))
}

impl FormerSwarm {
    /// Refuses to start a new swarm over a former one.
    ///
    /// # Errors
    /// A [`Refusal`] with the ways back to the old swarm and to a new one.
    pub(super) fn check(&self, host: &HostName) -> Result<(), Refusal> {
        let names: Vec<&str> = self.remembered_by.iter().map(HostName::as_str).collect();
        let names = names.join(", ");
        let (trace, leave) = if !names.is_empty() {
            (
                format!("it is still known as a manager of a swarm to {names}"),
                format!("; run `docker swarm leave` on {names} before that"),
            )
        } else if self.recorded {
            (
                "the record of the last apply says that it was in one".into(),
                String::new(),
            )
        } else {
            return Ok(());
        };
        Err(Refusal {
            why: format!(
                "{host} is in no swarm, but {trace}: its data in /var/lib/docker/swarm is gone, or its Engine uses another folder"
            ),
            hint: format!(
                "undo a change of `data-root` or `userns-remap`, or restore /var/lib/docker/swarm from a backup while Docker is stopped; \
                 if the old swarm is gone for good, `skep apply --new-cluster` starts a new, empty one without its services, secrets, \
                 configs and labels{leave}"
            ),
        })
    }
}
