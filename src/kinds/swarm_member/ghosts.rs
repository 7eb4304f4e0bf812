//! Ghost nodes: entries that this machine left behind in the list of nodes. Each join creates a new
//! node, and the old node stays `down`. Only an entry with this machine's own host name *and*
//! address is removed; a similar entry is only mentioned. An entry that is not `down` is first
//! awaited: a host that says that it has left may be wrong.

use super::SwarmMemberResource;
use super::steps::{ACTIVE_WITHIN, DOWN_WITHIN, call, wait};
use crate::model::{Action, Change, DisplayValue, Step};
use crate::names::HostName;
use crate::swarm::{Membership, MembershipStatus, SwarmNode, VoterLoss, host_part, may_lose};

/// Ghost nodes of this machine, and notes about similar nodes.
#[derive(Debug, Default)]
pub(super) struct GhostNodes {
    managers: Vec<HostName>,
    ours: Vec<SwarmNode>,
    notes: Vec<String>,
}

/// Finds the ghost nodes. A host whose own membership is unclear has none, because each entry may
/// be the host itself.
pub(super) fn find(
    member: &SwarmMemberResource,
    status: &MembershipStatus,
    hostname: &str,
) -> GhostNodes {
    let Some(swarm) = &status.swarm else {
        return GhostNodes::default();
    };
    let own = match &status.membership {
        Membership::Member(node) => Some(node.id.as_str()),
        Membership::Stopped(_) | Membership::Returning(_) => return GhostNodes::default(),
        _ => None,
    };
    let hostname = if status.info.name.is_empty() {
        hostname
    } else {
        &status.info.name
    };
    let address = host_part(&member.place.advertise);
    let mut ghosts = GhostNodes {
        managers: swarm.peers_of(&member.place.host),
        ..GhostNodes::default()
    };
    for node in swarm
        .nodes
        .iter()
        .filter(|node| node.hostname == hostname && own != Some(node.id.as_str()))
    {
        // A host that just left is reported as down only after some heartbeats; a node that is up
        // beside a member is another machine.
        if own.is_some() && node.state != "down" {
            continue;
        }
        if node.address != address {
            ghosts.notes.push(format!(
                "node {} ({}, {} at {}) has the host name of {} but another address; if it is gone for good, remove it \
                 with `docker node rm {}`",
                node.id, node.hostname, node.state, node.address, member.place.host, node.id
            ));
            continue;
        }
        // The host name is its own word: a node at the address of another host is that host.
        let seen = node.seen_at();
        let mut owners = member.place.ours.hosts.owners(&seen);
        if let Some(owner) = owners.find(|name| **name != member.place.host) {
            ghosts.notes.push(format!(
                "node {} ({}) stays: it has the host name of {}, and the managers see it at the address of {owner}",
                node.id, node.hostname, member.place.host
            ));
            continue;
        }
        match may_lose(
            &swarm.nodes,
            &node.id,
            &format!("the ghost {}", node.id),
            VoterLoss::Demotion,
        ) {
            Ok(_) => ghosts.ours.push(node.clone()),
            Err(refusal) => ghosts
                .notes
                .push(format!("ghost node {} stays: {}", node.id, refusal.why)),
        }
    }
    ghosts
}

impl GhostNodes {
    /// Adds the demotion of ghosts that were managers. This precedes a join; otherwise the new
    /// voter would raise the majority while a dead voter still counts.
    pub(super) fn bury_voters(&self, mut change: Change) -> Change {
        for ghost in self.ours.iter().filter(|ghost| ghost.manager.is_some()) {
            change = self.until_down(change, ghost);
            for step in self.demotion(ghost) {
                change = change.step(step);
            }
        }
        change
    }

    /// Adds the removal of all ghosts to a change, or creates a change for it.
    pub(super) fn bury(&self, change: Option<Change>) -> Option<Change> {
        if self.ours.is_empty() {
            return change.map(|mut change| {
                change.notes.extend(self.notes.iter().cloned());
                change
            });
        }
        let joins = change
            .as_ref()
            .is_some_and(|change| change.action == Action::Create);
        let mut change = change.unwrap_or_else(|| Change::new(Action::Update));
        if !joins {
            change = self.bury_voters(change);
        }
        for ghost in &self.ours {
            change = change.field(
                format!("ghost node {}", ghost.id),
                DisplayValue::text(&ghost.state),
                DisplayValue::text("removed"),
            );
            let path = format!("/nodes/{}", ghost.id);
            if ghost.manager.is_none() {
                change = self.until_down(change, ghost);
            }
            // The call is without force, because the Engine then refuses to remove a node that is
            // not down.
            let summary = format!("remove ghost node {}", ghost.short_id());
            change = change.step(call(
                summary,
                self.managers.clone(),
                "DELETE",
                &path,
                None,
                Vec::new(),
            ));
        }
        change.notes.extend(self.notes.iter().cloned());
        Some(change)
    }

    /// Adds the wait until the managers report the ghost as down, if they do not yet.
    fn until_down(&self, change: Change, ghost: &SwarmNode) -> Change {
        if ghost.state == "down" {
            return change;
        }
        change.step(wait(
            format!("wait until ghost node {} is down", ghost.short_id()),
            self.managers.clone(),
            format!("/nodes/{}", ghost.id),
            "/Status/State",
            "down",
            DOWN_WITHIN,
        ))
    }

    fn demotion(&self, ghost: &SwarmNode) -> [Step; 2] {
        let mut spec = ghost.spec.clone();
        spec["Role"] = "worker".into();
        let update = format!("/nodes/{}/update?version={}", ghost.id, ghost.version);
        let view = format!("/nodes/{}", ghost.id);
        let name = ghost.short_id();
        [
            call(
                format!("demote ghost node {name}"),
                self.managers.clone(),
                "POST",
                update,
                Some(spec),
                Vec::new(),
            ),
            wait(
                format!("wait until ghost node {name} has no vote"),
                self.managers.clone(),
                view,
                "/ManagerStatus",
                serde_json::Value::Null,
                ACTIVE_WITHIN,
            ),
        ]
    }
}
