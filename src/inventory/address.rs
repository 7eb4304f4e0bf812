//! Checks addresses of hosts: IPv4, IPv6, or a host name of RFC 1123.

use std::net::IpAddr;

/// Returns the hint for an invalid address, or `None` if the address is valid.
pub(super) fn fault(address: &str) -> Option<&'static str> {
    if address.parse::<IpAddr>().is_ok() {
        return None;
    }
    if let Some(inner) = address
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'))
    {
        return Some(match inner.parse::<IpAddr>() {
            Ok(_) => "write an IPv6 address without brackets",
            Err(_) => "use an IPv4 or IPv6 address or a host name",
        });
    }
    // Link-local addresses carry the name of an interface: fe80::1%eth0.
    if let Some((inner, zone)) = address.split_once('%') {
        return if inner.parse::<std::net::Ipv6Addr>().is_err() {
            Some("use an IPv4 or IPv6 address or a host name")
        } else if is_zone(zone) {
            None
        } else {
            Some(
                "write the name of a network interface after `%`: 1 to 15 letters, digits, `-`, `_` and `.`",
            )
        };
    }
    if let Some((_, port)) = address.rsplit_once(':') {
        let is_port = port.parse::<u16>().is_ok() && address.matches(':').count() == 1;
        return Some(if is_port {
            "give the port as `port = ...`"
        } else {
            "use an IPv4 or IPv6 address or a host name"
        });
    }
    if address.contains('@') {
        return Some("give the login user as `user = ...`");
    }
    // Only digits and dots: an IPv4 address was meant, but it is not valid.
    if !address.is_empty()
        && address
            .chars()
            .all(|letter| letter.is_ascii_digit() || letter == '.')
    {
        return Some("an IPv4 address has four numbers from 0 to 255");
    }
    (!is_host_name(address))
        .then_some("use an IPv4 or IPv6 address or a host name of letters, digits, `-` and `.`")
}

/// Returns true if a zone may be the name of a network interface, of at most 15 bytes in Linux
/// (`IFNAMSIZ`). Linux allows further characters, which have a meaning for a shell: the address
/// becomes a part of command lines.
fn is_zone(zone: &str) -> bool {
    (1..=15).contains(&zone.len())
        && !zone.starts_with('-')
        && zone
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.'))
}

fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            // RFC 1123 does not allow underscores, but names with them resolve and are in use.
            && label.chars().all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_addresses_are_accepted() {
        for address in [
            "192.168.56.11",
            "::1",
            "2001:db8::5",
            "fe80::1%eth0",
            "fe80::1%br-0_a.100",
            "docker01",
            "a.b-c.example.",
            "1and1.com",
        ] {
            assert_eq!(fault(address), None, "{address}");
        }
    }

    #[test]
    fn invalid_addresses_are_refused() {
        for address in [
            "",
            "192.168.56",
            "192.168.56.256",
            "1.2.3.4.5",
            "host:22",
            "[::1]",
            "ann@host",
            "-a",
            "a-.b",
            "a b",
            "a..b",
            "::g",
            "exämple.org",
            "$(reboot)",
            "%eth0",
            "fe80::1%",
            "fe80::1%-x",
            "fe80::1%$(reboot)",
            "fe80::1%eth0;reboot",
            "fe80::1%`x`",
            "fe80::1%a b",
            "fe80::1%a\nb",
            "fe80::1%eth0%eth0",
            "fe80::1%a123456789abcdef",
            "fe80::1%é",
            "192.168.56.1%eth0",
        ] {
            assert!(fault(address).is_some(), "{address}");
        }
        assert!(fault(&"a".repeat(64)).is_some());
    }
}
