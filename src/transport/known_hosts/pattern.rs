//! Matches a host against the patterns of a known-hosts line: plain names, `*` and `?`, `!`
//! exceptions, `[host]:port`, hashes.

use hmac::{Hmac, KeyInit as _, Mac as _};
use russh::keys::ssh_key::known_hosts::HostPatterns;
use sha1::Sha1;

use crate::base::{GlobUnit, glob_matches};

/// Returns the name of a server in known hosts: `host`, or `[host]:port` if the port is not 22,
/// always in lower case.
#[must_use]
pub(crate) fn lookup_name(address: &str, port: u16) -> String {
    let address = address.to_ascii_lowercase();
    if port == 22 {
        address
    } else {
        format!("[{address}]:{port}")
    }
}

/// Returns true if the list of patterns matches the name. A matching `!` pattern excludes the name
/// from the whole line.
#[must_use]
pub(super) fn matches(patterns: &HostPatterns, name: &str) -> bool {
    match patterns {
        HostPatterns::HashedName { salt, hash } => {
            hash_of(salt, name).is_some_and(|own| own == *hash)
        }
        HostPatterns::Patterns(patterns) => {
            let mut found = false;
            for pattern in patterns {
                let pattern = pattern.to_ascii_lowercase();
                match pattern.strip_prefix('!') {
                    Some(exception) if glob_matches(exception, name, GlobUnit::Byte) => {
                        return false;
                    }
                    Some(_) => {}
                    None => found |= glob_matches(&pattern, name, GlobUnit::Byte),
                }
            }
            found
        }
    }
}

/// Returns a name as `HashKnownHosts` writes it. If the salt is unusable (which cannot happen), the
/// name stays readable.
#[must_use]
pub(super) fn hashed(name: &str) -> String {
    let salt: [u8; 20] = rand::random();
    let Some(hash) = hash_of(&salt, name) else {
        return name.to_owned();
    };
    HostPatterns::HashedName {
        salt: salt.to_vec(),
        hash,
    }
    .to_string()
}

fn hash_of(salt: &[u8], name: &str) -> Option<[u8; 20]> {
    let mut mac = Hmac::<Sha1>::new_from_slice(salt).ok()?;
    mac.update(name.as_bytes());
    Some(mac.finalize().into_bytes().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn holds(patterns: &str, address: &str, port: u16) -> bool {
        matches(&patterns.parse().unwrap(), &lookup_name(address, port))
    }

    #[test]
    fn plain_names_and_ports() {
        assert!(holds("docker01,10.0.0.1", "docker01", 22));
        assert!(holds("Docker01", "DOCKER01", 22));
        assert!(
            !holds("docker01", "docker01", 2222),
            "another port is another server"
        );
        assert!(holds("[docker01]:2222", "docker01", 2222));
        assert!(!holds("[docker01]:2222", "docker01", 22));
        assert!(!holds("docker0", "docker01", 22));
    }

    #[test]
    fn wildcards_and_exceptions() {
        assert!(holds("*.example.org", "a.b.example.org", 22));
        assert!(!holds("*.example.org", "example.org", 22));
        assert!(holds("docker0?", "docker07", 22));
        assert!(!holds(
            "*.example.org,!bad.example.org",
            "bad.example.org",
            22
        ));
        assert!(!holds(
            "!bad.example.org,*.example.org",
            "bad.example.org",
            22
        ));
        assert!(
            !holds("!bad.example.org", "good.example.org", 22),
            "an exception alone matches nothing"
        );
        assert!(holds("a*b*c", "a-b-b-c", 22));
        assert!(!holds("a*b*c", "a-b-b-d", 22));
        assert!(holds("*", "x", 22));
    }

    #[test]
    fn names_hashed_by_skep_match_again() {
        let patterns = hashed("[web]:2222");
        assert!(
            patterns.starts_with("|1|") && !patterns.contains("web"),
            "{patterns}"
        );
        assert!(matches(&patterns.parse().unwrap(), "[web]:2222"));
        assert_ne!(patterns, hashed("[web]:2222"), "each has a salt of its own");
    }

    #[test]
    fn names_hashed_by_ssh_keygen_match() {
        // Written by `ssh-keygen -H` for `[localhost]:2222`.
        let patterns = "|1|moWpKxq6z+ONMmZv/wS+dfxv8FI=|pQ68rUKmIAqos2KprW8hry36xsE="
            .parse()
            .unwrap();
        assert!(matches(&patterns, "[localhost]:2222"));
        assert!(!matches(&patterns, "localhost"));
    }
}
