//! Refusals of a host that is in another swarm than ours, or in a swarm that no manager of the
//! group holds. No hint recommends `docker swarm leave --force`: Docker refuses `docker swarm
//! leave` on a manager, and the flag would end a swarm with its last manager. While an Engine is in
//! transition, not even Docker knows that it is a manager, and no hint lets it leave.

use super::{DockerInfo, LiveSwarm, ManagerAddresses, MembershipError, SwarmView, comparable};
use crate::model::Refusal;
use crate::names::HostName;

/// Returns true if one of the managers that the host has recorded is ours.
pub(super) fn knows_us(
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
pub(super) fn without_group(
    view: &SwarmView,
    ours: &ManagerAddresses,
    info: &DockerInfo,
) -> MembershipError {
    let host = &view.host;
    let remembered = info
        .remote_managers
        .iter()
        .any(|remote| ours.contains(&remote.addr));
    // A name in place of an address cannot be compared and proves nothing.
    let is_comparable = ours
        .managers
        .iter()
        .all(|(_, address)| comparable(address).is_some());
    let elsewhere = is_comparable && !remembered && !info.remote_managers.is_empty();
    if let Some(why) = unknown_manager(view)
        && !elsewhere
        && !info.control_available
    {
        return MembershipError::Unknown(why);
    }
    if let Some(holder) = holder(view, ours, info) {
        let what = if holder == *host {
            format!(
                "{host} manages the swarm of this inventory{}, and it is not in the group of managers",
                cluster(info)
            )
        } else {
            format!(
                "{host} is a node of the swarm that {holder} manages, and {holder} is not in the group of managers"
            )
        };
        return refused(
            format!("{what}; no host of that group manages it"),
            format!(
                "put {holder} back into the group, beside the new managers, and apply; take it out in a later run: a swarm ends with its \
                 last manager"
            ),
        );
    }
    if info.remote_managers.is_empty() && !info.control_available {
        return without_managers(view, info);
    }
    // The host itself may be the last manager of that swarm, whose Engine is starting.
    let managed = ours.managers.iter().any(|(name, _)| name == host)
        || info.remote_managers.iter().any(|remote| {
            (!info.node_id.is_empty() && remote.node_id == info.node_id)
                || is_own(view, ours, &remote.addr)
        });
    if !info.control_available && (managed || info.state != "active") {
        return in_transition(view, info);
    }
    if remembered && !info.control_available {
        return refused(
            format!(
                "{host} is a node of a swarm that was managed from {}, and no manager of the group holds that swarm any more",
                info.remote_addresses()
            ),
            format!(
                "bring the manager back, or restore its folder /var/lib/docker/swarm; if that swarm is gone for good, run `docker swarm \
                 leave` on {host}"
            ),
        );
    }
    other_swarm(view, info, None)
}

/// Returns the host of the inventory, outside the group, that manages the host's swarm: the host
/// itself if a manager of the group remembers its address, or a host whose address this one
/// remembers.
fn holder(view: &SwarmView, ours: &ManagerAddresses, info: &DockerInfo) -> Option<HostName> {
    let is_in_group = |name: &HostName| ours.managers.iter().any(|(manager, _)| manager == name);
    if info.control_available {
        let remembered = view.others.iter().any(|(_, other)| {
            other.info().is_some_and(|other| {
                other.remote_managers.iter().any(|remote| {
                    remote.node_id == info.node_id || is_own(view, ours, &remote.addr)
                })
            })
        });
        return (remembered && !is_in_group(&view.host)).then(|| view.host.clone());
    }
    info.remote_managers.iter().find_map(|remote| {
        let address = [comparable(&remote.addr)?];
        ours.hosts
            .owners(&address)
            .find(|name| !is_in_group(name) && **name != view.host)
            .cloned()
    })
}

/// Returns true if the inventory gives this address to the host itself.
fn is_own(view: &SwarmView, ours: &ManagerAddresses, address: &str) -> bool {
    comparable(address).is_some_and(|address| ours.hosts.has(&view.host, &[address]))
}

/// Returns the refusal of a host that belongs to another swarm.
pub(super) fn other_swarm(
    view: &SwarmView,
    info: &DockerInfo,
    swarm: Option<&LiveSwarm>,
) -> MembershipError {
    let host = &view.host;
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
                .filter(|name| *name != host.as_str())
                .collect();
            format!(
                "not in ours (cluster {}, managers {})",
                swarm.cluster_id,
                names.join(", ")
            )
        }
        None => "and no manager of the group is in it".into(),
    };
    let hint = if info.control_available {
        format!(
            "if {host} is meant to change swarms: it is a manager there, so make another node of that swarm a manager, demote {host} \
             (`docker node demote`), and run `docker swarm leave` on it; a swarm ends with its last manager"
        )
    } else if info.state == "active" {
        format!(
            "if {host} is meant to change swarms, run `docker swarm leave` on it by hand, then apply again"
        )
    } else {
        format!(
            "its Engine reports `{}`: wait until that state has ended, then run again",
            info.state
        )
    };
    refused(
        format!("{host} is already in another swarm ({theirs}), {wanted}"),
        hint,
    )
}

/// Returns the refusal of a host whose Engine is in a swarm and knows no manager.
pub(super) fn without_managers(view: &SwarmView, info: &DockerInfo) -> MembershipError {
    let error = if info.error.is_empty() {
        String::new()
    } else {
        format!(": {}", info.error)
    };
    settling(
        format!(
            "{} is in a swarm (state `{}`), and its Engine knows no manager of it yet{error}",
            view.host, info.state
        ),
        patience(&view.host),
    )
}

/// Returns the refusal of a host that may be the last manager of a swarm and does not act as one
/// now.
fn in_transition(view: &SwarmView, info: &DockerInfo) -> MembershipError {
    let error = if info.error.is_empty() {
        String::new()
    } else {
        format!(": {}", info.error)
    };
    settling(
        format!(
            "{} is a node of a swarm (state `{}`, managers {}) and does not manage it now, and no other manager of the group does{error}",
            view.host,
            info.state,
            info.remote_addresses()
        ),
        patience(&view.host),
    )
}

fn patience(host: &HostName) -> String {
    format!(
        "a swarm that is just being started, joined or loaded looks like this: wait a minute and run again; if it stays so, read \
         `journalctl -u docker` on {host}; restore its folder /var/lib/docker/swarm, or make the machine anew (`skep node rebuild {host}`)"
    )
}

fn cluster(info: &DockerInfo) -> String {
    info.cluster_id
        .as_ref()
        .map_or_else(String::new, |id| format!(" (cluster {id})"))
}

/// Returns the reason of the first manager that may belong to the swarm, but whose state is
/// unknown.
pub(super) fn unknown_manager(view: &SwarmView) -> Option<String> {
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

fn refused(why: String, hint: String) -> MembershipError {
    MembershipError::Refused(Refusal { why, hint })
}

fn settling(why: String, hint: String) -> MembershipError {
    MembershipError::Settling(Refusal { why, hint })
}
