//! Identity of a host in the swarm. A host's own Engine tells its node ID, and root on a
//! compromised worker can make it tell another one. The claim therefore counts only if the managers
//! agree: they see the node at an address of the host, and no other host claims the node.

use std::net::IpAddr;

use super::{DockerInfo, HostAddresses, SwarmNode};
use crate::model::Refusal;
use crate::names::HostName;

/// A host's claim to be a node of the swarm.
#[derive(Debug, Clone, Copy)]
pub struct NodeClaim<'a> {
    /// The host.
    pub host: &'a HostName,
    /// Report of its Engine.
    pub info: &'a DockerInfo,
    /// Addresses that the host reports; empty if they were not read.
    pub addresses: &'a [String],
}

impl NodeClaim<'_> {
    /// Checks the claim against the node as the managers list it, against the addresses in the
    /// inventory, and against the claims of other hosts. The caller decides whose claims count:
    /// managers are trusted, so a manager's own claim wins.
    ///
    /// The inventory decides before the host's own report of its addresses, because the operator
    /// wrote the inventory. The host name of the node comes from the host itself, and decides only
    /// if no address can be compared.
    ///
    /// # Errors
    /// A [`Refusal`] that names the contradiction.
    pub fn check<'b>(
        self,
        node: &SwarmNode,
        inventory: &HostAddresses,
        claims: impl IntoIterator<Item = (&'b HostName, &'b DockerInfo)>,
    ) -> Result<(), Refusal> {
        let host = self.host;
        let seen = node.seen_at();
        let rival = claims
            .into_iter()
            .find(|(name, info)| *name != host && info.node_id == node.id);
        if let Some((rival, _)) = rival {
            return Err(self.claimed_twice(node, rival));
        }
        if inventory.has(host, &seen) {
            return Ok(());
        }
        if let Some(owner) = inventory.owners(&seen).next() {
            return Err(Refusal {
                why: format!(
                    "{host} says that it is node {} ({}), but the managers see that node at {}, the address of {owner}",
                    node.short_id(),
                    node.hostname,
                    list(&seen)
                ),
                hint: format!(
                    "nothing is changed for {host}: examine it, because its Engine does not tell the truth; if its machine is a \
                     copy of the machine of {owner}, make it anew (`skep node rebuild {host}`)"
                ),
            });
        }
        let own: Vec<IpAddr> = self
            .addresses
            .iter()
            .filter_map(|address| super::comparable(address))
            .collect();
        if seen.is_empty() || own.is_empty() {
            return self.check_host_name(node);
        }
        if seen.iter().any(|address| own.contains(address)) {
            return Ok(());
        }
        let seen = list(&seen);
        Err(Refusal {
            why: format!(
                "{host} says that it is node {} ({}), but the managers see that node at {seen}, and {host} has only {}",
                node.short_id(),
                node.hostname,
                list(&own)
            ),
            hint: format!(
                "if the address of {host} has just changed, wait until the managers list its node as ready; if a router translates it, \
                 set its swarm_address to {seen} and the field `advertise` of its swarm_member to the address that it advertises; \
                 otherwise examine {host}: its Engine does not tell the truth"
            ),
        })
    }

    /// Compares the host names, which is the last resort.
    fn check_host_name(self, node: &SwarmNode) -> Result<(), Refusal> {
        let (host, name) = (self.host, &self.info.name);
        if name.is_empty() || node.hostname.is_empty() || *name == node.hostname {
            return Ok(());
        }
        Err(Refusal {
            why: format!(
                "{host} says that it is node {}, but its Engine has the host name {name}, and the managers list the node as {}",
                node.short_id(),
                node.hostname
            ),
            hint: format!(
                "if its host name has just changed, restart Docker on {host}; otherwise examine it: its Engine does not tell the truth"
            ),
        })
    }

    fn claimed_twice(self, node: &SwarmNode, rival: &HostName) -> Refusal {
        let host = self.host;
        Refusal {
            why: format!(
                "{host} and {rival} both say that they are node {} ({})",
                node.short_id(),
                node.hostname
            ),
            hint: format!(
                "if the inventory lists one machine twice, remove one of the two hosts; if the machine of {host} is a copy of the \
                 other, make it anew (`skep node rebuild {host}`); otherwise examine {host}: its Engine does not tell the truth"
            ),
        }
    }
}

fn list(addresses: &[IpAddr]) -> String {
    let mut words: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    words.dedup();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::inventory::{Roster, RosterEntry};
    use crate::swarm::samples::{host, manager, node, roster, set, voter, worker};

    const IP2: &str = "192.168.56.12";
    const IP3: &str = "192.168.56.13";

    /// Checks the claim of docker02 to be node `n3`, which the managers list as `listed`.
    fn claim(
        listed: &serde_json::Value,
        inventory: &HostAddresses,
        addresses: &[&str],
        claims: &[(&str, serde_json::Value)],
    ) -> Result<(), String> {
        let name = host("docker02");
        let info = DockerInfo::read(&worker("docker02", "n3", IP2, ("n1", "192.168.56.11:2377")));
        let addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        let node = SwarmNode::read(listed).unwrap();
        let claims: Vec<(HostName, DockerInfo)> = claims
            .iter()
            .map(|(name, info)| (host(name), DockerInfo::read(info)))
            .collect();
        NodeClaim {
            host: &name,
            info: &info,
            addresses: &addresses,
        }
        .check(
            &node,
            inventory,
            claims.iter().map(|(name, info)| (name, info)),
        )
        .map_err(|refusal| format!("{} | {}", refusal.why, refusal.hint))
    }

    /// An inventory of names, which gives no address to compare.
    fn names() -> HostAddresses {
        let entry = |name: &str| RosterEntry {
            address: format!("{name}.example.org"),
            ..RosterEntry::default()
        };
        HostAddresses::of(&Roster {
            hosts: ["docker02", "docker03"]
                .map(|name| (host(name), entry(name)))
                .into_iter()
                .collect(),
        })
    }

    #[test]
    fn inventory_decides_before_the_host_itself() {
        let inventory = HostAddresses::of(&roster(&["docker01"]));
        // The host name is another one: a host may have any name in the inventory.
        assert_eq!(
            claim(&node("n3", "web-7", IP2), &inventory, &["10.0.0.5"], &[]),
            Ok(())
        );
        let mapped = format!("::ffff:{IP2}");
        assert_eq!(
            claim(&node("n3", "web-7", &mapped), &inventory, &[], &[]),
            Ok(())
        );
        // docker02 claims the node of docker03, and lies about its addresses and its name, too.
        let text = claim(&node("n3", "docker02", IP3), &inventory, &[IP2, IP3], &[]).unwrap_err();
        assert!(
            text.contains("at 192.168.56.13, the address of docker03"),
            "{text}"
        );
        assert!(text.contains("skep node rebuild docker02"), "{text}");
        let leader = set(
            voter(node("n3", "docker02", IP3), true, "reachable"),
            "/Status/Addr",
            "0.0.0.0",
        );
        let text = claim(&leader, &inventory, &[IP3], &[]).unwrap_err();
        assert!(text.contains("the address of docker03"), "{text}");
    }

    #[test]
    fn addresses_of_the_host_decide_where_the_inventory_has_names() {
        assert_eq!(
            claim(
                &node("n3", "docker03", IP2),
                &names(),
                &["10.0.2.15", IP2],
                &[]
            ),
            Ok(())
        );
        let text = claim(
            &node("n3", "docker02", IP3),
            &names(),
            &["10.0.2.15", IP2],
            &[],
        )
        .unwrap_err();
        assert!(
            text.contains("the managers see that node at 192.168.56.13"),
            "{text}"
        );
        assert!(
            text.contains("set its swarm_address to 192.168.56.13"),
            "{text}"
        );
    }

    #[test]
    fn host_name_decides_where_no_address_can_be_compared() {
        for (listed, addresses) in [
            (node("n3", "docker02", "0.0.0.0"), &[IP2][..]),
            (node("n3", "docker02", ""), &[IP2][..]),
            (node("n3", "docker02", IP3), &[][..]),
        ] {
            assert_eq!(claim(&listed, &names(), addresses, &[]), Ok(()));
            let other = set(listed, "/Description/Hostname", "docker03");
            let text = claim(&other, &names(), addresses, &[]).unwrap_err();
            assert!(text.contains("list the node as docker03"), "{text}");
        }
    }

    #[test]
    fn node_is_claimed_by_one_host() {
        let inventory = HostAddresses::of(&roster(&["docker01"]));
        let listed = node("n3", "docker02", IP2);
        let rival = manager("docker03", "n3", IP3, "c1");
        let text = claim(&listed, &inventory, &[IP2], &[("docker03", rival)]).unwrap_err();
        assert!(
            text.contains("docker02 and docker03 both say that they are node n3"),
            "{text}"
        );
        assert!(text.contains("lists one machine twice"), "{text}");
        let other = manager("docker03", "n4", IP3, "c1");
        let own = worker("docker02", "n3", IP2, ("n1", "192.168.56.11:2377"));
        let claims = [("docker03", other), ("docker02", own)];
        assert_eq!(claim(&listed, &inventory, &[IP2], &claims), Ok(()));
    }
}
