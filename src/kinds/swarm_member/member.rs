//! Plan for a host that is already a node of the swarm: changes its role and availability. A
//! difference that only leaving and joining could fix is refused, because that would cost the node
//! its identity and its labels.

use std::net::IpAddr;

use super::SwarmMemberResource;
use super::steps::{ACTIVE_WITHIN, call, wait, wait_own};
use crate::model::{Action, Change, DisplayValue, Disruption, Refusal};
use crate::names::HostName;
use crate::swarm::{
    LiveSwarm, MembershipStatus, NodeRole, SwarmNode, VoterLoss, host_part, may_lose,
};

/// Returns the change for a member; `None` when it is in sync.
pub(super) fn plan(
    member: &SwarmMemberResource,
    status: &MembershipStatus,
    node: &SwarmNode,
    addresses: &[String],
) -> Result<Option<Change>, Refusal> {
    let Some(swarm) = &status.swarm else {
        return Ok(None);
    };
    check_fixed(member, status, swarm)?;
    check_still_there(member, status, node, addresses)?;

    let availability = member
        .availability
        .filter(|wanted| wanted.word() != node.availability);
    if node.role == member.role && availability.is_none() {
        return Ok(unfinished_role(
            member,
            status,
            node,
            swarm.peers_of(&member.place.host),
        ));
    }
    let host = &member.place.host;
    let managers = swarm.peers_of(host);
    let mut change = Change::new(Action::Update);
    let mut spec = node.spec.clone();
    if node.role != member.role {
        spec["Role"] = member.role.word().into();
        change = change.field(
            "role",
            DisplayValue::text(node.role.word()),
            DisplayValue::text(member.role.word()),
        );
    }
    if let Some(wanted) = availability {
        spec["Availability"] = wanted.word().into();
        change = change.field(
            "availability",
            DisplayValue::text(&node.availability),
            DisplayValue::text(wanted.word()),
        );
        if wanted == super::NodeAvailability::Drain {
            change = change.note(format!("running tasks of {host} move to other nodes"));
        }
    }
    // An Engine that becomes a manager again before its demotion has ended fails at every start.
    let is_promotion = node.role == NodeRole::Worker && member.role == NodeRole::Manager;
    if is_promotion && (status.info.control_available || node.manager.is_some()) {
        change = until_settled(change, node, managers.clone()).note(format!(
            "{host} is being demoted; the promotion waits until that has ended"
        ));
    }
    let summary = match (node.role, member.role) {
        (NodeRole::Worker, NodeRole::Manager) => format!("promote {host}"),
        (NodeRole::Manager, NodeRole::Worker) => format!("demote {host}"),
        _ => format!("set the availability of {host}"),
    };
    let path = format!("/nodes/{}/update?version={}", node.id, node.version);
    change = change.step(call(
        summary,
        managers.clone(),
        "POST",
        path,
        Some(spec),
        Vec::new(),
    ));
    let view = format!("/nodes/{}", node.id);
    match (node.role, member.role) {
        (NodeRole::Worker, NodeRole::Manager) => Ok(Some(
            change
                .step(wait(
                    "wait until the managers can reach it",
                    managers,
                    view,
                    "/ManagerStatus/Reachability",
                    "reachable",
                    ACTIVE_WITHIN,
                ))
                .step(wait_own(
                    "wait until it manages the swarm",
                    "/Swarm/ControlAvailable",
                    true,
                )),
        )),
        (NodeRole::Manager, NodeRole::Worker) => {
            // The plan refuses only a demotion that `--force` cannot permit; otherwise the guard
            // decides before the step.
            let note = match may_lose(&swarm.nodes, &node.id, host.as_str(), VoterLoss::Demotion) {
                Ok(allowed) => allowed.note,
                Err(refusal)
                    if swarm
                        .nodes
                        .iter()
                        .filter(|node| node.manager.is_some())
                        .count()
                        < 2 =>
                {
                    return Err(refusal);
                }
                Err(refusal) => Some(format!("will be refused: {}", refusal.why)),
            };
            change.notes.extend(note);
            Ok(Some(
                until_settled(change, node, managers).disturbing(Disruption::ManagerLoss),
            ))
        }
        _ => Ok(Some(change)),
    }
}

/// Refuses changes of the advertised address of a node and of the pools of a swarm, which cannot be
/// changed in place.
fn check_fixed(
    member: &SwarmMemberResource,
    status: &MembershipStatus,
    swarm: &LiveSwarm,
) -> Result<(), Refusal> {
    let host = &member.place.host;
    let (wanted, live) = (
        host_part(&member.place.advertise),
        status.info.node_address.as_str(),
    );
    if member.place.advertise_is_explicit
        && wanted.parse::<IpAddr>().is_ok()
        && !live.is_empty()
        && wanted != live
    {
        return Err(Refusal {
            why: format!(
                "{host} advertises {live} in the swarm, not {wanted}, and a node cannot change that without leaving"
            ),
            hint: format!(
                "if its address has changed: drain it, run `docker swarm leave` on it and apply again (or `skep node rebuild {host}`); \
                 if not, set its swarm_address to {live}"
            ),
        });
    }
    if !member.init || member.address_pool.is_empty() || swarm.address_pool.is_empty() {
        return Ok(());
    }
    let mut wanted: Vec<String> = member
        .address_pool
        .iter()
        .map(ToString::to_string)
        .collect();
    let mut live = swarm.address_pool.clone();
    wanted.sort();
    live.sort();
    if wanted == live && member.subnet_size == swarm.subnet_size {
        return Ok(());
    }
    Err(Refusal {
        why: format!(
            "the swarm's address pool is {} by /{}, not {} by /{}, and it cannot be changed after the start of the swarm",
            live.join(", "),
            swarm.subnet_size,
            wanted.join(", "),
            member.subnet_size
        ),
        hint: "write the live pool into the playbook; another pool needs a new swarm".into(),
    })
}

/// Refuses an advertised address that the host no longer has, as after a reload with another
/// address: the managers receive the node's traffic from its new address, while the other nodes use
/// the old address for the overlay networks. An address that the host never had (that of a router
/// in front of it) is not an error.
fn check_still_there(
    member: &SwarmMemberResource,
    status: &MembershipStatus,
    node: &SwarmNode,
    addresses: &[String],
) -> Result<(), Refusal> {
    let (host, live, heard) = (&member.place.host, &status.info.node_address, &node.address);
    if live.is_empty() || live == heard || addresses.contains(live) || !addresses.contains(heard) {
        return Ok(());
    }
    Err(Refusal {
        why: format!(
            "{host} advertises {live} in the swarm but no longer has that address: the managers see it at {heard}"
        ),
        hint: format!(
            "give it {live} again; or set its swarm_address to {heard}, drain it, run `docker swarm leave` on it and apply again \
             (or `skep node rebuild {host}`)"
        ),
    })
}

/// Returns the change for a role that is recorded but not yet effective: the voters, or the host's
/// own Engine, still have the other role.
fn unfinished_role(
    member: &SwarmMemberResource,
    status: &MembershipStatus,
    node: &SwarmNode,
    managers: Vec<HostName>,
) -> Option<Change> {
    let change = Change::new(Action::Update);
    match member.role {
        NodeRole::Manager if !status.info.control_available => Some(
            change
                .field(
                    "role",
                    DisplayValue::text("worker (promotion under way)"),
                    DisplayValue::text("manager"),
                )
                .step(wait_own(
                    "wait until it manages the swarm",
                    "/Swarm/ControlAvailable",
                    true,
                )),
        ),
        NodeRole::Worker if status.info.control_available || node.manager.is_some() => {
            Some(until_settled(
                change.field(
                    "role",
                    DisplayValue::text("manager (demotion under way)"),
                    DisplayValue::text("worker"),
                ),
                node,
                managers,
            ))
        }
        _ => None,
    }
}

/// Adds the waits until a demotion has ended: for the voters, and for the host's own Engine.
pub(super) fn until_settled(change: Change, node: &SwarmNode, managers: Vec<HostName>) -> Change {
    change
        .step(wait(
            "wait until it has no vote",
            managers,
            format!("/nodes/{}", node.id),
            "/ManagerStatus",
            serde_json::Value::Null,
            ACTIVE_WITHIN,
        ))
        .step(wait_own(
            "wait until it is a worker",
            "/Swarm/ControlAvailable",
            false,
        ))
}

/// Returns the change for a node that is reconnecting to its managers: it needs time, not a second
/// join.
pub(super) fn wait_for_return(status: &MembershipStatus) -> Change {
    let error = if status.info.error.is_empty() {
        "no error"
    } else {
        &status.info.error
    };
    Change::new(Action::Update)
        .field(
            "state",
            DisplayValue::text(&status.info.state),
            DisplayValue::text("active"),
        )
        .note(format!(
            "the managers know the node, and it is reconnecting to them; its Engine reports: {error}"
        ))
        .step(wait_own(
            "wait until the node is active",
            "/Swarm/LocalNodeState",
            "active",
        ))
}

/// Returns the change for an Engine that does not answer. The host may be a member, and skep only
/// waits for the Engine.
pub(super) fn wait_for_engine(why: &str) -> Change {
    Change::new(Action::Update)
        .field(
            "state",
            DisplayValue::text("unknown (the Engine does not answer)"),
            DisplayValue::text("active"),
        )
        .note(format!(
            "the Engine does not answer: {why}; the change is known once it runs"
        ))
        .step(wait_own(
            "wait until the node is active",
            "/Swarm/LocalNodeState",
            "active",
        ))
}
