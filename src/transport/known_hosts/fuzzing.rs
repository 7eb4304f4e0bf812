//! Invariants for any known-hosts file and any name: no host is known by a key that the file does
//! not contain, a revoked key is never accepted, and forgetting a host removes no line that applies
//! to other hosts.

use std::path::Path;

use russh::keys::PublicKey;

use super::entry::{self, KeyMarker};
use super::{KeyVerdict, forget, judge, pattern};

/// Two keys that inputs may name.
const KEYS: [&str; 2] = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQtTWVTzd2t27+t0DEHBPW7iOD23TUiYLio",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9i",
];

/// See [`crate::fuzzing::known_hosts`].
pub(crate) fn known_hosts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (name, text) = text.split_once('\n').unwrap_or(("web", &text));
    let name = pattern::lookup_name(
        name,
        if name.len().is_multiple_of(2) {
            22
        } else {
            2222
        },
    );
    let file = Path::new("/known_hosts");
    let entries = entry::parse(text, file);
    assert!(entries.len() <= text.lines().count());
    for key in KEYS {
        let Ok(shown) = PublicKey::from_openssh(key) else {
            continue;
        };
        let own = entries
            .iter()
            .filter(|entry| pattern::matches(&entry.patterns, &name));
        let of_key: Vec<_> = own
            .filter(|entry| entry.key.key_data() == shown.key_data())
            .collect();
        let verdict = judge(&entries, &name, &shown);
        let revoked = of_key.iter().any(|entry| entry.role == KeyMarker::Revoked);
        let named = of_key.iter().any(|entry| entry.role == KeyMarker::HostKey);
        match verdict {
            KeyVerdict::Known => assert!(named && !revoked),
            KeyVerdict::Revoked(_) => assert!(revoked),
            KeyVerdict::Changed(_) | KeyVerdict::Unknown => assert!(!named && !revoked),
        }
        // The base64 text of the key is in every line that names it.
        let words = key
            .split(' ')
            .nth(1)
            .unwrap_or_default()
            .trim_end_matches('=');
        assert!(
            !named || text.contains(words),
            "known by a key that the file does not contain"
        );
    }
    let (after, forgotten) = forget::text_without(text, &name, file);
    assert!(after.len() <= text.len());
    let (again, more) = forget::text_without(&after, &name, file);
    assert!(
        again == after && more.lines.is_empty(),
        "forgetting twice finds more: {more:?}"
    );
    if forgotten.lines.is_empty() {
        assert_eq!(after, text);
    }
    // Lines of revoked keys and of authorities are never removed.
    let special = |text: &str| {
        let entries = entry::parse(text, file);
        entries
            .iter()
            .filter(|entry| entry.role != KeyMarker::HostKey)
            .count()
    };
    assert_eq!(special(&after), special(text));
}
