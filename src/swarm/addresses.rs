//! Addresses of the hosts and of the group's managers as the inventory declares them, and the
//! parsing of `host:port`.

use std::net::IpAddr;

use crate::inventory::Roster;
use crate::names::HostName;

/// Default port of cluster management traffic (Docker's default).
pub const SWARM_PORT: u16 = 2377;

/// Addresses of the group's managers from the inventory: the variable `swarm_address`, or the SSH
/// address when it is not set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ManagerAddresses {
    /// Managers and their addresses (an IP address or a name, optionally with a port), in the
    /// inventory's order.
    pub managers: Vec<(HostName, String)>,
    /// Addresses of all hosts of the inventory.
    pub hosts: HostAddresses,
}

/// IP addresses of all hosts of the inventory, as the operator wrote them: of `swarm_address` and
/// of the SSH address. Names are left out, and so are loopback addresses, which reach forwarded
/// ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostAddresses {
    hosts: Vec<(HostName, Vec<IpAddr>)>,
}

impl HostAddresses {
    /// Returns the addresses of the roster's hosts.
    #[must_use]
    pub fn of(roster: &Roster) -> Self {
        let hosts = roster.hosts.iter().map(|(name, entry)| {
            let written = entry.swarm_address.iter().chain([&entry.address]);
            let addresses = written.filter_map(|address| comparable(address));
            (name.clone(), addresses.collect())
        });
        Self {
            hosts: hosts.collect(),
        }
    }

    /// Returns the names of all hosts of the inventory, in its order.
    pub fn names(&self) -> impl Iterator<Item = &HostName> {
        self.hosts.iter().map(|(name, _)| name)
    }

    /// Returns true if the inventory gives one of these addresses to the host.
    #[must_use]
    pub fn has(&self, host: &HostName, addresses: &[IpAddr]) -> bool {
        self.hosts
            .iter()
            .any(|(name, own)| name == host && own.iter().any(|one| addresses.contains(one)))
    }

    /// Returns the hosts to which the inventory gives one of these addresses, in its order.
    pub fn owners<'a>(&'a self, addresses: &'a [IpAddr]) -> impl Iterator<Item = &'a HostName> {
        self.hosts
            .iter()
            .filter(|(_, own)| own.iter().any(|one| addresses.contains(one)))
            .map(|(name, _)| name)
    }
}

/// Reads the IP address of `address` or `address:port` in its canonical form; `None` for a name,
/// and for an address that does not tell hosts apart (loopback, `0.0.0.0`).
#[must_use]
pub fn comparable(address: &str) -> Option<IpAddr> {
    let address = host_part(address).parse::<IpAddr>().ok()?.to_canonical();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

impl ManagerAddresses {
    /// Returns the addresses of a group's hosts.
    #[must_use]
    pub fn of_group(roster: &Roster, group: &str) -> Self {
        let managers = roster
            .group(group)
            .filter_map(|host| {
                let entry = roster.hosts.get(host)?;
                Some((
                    host.clone(),
                    entry
                        .swarm_address
                        .clone()
                        .unwrap_or_else(|| entry.address.clone()),
                ))
            })
            .collect();
        Self {
            managers,
            hosts: HostAddresses::of(roster),
        }
    }

    /// Returns the names of the managers, in the inventory's order.
    #[must_use]
    pub fn names(&self) -> Vec<HostName> {
        self.managers.iter().map(|(host, _)| host.clone()).collect()
    }

    /// Returns true if an address (with or without a port) belongs to a manager of the group.
    #[must_use]
    pub fn contains(&self, address: &str) -> bool {
        self.managers
            .iter()
            .any(|(_, ours)| host_part(ours) == host_part(address))
    }
}

/// Returns the address without its port: `10.0.0.1:2377` and `10.0.0.1` are the same host,
/// `[fd00::1]:2377` is `fd00::1`.
#[must_use]
pub fn host_part(address: &str) -> &str {
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return address;
    }
    let host = match address.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => address,
    };
    host.trim_start_matches('[').trim_end_matches(']')
}

/// Returns the port of `host:port`, if it has one.
#[must_use]
pub fn port_of(address: &str) -> Option<u16> {
    if address.parse::<std::net::Ipv6Addr>().is_ok() {
        return None;
    }
    address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
}

/// Returns the address with a port: its own port, or [`SWARM_PORT`] if it has none.
#[must_use]
pub fn with_port(address: &str) -> String {
    let (host, port) = (host_part(address), port_of(address).unwrap_or(SWARM_PORT));
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_is_distinguished_from_an_ipv6_group() {
        for (address, host, full) in [
            ("10.0.0.1", "10.0.0.1", "10.0.0.1:2377"),
            ("10.0.0.1:4000", "10.0.0.1", "10.0.0.1:4000"),
            ("fd00::1", "fd00::1", "[fd00::1]:2377"),
            ("[fd00::1]:2400", "fd00::1", "[fd00::1]:2400"),
            ("docker01.lan", "docker01.lan", "docker01.lan:2377"),
        ] {
            assert_eq!(host_part(address), host, "{address}");
            assert_eq!(with_port(address), full, "{address}");
        }
    }
}
