//! Joins a host to the swarm: the host starts a swarm, or joins the swarm of a live manager. A
//! half-joined host, or a host that was removed, first leaves its old swarm.

use std::time::Duration;

use serde_json::{Value, json};

use super::SwarmMemberResource;
use super::ghosts::GhostNodes;
use super::steps::{call, wait, wait_own};
use crate::model::{Action, Change, DeferredValue, DisplayValue, Refusal, Step};
use crate::names::HostName;
use crate::swarm::{LiveSwarm, Membership, MembershipStatus, NodeRole, host_part, with_port};

/// Time limit for the first manager to start the swarm while others wait to join it.
const SWARM_WITHIN: Duration = Duration::from_secs(120);

/// Returns the change that brings the host into the swarm.
pub(super) fn plan(
    member: &SwarmMemberResource,
    status: &MembershipStatus,
    ghosts: &GhostNodes,
) -> Result<Change, Refusal> {
    let host = &member.place.host;
    let mut change = Change::new(Action::Create);
    change = match &status.membership {
        Membership::HalfJoined { state, error } => change
            .field(
                "state",
                DisplayValue::text(state),
                DisplayValue::text("active"),
            )
            .note(format!(
                "{host} is half-joined to a swarm ({state}: {error}); it leaves and joins again"
            ))
            .step(leave())
            .step(wait_own(
                "wait until it has left",
                "/Swarm/LocalNodeState",
                "inactive",
            )),
        Membership::Removed { node_id } => change
            .field(
                "node ID",
                DisplayValue::text(format!("{node_id} (removed)")),
                DisplayValue::KnownAfterApply,
            )
            .note(format!(
                "the managers no longer know node {node_id} of {host}; it leaves and joins again"
            ))
            .step(leave())
            .step(wait_own(
                "wait until it has left",
                "/Swarm/LocalNodeState",
                "inactive",
            )),
        _ => change.field(
            "node ID",
            DisplayValue::Absent,
            DisplayValue::KnownAfterApply,
        ),
    };
    change = change
        .field(
            "role",
            DisplayValue::Absent,
            DisplayValue::text(member.role.word()),
        )
        .field(
            "advertise",
            DisplayValue::Absent,
            DisplayValue::text(&member.place.advertise),
        );
    if let Some(availability) = member.availability {
        change = change.field(
            "availability",
            DisplayValue::Absent,
            DisplayValue::text(availability.word()),
        );
    }
    if let Some(swarm) = &status.swarm {
        return Ok(join(
            member,
            ghosts.bury_voters(change),
            swarm.peers_of(host),
            remote_addresses(member, Some(swarm)),
        ));
    }
    let Some((first, _)) = member.place.ours.managers.first() else {
        return Ok(change);
    };
    if first != host {
        let summary = format!("wait until {first} manages a swarm");
        let change = change
            .note(format!("no manager of the group has a swarm yet; {first}, the first of the group, starts it"))
            .step(wait(summary, vec![first.clone()], "/info", "/Swarm/ControlAvailable", true, SWARM_WITHIN));
        return Ok(join(
            member,
            change,
            vec![first.clone()],
            remote_addresses(member, None),
        ));
    }
    if !member.init {
        return Err(Refusal {
            why: format!(
                "no manager of the group `{}` has a swarm, and {host} may not start one",
                member.managers
            ),
            hint: format!(
                "set init = true for {host} to start a new swarm; if a swarm exists, put its manager first in the group"
            ),
        });
    }
    Ok(start(member, change))
}

fn start(member: &SwarmMemberResource, mut change: Change) -> Change {
    change = change.field(
        "cluster ID",
        DisplayValue::Absent,
        DisplayValue::KnownAfterApply,
    );
    let mut body = body(member);
    body["ForceNewCluster"] = false.into();
    body["Spec"] = json!({});
    if !member.address_pool.is_empty() {
        let pools: Vec<String> = member
            .address_pool
            .iter()
            .map(ToString::to_string)
            .collect();
        change = change.field(
            "address_pool",
            DisplayValue::Absent,
            DisplayValue::text(format!("{} by /{}", pools.join(", "), member.subnet_size)),
        );
        body["DefaultAddrPool"] = pools.into();
        body["SubnetSize"] = member.subnet_size.into();
    }
    change
        .step(call(
            "start the swarm",
            Vec::new(),
            "POST",
            "/swarm/init",
            Some(body),
            Vec::new(),
        ))
        .step(wait_own(
            "wait until it manages the swarm",
            "/Swarm/ControlAvailable",
            true,
        ))
}

/// Fails if no manager accepts a connection: the Engine itself says only that its time is over, and
/// leaves a node that is half joined. Arguments: the addresses of managers, as `host:port`.
const REACH_MANAGER: &str = r#"command -v bash >/dev/null 2>&1 || exit 0
for address; do
  host=${address%:*} port=${address##*:}
  host=${host#\[} host=${host%\]}
  if timeout 10 bash -c ': <>"/dev/tcp/$1/$2"' - "$host" "$port" 2>/dev/null; then exit 0; fi
done
printf 'this host cannot open a TCP connection to a manager (%s); a firewall between them may close the port: open it, or correct the address of the manager\n' "$*" >&2
exit 1
"#;

fn join(
    member: &SwarmMemberResource,
    change: Change,
    managers: Vec<HostName>,
    remotes: Vec<String>,
) -> Change {
    let change = change.step(Step::script(
        "reach a manager",
        REACH_MANAGER,
        remotes.iter().map(|address| with_port(address)),
    ));
    let mut body = body(member);
    body["RemoteAddrs"] = remotes.into();
    body["JoinToken"] = Value::Null;
    let token = DeferredValue {
        hosts: managers,
        path: "/swarm".into(),
        pointer: member.role.token_pointer().into(),
        into: "/JoinToken".into(),
    };
    let summary = format!("join the swarm as {}", member.role.word());
    let change = change
        .step(call(
            summary,
            Vec::new(),
            "POST",
            "/swarm/join",
            Some(body),
            vec![token],
        ))
        .step(wait_own(
            "wait until the node is active",
            "/Swarm/LocalNodeState",
            "active",
        ));
    match member.role {
        NodeRole::Manager => change.step(wait_own(
            "wait until it manages the swarm",
            "/Swarm/ControlAvailable",
            true,
        )),
        NodeRole::Worker => change,
    }
}

/// Returns the common part of the bodies of init and join.
fn body(member: &SwarmMemberResource) -> Value {
    let mut body = json!({ "ListenAddr": member.listen, "AdvertiseAddr": member.place.advertise });
    if let Some(data_path) = &member.data_path {
        body["DataPathAddr"] = data_path.as_str().into();
    }
    if let Some(availability) = member.availability {
        body["Availability"] = availability.word().into();
    }
    body
}

/// Returns the addresses of the managers: as the managers report them, or from the inventory if
/// none does.
fn remote_addresses(member: &SwarmMemberResource, swarm: Option<&LiveSwarm>) -> Vec<String> {
    let own = host_part(&member.place.advertise);
    let live: Vec<String> = swarm
        .iter()
        .flat_map(|swarm| &swarm.nodes)
        .filter(|node| node.is_reachable_manager())
        .filter_map(|node| Some(node.manager.as_ref()?.addr.clone()))
        // Some Engines list a manager at 0.0.0.0 (moby/moby#34722), which no node can join.
        .filter(|address| {
            !matches!(host_part(address), "" | "0.0.0.0" | "::") && host_part(address) != own
        })
        .collect();
    if !live.is_empty() {
        return live;
    }
    let known = member
        .place
        .ours
        .managers
        .iter()
        .filter(|(name, _)| *name != member.place.host);
    known.map(|(_, address)| with_port(address)).collect()
}

/// Returns the step that leaves the swarm, only for a host that is not a node of our swarm;
/// therefore no node is lost.
fn leave() -> Step {
    call(
        "leave the half-joined swarm",
        Vec::new(),
        "POST",
        "/swarm/leave?force=true",
        None,
        Vec::new(),
    )
}
