//! Plan for a host that is to be no node of the swarm: the runner drains it, a manager is demoted,
//! the Engine leaves, and the managers remove the node.

use super::SwarmMemberResource;
use super::member::until_settled;
use super::steps::{DOWN_WITHIN, call, wait, wait_own};
use crate::model::{Action, Change, DisplayValue, Disruption, Refusal};
use crate::swarm::{LiveSwarm, Membership, MembershipStatus, SwarmNode, VoterLoss, may_lose};

/// Returns the change by which the host leaves; `None` if it is in no swarm.
pub(super) fn plan(
    member: &SwarmMemberResource,
    status: &MembershipStatus,
) -> Result<Option<Change>, Refusal> {
    let host = &member.place.host;
    match &status.membership {
        Membership::Bare | Membership::Inactive => Ok(None),
        Membership::Removed { .. } | Membership::HalfJoined { .. } => {
            let change = Change::new(Action::Delete).field(
                "membership",
                DisplayValue::text("left over in the Engine"),
                DisplayValue::Absent,
            );
            Ok(Some(leave(change, true)))
        }
        Membership::Stopped(why) => Err(unknown(format!(
            "the Engine of {host} does not answer, so it cannot leave the swarm: {why}"
        ))),
        Membership::Returning(_) => Err(unknown(format!(
            "{host} is reconnecting to its managers, and cannot leave the swarm in good order"
        ))),
        Membership::Member(node) => match &status.swarm {
            Some(swarm) => leave_as_node(member, node, swarm).map(Some),
            None => Err(unknown(format!(
                "no manager lists the node of {host}, so it cannot leave the swarm in good order"
            ))),
        },
    }
}

fn unknown(why: String) -> Refusal {
    Refusal {
        why,
        hint: "bring the Engine back; `skep node remove HOST` removes the node of a machine that is gone".into(),
    }
}

fn leave_as_node(
    member: &SwarmMemberResource,
    node: &SwarmNode,
    swarm: &LiveSwarm,
) -> Result<Change, Refusal> {
    let host = &member.place.host;
    let managers = swarm.peers_of(host);
    let mut change = Change::new(Action::Delete).field(
        "membership",
        DisplayValue::text(node.role.word()),
        DisplayValue::Absent,
    );
    let path = format!("/nodes/{}", node.id);
    let mut disruption = Disruption::NodeLoss;
    if node.manager.is_some() {
        let name = host.as_str();
        // Another manager must be there to remove the node.
        let allowed = may_lose(&swarm.nodes, &node.id, name, VoterLoss::Leaving);
        let voters = swarm.nodes.iter().filter(|node| node.manager.is_some());
        match allowed {
            Ok(allowed) => change.notes.extend(allowed.note),
            Err(refusal) if voters.count() < 2 => return Err(refusal),
            Err(refusal) => change = change.note(format!("will be refused: {}", refusal.why)),
        }
        let mut spec = node.spec.clone();
        spec["Role"] = "worker".into();
        let update = format!("{path}/update?version={}", node.version);
        let summary = format!("demote {host}");
        let spec = Some(spec);
        change = change.step(call(
            summary,
            managers.clone(),
            "POST",
            update,
            spec,
            Vec::new(),
        ));
        change = until_settled(change, node, managers.clone());
        disruption = Disruption::ManagerLoss;
    }
    let change = leave(change, false)
        .step(wait(
            "wait until the managers list it as down",
            managers.clone(),
            path.clone(),
            "/Status/State",
            "down",
            DOWN_WITHIN,
        ))
        .step(call(
            format!("remove node {}", node.short_id()),
            managers,
            "DELETE",
            path,
            None,
            Vec::new(),
        ));
    Ok(change.disturbing(disruption))
}

/// Adds the steps by which the host's own Engine leaves its swarm. `force` is for an Engine that is
/// no node of the managers.
fn leave(change: Change, force: bool) -> Change {
    let path = format!("/swarm/leave?force={force}");
    let leave = call(
        "leave the swarm",
        Vec::new(),
        "POST",
        path,
        None,
        Vec::new(),
    );
    change.step(leave).step(wait_own(
        "wait until it is in no swarm",
        "/Swarm/LocalNodeState",
        "inactive",
    ))
}
