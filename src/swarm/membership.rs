//! Which swarm is ours, and what this host is in it. Identity is the pair of cluster ID and node ID; a host name never
//! decides. What cannot be known stays unknown: it is never read as absence, so it never leads to a second swarm.

use super::{DockerInfo, DockerStatus, ManagerAddresses, SwarmNode, SwarmView};
use crate::model::{ProbeError, Refusal};
use crate::names::HostName;

/// What this host is in our swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Membership {
    /// No Engine yet.
    Bare,
    /// An Engine that does not answer: what it is cannot be told until it runs.
    Stopped(String),
    /// An Engine in no swarm.
    Inactive,
    /// An Engine that went half-way into a swarm and has no place in ours: it must leave before it can join.
    HalfJoined {
        /// `pending` or `error`.
        state: String,
        /// The Engine's own words.
        error: String,
    },
    /// A node of ours that is finding its managers again, e.g. after a reboot.
    Returning(SwarmNode),
    /// A node of ours.
    Member(SwarmNode),
    /// It still believes to be a node of ours, and our managers no longer know it.
    Removed {
        /// The node ID that it had.
        node_id: String,
    },
}

/// Our swarm, as far as one of its managers answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveSwarm {
    /// Identity of the cluster.
    pub cluster_id: String,
    /// Working managers of the group, the looking host last.
    pub managers: Vec<HostName>,
    /// All nodes.
    pub nodes: Vec<SwarmNode>,
    /// Default address pools.
    pub address_pool: Vec<String>,
    /// Prefix length of subnets cut from the pools.
    pub subnet_size: u8,
}

/// This host and our swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MembershipStatus {
    /// What this host is.
    pub membership: Membership,
    /// Our swarm, when a manager of the group (or this host itself) holds it.
    pub swarm: Option<LiveSwarm>,
    /// What the host's own Engine says.
    pub info: DockerInfo,
}

impl LiveSwarm {
    /// Managers to act through: any but the host itself, which is asked only when it is the only one.
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
    /// The host's own node, when it is one of ours.
    #[must_use]
    pub fn node(&self) -> Option<&SwarmNode> {
        match &self.membership {
            Membership::Member(node) | Membership::Returning(node) => Some(node),
            _ => None,
        }
    }
}

/// Why there is no standing to act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MembershipError {
    /// It is known, and acting would hurt.
    Refused(Refusal),
    /// It cannot be known now.
    Unknown(String),
}

/// The standing for a kind: what is unknown fails the probe, what is refused waits for the plan.
///
/// # Errors
/// [`ProbeError`] for [`MembershipError::Unknown`].
pub fn try_resolve(
    view: &SwarmView,
    ours: &ManagerAddresses,
) -> Result<Result<MembershipStatus, Refusal>, ProbeError> {
    match resolve_membership(view, ours) {
        Ok(standing) => Ok(Ok(standing)),
        Err(MembershipError::Refused(refusal)) => Ok(Err(refusal)),
        Err(MembershipError::Unknown(why)) => Err(ProbeError::Elsewhere(why)),
    }
}

/// Finds our swarm and the host's standing in it.
///
/// # Errors
/// [`MembershipError::Refused`] for a foreign, split, locked or damaged membership; [`MembershipError::Unknown`] when a manager that
/// may hold the swarm could not be read, or the swarm has no leader.
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

/// The swarm that the group's managers hold; `None` when none of those that answer does.
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
                "the swarm that {name} manages has no leader, so its nodes cannot be read or changed: {}",
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
                    "find out which one is meant; take the other host out by hand with `docker swarm leave --force` \
                         (on {first} or {name})"
                ),
            );
        }
    }
    // A manager outside the group (one that is to be demoted) may answer for the cluster too.
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

/// What a host that is in some swarm is in ours.
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
                "{} is a manager of the swarm and its Engine says `{state}`: {}",
                view.host, info.error
            ),
            "the Engine tries again by itself: wait a minute and run again; if it stays so, repair it by hand (making a manager leave could cost the swarm its majority)",
        ),
        ("active", None) if info.control_available => refuse(
            format!(
                "{} acts as a manager of cluster {}, whose other managers do not know its node {}",
                view.host, swarm.cluster_id, info.node_id
            ),
            "compare `docker node ls` on each manager, and take the stale one out by hand with `docker swarm leave --force`",
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

/// Whether one of the managers that the host remembers is ours.
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

/// A host that is in a swarm, while no manager of the group that answers holds one.
fn without_swarm(view: &SwarmView, ours: &ManagerAddresses, info: &DockerInfo) -> MembershipError {
    let remembered = info
        .remote_managers
        .iter()
        .any(|remote| ours.contains(&remote.addr));
    // A name in place of an address cannot be compared, so nothing can be concluded from it.
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

/// The refusal of a host that belongs to somebody else.
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

/// The first manager that may hold the swarm although it cannot be seen to.
fn unknown_manager(view: &SwarmView) -> Option<String> {
    view.others.iter().find_map(|(name, view)| match (view.unknown(), view.info()) {
        (Some(why), _) => {
            Some(format!("whether {name} holds the swarm cannot be known: {}", why.trim_end_matches('.')))
        }
        (None, Some(info)) if info.state != "inactive" && !info.state.is_empty() && !view.is_manager() => {
            Some(format!(
                "{name} is in a swarm (state `{}`) and does not manage it now; its managers: {}{}{}",
                info.state,
                info.remote_addresses(),
                if info.error.is_empty() { "" } else { "; it says: " },
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
