//! Finds our swarm, and the membership of this host in it. The identity is the pair of cluster ID
//! and node ID, and the managers must agree with it (`identity`). An unknown state stays unknown:
//! it is never read as absence, and thus never leads to a second swarm.

use super::other_swarm::{knows_us, other_swarm, unknown_manager, without_group, without_managers};
use super::{DockerInfo, DockerStatus, ManagerAddresses, NodeClaim, SwarmNode, SwarmView};
use crate::model::{ProbeError, Refusal};
use crate::names::HostName;

/// State of this host in our swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// The host has no Engine yet.
    Bare,
    /// The Engine does not answer; its membership is unknown until it runs.
    Stopped(String),
    /// The Engine is in no swarm.
    Inactive,
    /// The Engine has joined a swarm only in part and is no node of ours: it must leave before it
    /// can join.
    HalfJoined {
        /// `pending` or `error`.
        state: String,
        /// Error text of the Engine.
        error: String,
    },
    /// The host is a node of our swarm that is reconnecting to its managers, e.g. after a reboot.
    Returning(SwarmNode),
    /// The host is a node of our swarm.
    Member(SwarmNode),
    /// The Engine still reports membership in our swarm, but our managers no longer list its node.
    Removed {
        /// Former node ID.
        node_id: String,
    },
}

/// Our swarm as one of its managers reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSwarm {
    /// ID of the cluster.
    pub cluster_id: String,
    /// Working managers of the group, the observing host last.
    pub managers: Vec<HostName>,
    /// Nodes of the swarm.
    pub nodes: Vec<SwarmNode>,
    /// Default address pools.
    pub address_pool: Vec<String>,
    /// Prefix length of subnets cut from the pools.
    pub subnet_size: u8,
}

/// The membership of this host, and our swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipStatus {
    /// Membership of this host.
    pub membership: Membership,
    /// Our swarm, if a manager of the group (or this host itself) reports it.
    pub swarm: Option<LiveSwarm>,
    /// Report of the host's own Engine.
    pub info: DockerInfo,
}

impl LiveSwarm {
    /// Returns the managers to act through: all but the host itself, which is used only if it is
    /// the only manager.
    #[must_use]
    pub fn peers_of(&self, host: &HostName) -> Vec<HostName> {
        let peers: Vec<HostName> = self
            .managers
            .iter()
            .filter(|name| *name != host)
            .cloned()
            .collect();
        if peers.is_empty() {
            self.managers.clone()
        } else {
            peers
        }
    }
}

impl MembershipStatus {
    /// Returns the host's own node if it is a node of our swarm.
    #[must_use]
    pub fn node(&self) -> Option<&SwarmNode> {
        match &self.membership {
            Membership::Member(node) | Membership::Returning(node) => Some(node),
            _ => None,
        }
    }
}

/// Reason why no membership can be acted on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipError {
    /// The membership is known, and acting would do harm.
    Refused(Refusal),
    /// The Engine is about to change its state by itself. Acting now would do harm; a minute later,
    /// the membership can be read.
    Settling(Refusal),
    /// The membership is currently unknown.
    Unknown(String),
}

/// Known membership, or the refusal to act on it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one per resource, and nearly all of them are resolved"
)]
pub enum MembershipObservation {
    /// The membership is known and can be acted on.
    Resolved(MembershipStatus),
    /// The membership is known, and acting would do harm. `plan` reports the reason.
    Refused(Refusal),
}

impl MembershipObservation {
    /// Returns the membership.
    ///
    /// # Errors
    /// The [`Refusal`] of [`MembershipObservation::Refused`].
    pub fn status(&self) -> Result<&MembershipStatus, Refusal> {
        match self {
            Self::Resolved(status) => Ok(status),
            Self::Refused(refusal) => Err(refusal.clone()),
        }
    }
}

/// Like [`resolve_membership`], but an unknown state becomes a [`ProbeError`], while a refusal is
/// returned for `plan` to report.
///
/// # Errors
/// [`ProbeError`] for [`MembershipError::Unknown`] and [`MembershipError::Settling`].
pub fn observe_membership(
    view: &SwarmView,
    ours: &ManagerAddresses,
) -> Result<MembershipObservation, ProbeError> {
    match resolve_membership(view, ours) {
        Ok(status) => Ok(MembershipObservation::Resolved(status)),
        Err(MembershipError::Refused(refusal)) => Ok(MembershipObservation::Refused(refusal)),
        Err(MembershipError::Settling(Refusal { why, hint })) => {
            Err(ProbeError::Settling { why, hint })
        }
        Err(MembershipError::Unknown(why)) => Err(ProbeError::Elsewhere(why)),
    }
}

/// Finds our swarm and the host's membership in it.
///
/// # Errors
/// [`MembershipError::Refused`] for a foreign, split, locked or damaged membership;
/// [`MembershipError::Settling`] while the Engine joins, leaves, starts or changes its role;
/// [`MembershipError::Unknown`] when a manager that may belong to the swarm could not be read, or
/// the swarm has no leader.
pub fn resolve_membership(
    view: &SwarmView,
    ours: &ManagerAddresses,
) -> Result<MembershipStatus, MembershipError> {
    let info = view.own.info().cloned().unwrap_or_default();
    if info.state == "locked" {
        return refuse(
            format!("the swarm on {} is locked", view.host),
            "run `docker swarm unlock` on it with the unlock key, then apply again",
        );
    }
    // The membership of a stopped Engine is known once it runs. An unknown swarm is no reason to
    // leave the Engine stopped: it may be the manager that the swarm lacks.
    let stopped = view.own.unknown().is_some();
    let swarm = match our_swarm(view, ours, &info) {
        Err(MembershipError::Unknown(_)) if stopped => None,
        swarm => swarm?,
    };
    let membership = match &view.own {
        DockerStatus::Absent => Membership::Bare,
        DockerStatus::Down(why) | DockerStatus::Unreachable(why) | DockerStatus::Failed(why) => {
            Membership::Stopped(why.clone())
        }
        DockerStatus::Answered(info) if info.state == "inactive" || info.state.is_empty() => {
            Membership::Inactive
        }
        DockerStatus::Answered(info) => match &swarm {
            Some(swarm) => in_swarm(view, ours, info, swarm)?,
            None => return Err(without_group(view, ours, info)),
        },
    };
    if let (None, Some(why), false) = (&swarm, unknown_manager(view), stopped) {
        return Err(MembershipError::Unknown(why));
    }
    Ok(MembershipStatus {
        membership,
        swarm,
        info,
    })
}

/// Returns the swarm that the group's managers report; `None` when no answering manager reports a
/// swarm.
fn our_swarm(
    view: &SwarmView,
    ours: &ManagerAddresses,
    own: &DockerInfo,
) -> Result<Option<LiveSwarm>, MembershipError> {
    let in_group = ours.managers.iter().any(|(name, _)| *name == view.host);
    let mut managers = view
        .managers()
        .filter(|(name, _)| **name != view.host || in_group);
    let Some((first, holder, cluster_id)) =
        managers.find_map(|(name, info)| Some((name, info, info.cluster_id.clone()?)))
    else {
        return match view.managers().find(|(_, info)| info.cluster_id.is_none()) {
            Some((name, info)) => Err(MembershipError::Unknown(format!(
                "the swarm that {name} manages has no leader; its nodes cannot be read or changed: {}",
                if info.error.is_empty() {
                    "the Engine gives no reason"
                } else {
                    &info.error
                }
            ))),
            None => Ok(None),
        };
    };
    for (name, info) in managers {
        if let Some(other) = info
            .cluster_id
            .as_ref()
            .filter(|other| **other != cluster_id)
        {
            return refuse(
                format!(
                    "the managers are in different swarms: {first} in cluster {cluster_id}, {name} in cluster {other}"
                ),
                format!(
                    "compare `docker node ls` and `docker service ls` on {first} and on {name}; take the host of the wrong cluster out of \
                         the group of managers until it has left that cluster; a swarm ends with its last manager, and its services, \
                         secrets and labels with it"
                ),
            );
        }
    }
    let foreign = own.cluster_id.as_ref().is_some_and(|id| *id != cluster_id);
    let nodes = match &view.nodes {
        Some(Ok(nodes)) => nodes.clone(),
        Some(Err(why)) if !foreign => {
            return Err(MembershipError::Unknown(format!(
                "no manager of the swarm lists its nodes: {why}"
            )));
        }
        _ => Vec::new(),
    };
    // A manager outside the group (e.g. before its demotion) may answer for the cluster too, if the
    // managers list it at an address that the operator wrote: requests carry secrets.
    let listed = |info: &DockerInfo| {
        nodes.iter().any(|node| {
            node.id == info.node_id
                && node.manager.is_some()
                && ours.hosts.has(&view.host, &node.seen_at())
        })
    };
    let names = view
        .managers()
        .filter(|(_, info)| info.cluster_id.as_ref() == Some(&cluster_id))
        .filter(|(name, info)| **name != view.host || in_group || listed(info))
        .map(|(name, _)| name.clone())
        .collect();
    Ok(Some(LiveSwarm {
        cluster_id,
        managers: names,
        nodes,
        address_pool: holder.address_pool.clone(),
        subnet_size: holder.subnet_size,
    }))
}

/// Returns the membership in our swarm of a host that is in some swarm.
fn in_swarm(
    view: &SwarmView,
    ours: &ManagerAddresses,
    info: &DockerInfo,
    swarm: &LiveSwarm,
) -> Result<Membership, MembershipError> {
    if info
        .cluster_id
        .as_ref()
        .is_some_and(|id| *id != swarm.cluster_id)
    {
        return Err(other_swarm(view, info, Some(swarm)));
    }
    let node = swarm
        .nodes
        .iter()
        .find(|node| !info.node_id.is_empty() && node.id == info.node_id);
    if let Some(node) = node {
        let claim = NodeClaim {
            host: &view.host,
            info,
            addresses: &view.addresses,
        };
        let managers = view
            .managers()
            .filter(|(_, info)| info.cluster_id.as_ref() == Some(&swarm.cluster_id));
        claim
            .check(node, &ours.hosts, managers)
            .map_err(MembershipError::Refused)?;
    }
    match (info.state.as_str(), node) {
        ("active", Some(node)) => Ok(Membership::Member(node.clone())),
        ("pending", Some(node)) => Ok(Membership::Returning(node.clone())),
        (state, Some(node)) if node.manager.is_some() => settling(
            format!(
                "{} is a manager of the swarm and its Engine reports `{state}`: {}",
                view.host, info.error
            ),
            format!(
                "the Engine retries by itself: wait a minute and run again; if the state persists, make the machine anew \
                 (`skep node rebuild {}`): a manager that leaves could cost the swarm its majority",
                view.host
            ),
        ),
        ("active", None) if info.control_available => settling(
            format!(
                "{} acts as a manager of cluster {}, whose other managers do not know its node {}",
                view.host, swarm.cluster_id, info.node_id
            ),
            format!(
                "a manager that just joined or was just demoted looks like this: wait a minute and run again; if it stays so, compare \
                 `docker node ls` on each manager, and make {host} anew with `skep node rebuild {host}`",
                host = view.host
            ),
        ),
        (_, None) if !info.remote_managers.is_empty() && !knows_us(view, ours, info, swarm) => {
            Err(other_swarm(view, info, Some(swarm)))
        }
        ("active", None) if info.remote_managers.is_empty() => Err(without_managers(view, info)),
        (_, None) if reachable_manager_at(view, ours, swarm).is_some() => {
            Err(unclaimed_manager(view, ours, info, swarm))
        }
        ("active", None) => Ok(Membership::Removed {
            node_id: info.node_id.clone(),
        }),
        (state, _) => Ok(Membership::HalfJoined {
            state: state.into(),
            error: info.error.clone(),
        }),
    }
}

/// Returns the refusal of a host whose Engine does not know its node, while the managers list a
/// manager at its address. An Engine that is starting does not know its node ID yet. If it left
/// now, the swarm would keep the vote of a manager that is gone.
fn unclaimed_manager(
    view: &SwarmView,
    ours: &ManagerAddresses,
    info: &DockerInfo,
    swarm: &LiveSwarm,
) -> MembershipError {
    let host = &view.host;
    let node = reachable_manager_at(view, ours, swarm)
        .map(|node| format!(": node {} ({})", node.short_id(), node.hostname))
        .unwrap_or_default();
    MembershipError::Settling(Refusal {
        why: format!(
            "the Engine of {host} reports `{}` and node ID `{}`, but the managers list a reachable manager at its address{node}",
            info.state, info.node_id
        ),
        hint: format!(
            "an Engine that is starting looks like this: wait a minute and run again; if it stays so, read `journalctl -u docker` on \
             {host}, or make the machine anew (`skep node rebuild {host}`)"
        ),
    })
}

/// Returns the reachable manager that the managers see at the address of the host, whatever the
/// host's own Engine says.
fn reachable_manager_at<'a>(
    view: &SwarmView,
    ours: &ManagerAddresses,
    swarm: &'a LiveSwarm,
) -> Option<&'a SwarmNode> {
    swarm
        .nodes
        .iter()
        .find(|node| node.is_reachable_manager() && ours.hosts.has(&view.host, &node.seen_at()))
}

fn settling<T>(why: String, hint: String) -> Result<T, MembershipError> {
    Err(MembershipError::Settling(Refusal { why, hint }))
}

fn refuse<T>(why: impl Into<String>, hint: impl Into<String>) -> Result<T, MembershipError> {
    Err(MembershipError::Refused(Refusal {
        why: why.into(),
        hint: hint.into(),
    }))
}
