//! Finds our swarm, and the membership of this host in it. The identity is the pair of cluster ID
//! and node ID; a host name never decides. An unknown state stays unknown: it is never read as
//! absence, and thus never leads to a second swarm.

use super::{DockerInfo, DockerStatus, ManagerAddresses, SwarmNode, SwarmView};
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
/// [`ProbeError`] for [`MembershipError::Unknown`].
pub fn observe_membership(
    view: &SwarmView,
    ours: &ManagerAddresses,
) -> Result<MembershipObservation, ProbeError> {
    match resolve_membership(view, ours) {
        Ok(status) => Ok(MembershipObservation::Resolved(status)),
        Err(MembershipError::Refused(refusal)) => Ok(MembershipObservation::Refused(refusal)),
        Err(MembershipError::Unknown(why)) => Err(ProbeError::Elsewhere(why)),
    }
}

/// Finds our swarm and the host's membership in it.
///
/// # Errors
/// [`MembershipError::Refused`] for a foreign, split, locked or damaged membership;
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
    let swarm = our_swarm(view, ours, &info)?;
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
            None => return Err(without_swarm(view, ours, info)),
        },
    };
    if let (None, Some(why)) = (&swarm, unknown_manager(view)) {
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
                    "find out which cluster is the right one; remove the other host by hand with `docker swarm leave --force` \
                         (on {first} or {name})"
                ),
            );
        }
    }
    // A manager outside the group (e.g. before its demotion) may answer for the cluster too.
    let names = view
        .managers()
        .filter(|(_, info)| info.cluster_id.as_ref() == Some(&cluster_id))
        .map(|(name, _)| name.clone())
        .collect();
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
        return Err(foreign(view, info, Some(swarm)));
    }
    let node = swarm
        .nodes
        .iter()
        .find(|node| !info.node_id.is_empty() && node.id == info.node_id);
    match (info.state.as_str(), node) {
        ("active", Some(node)) => Ok(Membership::Member(node.clone())),
        ("pending", Some(node)) => Ok(Membership::Returning(node.clone())),
        (state, Some(node)) if node.manager.is_some() => refuse(
            format!(
                "{} is a manager of the swarm and its Engine reports `{state}`: {}",
                view.host, info.error
            ),
            "the Engine retries by itself: wait a minute and run again; if the state persists, repair it by hand (making a manager leave could cost the swarm its majority)",
        ),
        ("active", None) if info.control_available => refuse(
            format!(
                "{} acts as a manager of cluster {}, whose other managers do not know its node {}",
                view.host, swarm.cluster_id, info.node_id
            ),
            "compare `docker node ls` on each manager, and remove the stale manager by hand with `docker swarm leave --force`",
        ),
        (_, None) if !info.remote_managers.is_empty() && !knows_us(view, ours, info, swarm) => {
            Err(foreign(view, info, Some(swarm)))
        }
        ("active", None) if info.remote_managers.is_empty() => {
            Err(foreign(view, info, Some(swarm)))
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

/// Returns true if one of the managers that the host has recorded is ours.
fn knows_us(
    view: &SwarmView,
    ours: &ManagerAddresses,
    info: &DockerInfo,
    swarm: &LiveSwarm,
) -> bool {
    info.remote_managers.iter().any(|remote| {
        ours.contains(&remote.addr)
            || swarm.nodes.iter().any(|node| node.id == remote.node_id)
            || view.managers().any(|(_, manager)| {
                !manager.node_id.is_empty() && manager.node_id == remote.node_id
            })
    })
}

/// Returns the error for a host that is in a swarm while no answering manager of the group is in
/// one.
fn without_swarm(view: &SwarmView, ours: &ManagerAddresses, info: &DockerInfo) -> MembershipError {
    let remembered = info
        .remote_managers
        .iter()
        .any(|remote| ours.contains(&remote.addr));
    // A name in place of an address cannot be compared and proves nothing.
    let comparable = ours.managers.iter().all(|(_, address)| {
        super::host_part(address)
            .parse::<std::net::IpAddr>()
            .is_ok()
    });
    let elsewhere = comparable && !remembered && !info.remote_managers.is_empty();
    match unknown_manager(view) {
        Some(why) if !elsewhere && !info.control_available => MembershipError::Unknown(why),
        _ if remembered && !info.control_available => MembershipError::Refused(Refusal {
            why: format!(
                "{} is a node of a swarm that was managed from {}, and no manager of the group holds that swarm any more",
                view.host,
                info.remote_addresses()
            ),
            hint: format!(
                "bring the manager back; or, if that swarm is gone for good, run `docker swarm leave --force` on {}",
                view.host
            ),
        }),
        _ => foreign(view, info, None),
    }
}

/// Returns the refusal of a host that belongs to another swarm.
fn foreign(view: &SwarmView, info: &DockerInfo, swarm: Option<&LiveSwarm>) -> MembershipError {
    let theirs = match &info.cluster_id {
        Some(id) => format!("cluster {id}, managers {}", info.remote_addresses()),
        None => format!(
            "node {}, managers {}",
            if info.node_id.is_empty() {
                "unknown"
            } else {
                &info.node_id
            },
            info.remote_addresses()
        ),
    };
    let wanted = match swarm {
        Some(swarm) => {
            let names: Vec<&str> = swarm
                .managers
                .iter()
                .map(HostName::as_str)
                .filter(|name| *name != view.host.as_str())
                .collect();
            format!(
                "not in ours (cluster {}, managers {})",
                swarm.cluster_id,
                names.join(", ")
            )
        }
        None => "and no manager of the group is in it".into(),
    };
    MembershipError::Refused(Refusal {
        why: format!(
            "{} is already in another swarm ({theirs}), {wanted}",
            view.host
        ),
        hint: format!(
            "if {} is meant to change swarms, run `docker swarm leave --force` on it by hand, then apply again",
            view.host
        ),
    })
}

/// Returns the reason of the first manager that may belong to the swarm, but whose state is
/// unknown.
fn unknown_manager(view: &SwarmView) -> Option<String> {
    view.others.iter().find_map(|(name, view)| match (view.unknown(), view.info()) {
        (Some(why), _) => {
            Some(format!("cannot determine whether {name} is in the swarm: {}", why.trim_end_matches('.')))
        }
        (None, Some(info)) if info.state != "inactive" && !info.state.is_empty() && !view.is_manager() => {
            Some(format!(
                "{name} is in a swarm (state `{}`) and does not manage it now; its managers: {}{}{}",
                info.state,
                info.remote_addresses(),
                if info.error.is_empty() { "" } else { "; its error: " },
                info.error
            ))
        }
        _ => None,
    })
}

fn refuse<T>(why: impl Into<String>, hint: impl Into<String>) -> Result<T, MembershipError> {
    Err(MembershipError::Refused(Refusal {
        why: why.into(),
        hint: hint.into(),
    }))
}
