//! `swarm_member`: this host as a manager or worker of the swarm that the managers of a group hold. One host starts the
//! swarm, the others join with a token that is read from a live manager at that moment and never kept. A host in a
//! foreign swarm is refused.

mod addresses;
mod ghosts;
mod joining;
mod member;
#[cfg(test)]
mod tests;

use serde::Deserialize;

use super::cluster::default_managers;
use crate::model::{
    Change, HostAnswers, HostContext, InvalidField, Observation, ProbeError, Query, Refusal,
    ResourceKind,
};
use crate::names::HostName;
use crate::swarm::{
    ManagerAddresses, Membership, MembershipStatus, NodeRole, SwarmReading, SwarmView, try_resolve,
};

/// Membership of a host in the swarm.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwarmMemberResource {
    /// `manager` or `worker`.
    role: NodeRole,
    /// May start the swarm when no manager of the group holds one; only the first host of the group does. Default false.
    #[serde(default)]
    init: bool,
    /// Address that the other nodes use: an IP or an interface, optionally with a port. Default: the variable
    /// `swarm_address`, else the address of SSH when it is an IP.
    advertise: Option<String>,
    /// Address or interface of the overlay networks' traffic. Default: the advertised address.
    data_path: Option<String>,
    /// Where the Engine listens for the managers' traffic. Default `0.0.0.0:2377`.
    #[serde(default = "default_listen")]
    listen: String,
    /// Pools from which overlay networks get their subnets; set when the swarm is started, fixed from then on.
    #[serde(default)]
    address_pool: Vec<ipnet::Ipv4Net>,
    /// Prefix length of those subnets. Default 24.
    #[serde(default = "default_subnet_size")]
    subnet_size: u8,
    /// `active`, `pause` or `drain`. Default: left as it is.
    availability: Option<NodeAvailability>,
    /// The group whose hosts are the managers. Default `managers`.
    #[serde(default = "default_managers")]
    managers: String,
    /// Filled by `bind`.
    #[serde(skip)]
    place: MemberContext,
}

/// What the inventory says about this host and its managers.
#[derive(Debug, Clone)]
struct MemberContext {
    host: HostName,
    advertise: String,
    /// Whether a person wrote the address down; a guessed one is never held against a live node.
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

/// Whether a node takes tasks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum NodeAvailability {
    /// Takes tasks.
    Active,
    /// Keeps its tasks and takes no new ones.
    Pause,
    /// Gives its tasks away.
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

fn default_listen() -> String {
    "0.0.0.0:2377".into()
}

fn default_subnet_size() -> u8 {
    24
}

/// What was found: the status, or why there is none to act on, and the host's own addresses.
#[derive(Debug)]
pub struct SwarmMemberState {
    status: Result<MembershipStatus, Refusal>,
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
        self.role.word().into()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        self.place = addresses::place(self, context)?;
        addresses::check_pools(self, context.roster)
    }

    fn inventory_inputs(&self) -> String {
        self.place.advertise.clone()
    }

    fn queries(&self) -> Vec<Query> {
        let mut queries = SwarmView::queries(&self.place.host, &self.place.ours.names());
        queries.push(Query::Facts);
        queries
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<SwarmMemberState>, ProbeError> {
        let view = match SwarmView::read(&self.place.host, &self.place.ours.names(), answers)? {
            SwarmReading::Needs(queries) => return Ok(Observation::Needs(queries)),
            SwarmReading::Done(view) => view,
        };
        let facts = answers.facts()?;
        Ok(Observation::Known(SwarmMemberState {
            status: try_resolve(&view, &self.place.ours)?,
            hostname: facts.hostname.clone(),
            addresses: facts.addresses.clone(),
        }))
    }

    fn plan(&self, seen: &SwarmMemberState) -> Result<Option<Change>, Refusal> {
        let status = seen.status.as_ref().map_err(Clone::clone)?;
        let ghosts = ghosts::find(self, status, &seen.hostname);
        let change = match &status.membership {
            Membership::Member(node) => member::plan(self, status, node, &seen.addresses)?,
            Membership::Returning(_) => Some(member::wait_for_return(status)),
            Membership::Stopped(why) => Some(member::wait_for_engine(why)),
            _ => {
                let change = joining::plan(self, status, &ghosts)?;
                Some(self.with_address_note(change, &seen.addresses))
            }
        };
        Ok(ghosts.bury(change))
    }
}

impl SwarmMemberResource {
    /// The resource, when it is of this kind.
    #[must_use]
    pub fn of(resource: &dyn crate::model::Resource) -> Option<&Self> {
        resource.itself()?.downcast_ref()
    }

    /// Whether the playbook says how available the node is.
    #[must_use]
    pub fn says_availability(&self) -> bool {
        self.availability.is_some()
    }

    /// Whether the host is to be a manager.
    #[must_use]
    pub fn is_manager(&self) -> bool {
        self.role == NodeRole::Manager
    }

    /// Warns of an advertised address that the host does not have (the NAT trap): other nodes could not reach it.
    fn with_address_note(&self, change: Change, addresses: &[String]) -> Change {
        let advertised = crate::swarm::host_part(&self.place.advertise);
        let is_address = advertised.parse::<std::net::IpAddr>().is_ok();
        if !is_address
            && addresses
                .iter()
                .any(|address| address == addresses::NAT_ADDRESS)
        {
            // Which address a card has is the Engine's to find out, and too late here.
            let (host, nat) = (&self.place.host, addresses::NAT_ADDRESS);
            return change.note(format!(
                "{host} has {nat}, which every machine behind the NAT of VirtualBox or QEMU has: if {advertised} carries it, no other \
                 node can reach {host}; say the address instead of the interface"
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
