//! Addresses that a member uses, decided before any connection. A wrong advertised address (the NAT
//! interface that all Vagrant machines share, or a loopback address) would join and then fail in
//! the overlay networks; it is refused here.

use std::net::IpAddr;

use super::{MemberContext, SwarmMemberResource};
use crate::inventory::Roster;
use crate::model::{HostContext, InvalidField};
use crate::swarm::{ManagerAddresses, NodeRole, host_part, port_of};

/// Longest name of a network interface (Linux's IFNAMSIZ without its NUL).
const INTERFACE_NAME_LIMIT: usize = 15;

/// Address that VirtualBox and QEMU give to the first network card of every machine (VirtualBox
/// manual, "Network Address Translation").
pub(super) const NAT_ADDRESS: &str = "10.0.2.15";

/// Determines the host's own address and the addresses of its managers.
pub(super) fn place(
    member: &SwarmMemberResource,
    context: &HostContext<'_>,
) -> Result<MemberContext, InvalidField> {
    let ours = ManagerAddresses::of_group(context.roster, &member.managers);
    if ours.managers.is_empty() {
        return Err(InvalidField::new(
            "managers",
            format!("no host is in the group `{}`", member.managers),
        )
        .hint("name the group whose hosts manage the swarm, or put a host into it"));
    }
    if member.init && member.role == NodeRole::Worker {
        return Err(InvalidField::new("init", "a worker cannot start a swarm")
            .hint("set role = \"manager\", or leave init out"));
    }
    if member.init && !ours.managers.iter().any(|(name, _)| name == context.host) {
        let message = format!(
            "{} may start the swarm but is not in the group `{}`",
            context.host, member.managers
        );
        return Err(InvalidField::new("init", message)
            .hint("put it into the group; otherwise the other hosts cannot find the swarm"));
    }
    let entry = context
        .roster
        .hosts
        .get(context.host)
        .cloned()
        .unwrap_or_default();
    let explicit = member.advertise.clone().or(entry.swarm_address);
    let advertise_is_explicit = explicit.is_some();
    let advertise = match explicit {
        Some(address) => address,
        None if entry.address.parse::<IpAddr>().is_ok() => entry.address,
        None => {
            return Err(InvalidField::new(
                "advertise",
                format!("the address that {} should advertise is unknown: SSH connects to the name `{}`", context.host, entry.address),
            )
            .hint("set the host's variable swarm_address (or advertise) to an address that the other nodes can reach"));
        }
    };
    check_address("advertise", &advertise)?;
    check_reachable(&advertise, context)?;
    if let Some(data_path) = &member.data_path {
        check_address("data_path", data_path)?;
        if port_of(data_path).is_some() {
            return Err(
                InvalidField::new("data_path", format!("`{data_path}` has a port"))
                    .hint("leave the port out"),
            );
        }
    }
    check_address("listen", &member.listen)?;
    Ok(MemberContext {
        host: context.host.clone(),
        advertise,
        advertise_is_explicit,
        ours,
    })
}

/// Checks for an IP address or an interface, with or without a port, as the Engine accepts it.
fn check_address(field: &str, address: &str) -> Result<(), InvalidField> {
    let host = host_part(address);
    let is_interface = !host.is_empty()
        && host.len() <= INTERFACE_NAME_LIMIT
        && host
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "._-@".contains(character))
        && !host
            .chars()
            .all(|character| character.is_ascii_digit() || character == '.');
    if host.parse::<IpAddr>().is_ok() || is_interface {
        return Ok(());
    }
    Err(InvalidField::new(
        field,
        format!("`{address}` is neither an IP address nor the name of a network interface"),
    )
    .hint("for example 192.168.56.11, 192.168.56.11:2377 or eth1"))
}

/// Checks that the advertised address reaches this host, and only this host, from all other hosts.
fn check_reachable(advertise: &str, context: &HostContext<'_>) -> Result<(), InvalidField> {
    let Ok(address) = host_part(advertise).parse::<IpAddr>() else {
        return Ok(());
    };
    let alone = context.roster.hosts.len() < 2;
    if address.is_unspecified() || (address.is_loopback() && !alone) {
        return Err(InvalidField::new(
            "advertise",
            format!("no other node can reach {} at {address}", context.host),
        )
        .hint("set the host's variable swarm_address to its address in the network of the nodes"));
    }
    if host_part(advertise) == NAT_ADDRESS && !alone {
        return Err(InvalidField::new(
            "advertise",
            format!("{} would advertise {NAT_ADDRESS}, which is the address of every machine behind the NAT of VirtualBox or QEMU", context.host),
        )
        .hint("set the host's variable swarm_address to its address in the private network"));
    }
    let twin = context.roster.hosts.iter().find(|(name, entry)| {
        *name != context.host
            && entry
                .swarm_address
                .as_deref()
                .is_some_and(|other| host_part(other) == host_part(advertise))
    });
    match twin {
        Some((name, _)) => Err(InvalidField::new(
            "advertise",
            format!("{} and {name} both advertise {address}", context.host),
        )
        .hint("give each host its own swarm_address")),
        None => Ok(()),
    }
}

/// Checks the address pools. The Engine detects a conflict only after the overlay networks are
/// already broken.
pub(super) fn check_pools(
    member: &SwarmMemberResource,
    roster: &Roster,
) -> Result<(), InvalidField> {
    let invalid =
        |message: String, hint: &str| Err(InvalidField::new("address_pool", message).hint(hint));
    for (index, pool) in member.address_pool.iter().enumerate() {
        if pool.trunc() != *pool {
            return invalid(
                format!("{pool} has bits set after its prefix"),
                &format!("write {}", pool.trunc()),
            );
        }
        if pool.prefix_len() > member.subnet_size || member.subnet_size > 29 {
            let message = format!(
                "a subnet of size /{} cannot be cut from {pool}",
                member.subnet_size
            );
            return Err(InvalidField::new("subnet_size", message)
                .hint("choose a size between the pool's prefix length and 29"));
        }
        if let Some(other) = member.address_pool[..index]
            .iter()
            .find(|other| other.contains(pool) || pool.contains(*other))
        {
            return invalid(
                format!("{pool} and {other} overlap"),
                "use pools that share no address",
            );
        }
        for (name, entry) in &roster.hosts {
            let address = entry.swarm_address.as_deref().unwrap_or(&entry.address);
            if let Ok(address) = host_part(address).parse::<std::net::Ipv4Addr>()
                && pool.contains(&address)
            {
                return invalid(
                    format!("{pool} contains {address}, the address of {name}"),
                    "choose a pool outside the network of the nodes",
                );
            }
        }
    }
    Ok(())
}
