//! Finds machines that the inventory lists twice: two hosts with the same address, port and route.
//! That is a warning, because it is harmless for reading. `apply` refuses the second host.

use std::collections::HashMap;

use indexmap::IndexMap;

use super::{Host, SshProxy};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::names::HostName;

/// Returns a warning for each host that has the address, port and route of an earlier one.
pub(super) fn warnings(hosts: &IndexMap<HostName, Host>) -> Diagnostics {
    let mut first: HashMap<(String, u16, &SshProxy), (&HostName, &Host)> = HashMap::new();
    let mut warnings = Diagnostics::default();
    for (name, host) in hosts {
        let target = &host.target;
        let route = (
            target.address.to_lowercase(),
            target.port,
            &target.ssh.proxy,
        );
        let Some((other, earlier)) = first.get(&route) else {
            first.insert(route, (name, host));
            continue;
        };
        let message = format!(
            "{other} and {name} are one machine: both have the address {}, port {}",
            target.address, target.port
        );
        warnings.push(
            Diagnostic::warning(message)
                .at(host.place.clone())
                .related(earlier.place.clone(), "first listed here")
                .hint("list the machine once, in the groups of both; or correct the address"),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use crate::inventory::{Inventory, InventoryRequest};

    /// Returns the warnings about an inventory.
    fn warned(text: &str) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("inventory.toml");
        std::fs::write(&path, text).unwrap();
        let (_, diagnostics) = Inventory::load_what_can_be(&InventoryRequest {
            paths: vec![path],
            ..InventoryRequest::default()
        });
        diagnostics.iter().map(|one| one.message.clone()).collect()
    }

    #[test]
    fn hosts_with_one_address_are_one_machine() {
        let two = |first: &str, second: &str| {
            warned(&format!("[hosts.a]\n{first}\n[hosts.b]\n{second}\n"))
        };
        assert_eq!(
            two("address = '10.0.0.1'", "address = '10.0.0.1'\nuser = 'ann'"),
            ["a and b are one machine: both have the address 10.0.0.1, port 22"]
        );
        assert_eq!(two("address = 'A.lan'", "address = 'a.lan'").len(), 1);
        for (first, second) in [
            ("address = '10.0.0.1'", "address = '10.0.0.2'"),
            // Forwarded ports of one machine, as Vagrant makes them.
            (
                "address = '127.0.0.1'\nport = 2222",
                "address = '127.0.0.1'\nport = 2200",
            ),
            // The same private address in two networks.
            (
                "address = '10.0.0.1'\nproxy_jump = 'east'",
                "address = '10.0.0.1'\nproxy_jump = 'west'",
            ),
        ] {
            assert_eq!(two(first, second), [""; 0], "{first} {second}");
        }
    }
}
