//! The second disk of a machine: a script with the machine's identity that runs at each boot before
//! the network comes up.

use crate::lab::record::LabNode;

/// Bytes of a sector: the size of a disk is a multiple of it.
const SECTOR: usize = 512;

/// Returns the content of the disk. `host_key` is the machine's private SSH host key, `more` a
/// script to run in addition.
pub(super) fn disk(node: &LabNode, host_key: &str, more: &str) -> Vec<u8> {
    let mut disk = script(node, host_key, more).into_bytes();
    disk.resize(disk.len().next_multiple_of(SECTOR), b'\n');
    disk
}

fn script(node: &LabNode, host_key: &str, more: &str) -> String {
    let (name, address) = (&node.name, node.address);
    let key = "/etc/ssh/ssh_host_ed25519_key";
    format!(
        "umask 022\n\
         [ -s /etc/hostname ] || echo {name} >/etc/hostname\n\
         hostname -F /etc/hostname\n\
         [ -s /etc/hosts ] || printf '127.0.0.1 localhost\\n{address} {name}\\n' >/etc/hosts\n\
         # No DNS server answers there: the lookup of an external name fails after 1 s.\n\
         [ -s /etc/resolv.conf ] || printf 'nameserver 10.0.2.3\\noptions timeout:1 attempts:1\\n' >/etc/resolv.conf\n\
         mkdir -p /etc/systemd/network\n\
         cat >/etc/systemd/network/10-nat.network <<'SKEP_LAB_END'\n\
         [Match]\nName=eth0\n\n[Network]\nDHCP=ipv4\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\n\
         [DHCPv4]\nUseDNS=no\nUseHostname=no\nSKEP_LAB_END\n\
         # A disconnected card must keep its address and routes.\n\
         cat >/etc/systemd/network/20-private.network <<'SKEP_LAB_END'\n\
         [Match]\nName=eth1\n\n[Network]\nAddress={address}/24\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n\
         ConfigureWithoutCarrier=yes\nIgnoreCarrierLoss=yes\nSKEP_LAB_END\n\
         ( umask 077; cat >{key} <<'SKEP_LAB_END'\n{host_key}\nSKEP_LAB_END\n)\n\
         ssh-keygen -y -f {key} >{key}.pub\n\
         {more}",
        host_key = host_key.trim_end(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::record::NodeRole;

    #[test]
    fn a_seed_is_a_disk_and_a_script() {
        let node = LabNode {
            name: "docker02".to_owned(),
            address: std::net::Ipv4Addr::new(192, 168, 56, 12),
            role: NodeRole::Worker,
            port: Some(22_001),
        };
        let disk = disk(&node, "KEY\n", "echo more\n");
        assert_eq!(disk.len() % SECTOR, 0);
        let text = String::from_utf8_lossy(&disk).into_owned();
        assert!(
            text.contains("Address=192.168.56.12/24\n") && text.contains("\nKEY\nSKEP_LAB_END\n)"),
            "{text}"
        );
        assert!(text.trim_end().ends_with("echo more"));
    }
}
