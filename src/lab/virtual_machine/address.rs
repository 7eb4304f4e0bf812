//! Addresses of an environment of virtual machines: the private network that Vagrant's
//! documentation uses, the NAT address that all machines share, the loopback ports forwarded to
//! SSH, and the multicast group that carries the private network.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener};

use sha2::{Digest as _, Sha256};

use crate::lab::error::LabError;
use crate::lab::network::LabNetwork;
use crate::lab::record::LabRecord;
use crate::lab::state::StateDirectory;

/// Address of the package mirror inside a machine: QEMU starts a program of this machine for each
/// request (`guestfwd`).
pub(super) const MIRROR_ADDRESS: &str = "10.0.2.100";

/// Ports tried for SSH: below the ephemeral ports of Linux (32768 and above), above Vagrant's (2200
/// to 2250).
const PORTS: std::ops::Range<u16> = 22_000..23_000;

/// Returns the private network. Every environment has the same one, on a multicast group of its
/// own.
pub(super) fn private_network() -> LabNetwork {
    LabNetwork {
        name: "private".to_owned(),
        gateway: Ipv4Addr::new(192, 168, 56, 1),
    }
}

/// Assigns a loopback port for SSH to each node without one. The port is free now, and no other
/// node of the environment has it.
pub(super) fn give_ports(record: &mut LabRecord) -> Result<(), LabError> {
    let mut taken: BTreeSet<u16> = record.nodes.iter().filter_map(|node| node.port).collect();
    // Environments that are created at the same time start their search at different ports.
    let start = u16::from_le_bytes([
        digest(record.name.as_str())[0],
        digest(record.name.as_str())[1],
    ]) % 1000;
    for node in record.nodes.iter_mut().filter(|node| node.port.is_none()) {
        let ports = (0..1000).map(|step| PORTS.start + (start + step) % 1000);
        let free = |port: &u16| {
            !taken.contains(port) && TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
        };
        let Some(port) = ports.into_iter().find(free) else {
            return Err(LabError::NoPort {
                first: PORTS.start,
                last: PORTS.end - 1,
            });
        };
        taken.insert(port);
        node.port = Some(port);
    }
    Ok(())
}

/// Returns the multicast group and port of the environment's private network: a group of
/// 239.0.0.0/8 (RFC 2365, for local use) derived from name and state directory, and the port of the
/// first node, which no other environment has. Packets stay on loopback.
pub(super) fn multicast_group(record: &LabRecord, state: &StateDirectory) -> String {
    let digest = digest(&format!("{} {}", state.path().display(), record.name));
    let port = record
        .nodes
        .first()
        .and_then(|node| node.port)
        .unwrap_or(PORTS.start);
    format!("239.213.{}.{}:{port}", digest[0], digest[1])
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::lab::options::LabOptions;

    #[test]
    fn ports_are_free_differ_and_stay() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory::at(folder.path()).unwrap();
        let options = LabOptions {
            state: state.clone(),
            ..LabOptions::new("lab").unwrap()
        };
        let mut record = LabRecord::new(&options, "/tmp/lab.toml".into());
        record.grow(1, 1, &private_network());
        give_ports(&mut record).unwrap();
        let first: Vec<u16> = record.nodes.iter().map(|node| node.port.unwrap()).collect();
        assert_ne!(first[0], first[1]);
        // Another program takes the next port: the third node gets a later one.
        let _held = TcpListener::bind((Ipv4Addr::LOCALHOST, first[1] + 1));
        record.grow(1, 2, &private_network());
        give_ports(&mut record).unwrap();
        let second: Vec<u16> = record.nodes.iter().map(|node| node.port.unwrap()).collect();
        assert_eq!(second[..2], first[..]);
        assert!(second[2] > first[1] + 1, "{second:?}");
        assert_eq!(record.nodes[2].address.to_string(), "192.168.56.13");
        let multicast_group = multicast_group(&record, &state);
        assert!(
            multicast_group.starts_with("239.213.")
                && multicast_group.ends_with(&format!(":{}", first[0])),
            "{multicast_group}"
        );
    }
}
