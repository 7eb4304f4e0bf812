//! Every host of the inventory as kinds of resources see it: names, addresses and groups.

use indexmap::IndexMap;

use crate::names::HostName;

/// Every host of the inventory as kinds see it.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    /// By name, in the inventory's order.
    pub hosts: IndexMap<HostName, RosterEntry>,
}

/// One host of the [`Roster`].
#[derive(Debug, Clone, Default)]
pub struct RosterEntry {
    /// Where SSH connects: a name or an address.
    pub address: String,
    /// The variable `swarm_address`, when the host has it: what the swarm advertises.
    pub swarm_address: Option<String>,
    /// Groups that the host is in.
    pub groups: Vec<String>,
}

impl Roster {
    /// Hosts of a group, in the inventory's order.
    pub fn group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a HostName> {
        self.hosts
            .iter()
            .filter(move |(_, entry)| entry.groups.iter().any(|name| name == group))
            .map(|(name, _)| name)
    }
}
