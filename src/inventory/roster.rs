//! The hosts of the inventory in the form that kinds of resources use: names, addresses and groups.

use indexmap::IndexMap;

use crate::names::HostName;

/// Hosts of the inventory in the form that kinds use.
#[derive(Debug, Clone, Default)]
pub struct Roster {
    /// Hosts by name, in the inventory's order.
    pub hosts: IndexMap<HostName, RosterEntry>,
}

/// A host of the [`Roster`].
#[derive(Debug, Clone, Default)]
pub struct RosterEntry {
    /// Name or address that SSH connects to.
    pub address: String,
    /// Variable `swarm_address`, if the host has it: the address that the swarm advertises.
    pub swarm_address: Option<String>,
    /// Groups of the host.
    pub groups: Vec<String>,
}

impl Roster {
    /// Returns the hosts of a group, in the inventory's order.
    pub fn group<'a>(&'a self, group: &'a str) -> impl Iterator<Item = &'a HostName> {
        self.hosts
            .iter()
            .filter(move |(_, entry)| entry.groups.iter().any(|name| name == group))
            .map(|(name, _)| name)
    }
}
