//! `swarm_member`: this host as a manager or worker of the swarm that the managers of a group form.
//! One host starts the swarm; the others join with a token that is read from a live manager at that
//! moment and never kept. A host in a foreign swarm is refused.

mod addresses;
mod former;
mod ghosts;
mod joining;
mod leaving;
mod member;
mod steps;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use self::former::FormerSwarm;
use super::DesiredState;
use super::cluster::default_managers;
use crate::model::{
    APPLIED_RECORD, Change, ExpectedMember, ForeignData, HostAnswers, HostContext, InvalidField,
    Observation, ProbeError, Query, Refusal, ResourceKind, ShellQuery,
};
use crate::names::HostName;
use crate::swarm::{
    ManagerAddresses, Membership, MembershipObservation, NodeRole, SwarmView, observe_membership,
};

/// Membership of a host in the swarm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmMemberResource {
    /// `present` (the default), or `absent`: the host leaves the swarm.
    #[serde(default)]
    state: DesiredState,
    /// Role of the node: `manager` or `worker`. Required if the host is to be a node.
    #[serde(rename = "role")]
    given_role: Option<NodeRole>,
    /// Role that `bind` has checked.
    #[serde(skip, default = "default_role")]
    role: NodeRole,
    /// Permission to start the swarm if no manager of the group has one; only the first host of the
    /// group starts it. Default false.
    #[serde(default)]
    init: bool,
    /// Address that the other nodes use: an IP address or an interface, optionally with a port.
    /// Default: the variable `swarm_address`, or the SSH address if it is an IP address.
    advertise: Option<String>,
    /// Address or interface of the overlay networks' traffic. Default: the advertised address.
    data_path: Option<String>,
    /// Address on which the Engine listens for the managers' traffic. Default `0.0.0.0:2377`.
    #[serde(default = "default_listen")]
    listen: String,
    /// Pools from which overlay networks get their subnets; set at the start of the swarm and fixed
    /// from then on.
    #[serde(default)]
    address_pool: Vec<ipnet::Ipv4Net>,
    /// Prefix length of those subnets. Default 24.
    #[serde(default = "default_subnet_size")]
    subnet_size: u8,
    /// Availability: `active`, `pause` or `drain`. Default: left unchanged.
    availability: Option<NodeAvailability>,
    /// Group whose hosts are the managers. Default `managers`.
    #[serde(default = "default_managers")]
    managers: String,
    /// True if the operator has declared the loss of a former swarm (`--new-cluster`).
    #[serde(skip)]
    accepts_new_swarm: bool,
    /// Values from the inventory; set by `bind`.
    #[serde(skip)]
    place: MemberContext,
}

/// Values from the inventory about this host and its managers.
#[derive(Debug, Clone)]
struct MemberContext {
    host: HostName,
    advertise: String,
    /// True if a person declared the address; a derived address is never compared with that of a
    /// live node.
    advertise_is_explicit: bool,
    ours: ManagerAddresses,
}

impl Default for MemberContext {
    fn default() -> Self {
        Self {
            host: HostName::new(""),
            advertise: String::new(),
            advertise_is_explicit: false,
            ours: ManagerAddresses::default(),
        }
    }
}

/// Availability of a node for tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NodeAvailability {
    /// The node accepts tasks.
    Active,
    /// The node keeps its tasks and accepts no new tasks.
    Pause,
    /// The node's tasks move to other nodes.
    Drain,
}

impl NodeAvailability {
    fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        }
    }
}

fn default_role() -> NodeRole {
    NodeRole::Worker
}

fn default_listen() -> String {
    "0.0.0.0:2377".into()
}

fn default_subnet_size() -> u8 {
    24
}

/// Observed state: the membership, or the refusal to act on it, and the host's own addresses.
#[derive(Debug)]
pub struct SwarmMemberState {
    membership: MembershipObservation,
    former: FormerSwarm,
    hostname: String,
    addresses: Vec<String>,
}

impl ResourceKind for SwarmMemberResource {
    const NAME: &'static str = "swarm_member";
    type Observed = SwarmMemberState;

    fn singleton_claim(&self) -> Option<String> {
        self.init.then(|| "swarm init".to_owned())
    }

    fn name(&self) -> String {
        match (self.state, self.given_role) {
            (DesiredState::Absent, _) => "absent".into(),
            (DesiredState::Present, role) => role.unwrap_or(self.role).word().into(),
        }
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        self.check_state()?;
        self.place = addresses::place(self, context)?;
        addresses::check_pools(self, context.roster)
    }

    fn inventory_inputs(&self) -> String {
        self.place.advertise.clone()
    }

    fn expected_member(&self) -> Option<ExpectedMember> {
        (self.state == DesiredState::Present).then(|| ExpectedMember {
            says_availability: self.availability.is_some(),
            may_manage: self.role == NodeRole::Manager,
        })
    }

    fn accepting(&self, data: ForeignData) -> Option<Self> {
        (data == ForeignData::FormerCluster).then(|| Self {
            accepts_new_swarm: true,
            ..self.clone()
        })
    }

    fn queries(&self) -> Vec<Query> {
        let mut queries = SwarmView::queries(&self.place.host, &self.place.ours.names());
        queries.push(Query::Shell(ShellQuery::Facts));
        if self.init {
            // Whether the host was in another swarm before; see `former`.
            queries.push(Query::content(APPLIED_RECORD));
        }
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<SwarmMemberState>, ProbeError> {
        let view = match SwarmView::read(&self.place.host, &self.place.ours.names(), answers)? {
            Observation::Needs(queries) => return Ok(Observation::Needs(queries)),
            Observation::Known(view) => view,
        };
        let facts = answers.facts()?;
        let membership = observe_membership(&view, &self.place.ours)?;
        let former = match membership.status() {
            Ok(status) => former::observe(self, status, answers)?,
            Err(_) => Observation::Known(FormerSwarm::default()),
        };
        let former = match former {
            Observation::Known(former) => former,
            Observation::Needs(queries) => return Ok(Observation::Needs(queries)),
        };
        Ok(Observation::Known(SwarmMemberState {
            membership,
            former,
            hostname: facts.hostname.clone(),
            addresses: facts.addresses.clone(),
        }))
    }

    fn plan(&self, seen: &SwarmMemberState) -> Result<Option<Change>, Refusal> {
        let status = seen.membership.status()?;
        let ghosts = ghosts::find(self, status, &seen.hostname);
        if self.state == DesiredState::Absent {
            return Ok(ghosts.bury(leaving::plan(self, status)?));
        }
        let change = match &status.membership {
            Membership::Member(node) => member::plan(self, status, node, &seen.addresses)?,
            Membership::Returning(_) => Some(member::wait_for_return(status)),
            Membership::Stopped(why) => Some(member::wait_for_engine(why)),
            _ => {
                seen.former.check(&self.place.host)?;
                let change = joining::plan(self, status, &ghosts)?;
                Some(self.with_address_note(change, &seen.addresses))
            }
        };
        Ok(ghosts.bury(change))
    }
}

impl SwarmMemberResource {
    /// Checks the role of a node, and that a host which leaves says nothing about its node.
    fn check_state(&mut self) -> Result<(), InvalidField> {
        if self.state == DesiredState::Absent {
            let surplus = [
                ("role", self.given_role.is_some()),
                ("init", self.init),
                ("advertise", self.advertise.is_some()),
                ("data_path", self.data_path.is_some()),
                ("availability", self.availability.is_some()),
                ("address_pool", !self.address_pool.is_empty()),
            ];
            let surplus = surplus.iter().find(|(_, is_given)| *is_given);
            return surplus.map_or(Ok(()), |(field, _)| {
                Err(
                    InvalidField::new(*field, "a host that leaves the swarm has no such field")
                        .hint("remove the field, or `state = \"absent\"`"),
                )
            });
        }
        self.role = self.given_role.ok_or_else(|| {
            InvalidField::new("role", "the role of the node is missing")
                .hint("write `role = \"worker\"` or `role = \"manager\"`")
        })?;
        Ok(())
    }

    /// Adds a warning about an advertised address that the host does not have (the NAT trap): other
    /// nodes could not reach it.
    fn with_address_note(&self, change: Change, addresses: &[String]) -> Change {
        let advertised = crate::swarm::host_part(&self.place.advertise);
        let is_address = advertised.parse::<std::net::IpAddr>().is_ok();
        if !is_address
            && addresses
                .iter()
                .any(|address| address == addresses::NAT_ADDRESS)
        {
            // Only the Engine resolves the address of an interface, which is too late for a plan.
            let (host, nat) = (&self.place.host, addresses::NAT_ADDRESS);
            return change.note(format!(
                "{host} has {nat}, which every machine behind the NAT of VirtualBox or QEMU has: if {advertised} has this address, no other \
                 node can reach {host}; give the address instead of the interface"
            ));
        }
        if !is_address
            || addresses.is_empty()
            || addresses.iter().any(|address| address == advertised)
        {
            return change;
        }
        let host = &self.place.host;
        change.note(format!(
            "{host} has no address {advertised} (it has {})",
            addresses.join(", ")
        ))
    }
}
