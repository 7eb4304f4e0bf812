//! The known hosts file for Vagrant's machines, which belongs to skep. A machine's name in it is
//! derived from the identity that the provider gave it. A rebuilt machine has a new identity: its
//! key counts as new, and the old line is removed.

use std::collections::BTreeSet;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::Path;

/// Returns the name in the known hosts file of the machine with this identity.
pub(super) fn alias(identity: &str) -> String {
    // An identity is one word already. Characters that known_hosts would read as a pattern are
    // removed.
    let word: String = identity
        .chars()
        .filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-')
        .collect();
    format!("vagrant-{}", word.to_ascii_lowercase())
}

/// Removes machines that no longer exist from the file. If the file cannot be changed, their lines
/// stay, which does no harm because they match no machine.
pub(super) fn forget_all_but(file: &Path, living: &BTreeSet<String>) {
    let Ok(mut open) = std::fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open(file)
    else {
        return;
    };
    // The code that records a new key holds this lock too.
    if open.lock().is_err() {
        return;
    }
    let mut before = String::new();
    if open.read_to_string(&mut before).is_err() {
        return;
    }
    let lives = |line: &&str| {
        line.split_ascii_whitespace()
            .next()
            .is_some_and(|name| living.contains(name))
    };
    let after: String = before.split_inclusive('\n').filter(lives).collect();
    if after != before && open.rewind().is_ok() && open.set_len(0).is_ok() {
        let _ = open.write_all(after.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn lines_of_removed_machines_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        std::fs::write(
            &file,
            "vagrant-a1 ssh-ed25519 K1\nvagrant-b2 ssh-ed25519 K2\nvagrant-a1 ssh-rsa K3\n",
        )
        .unwrap();
        forget_all_but(&file, &BTreeSet::from(["vagrant-a1".to_owned()]));
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "vagrant-a1 ssh-ed25519 K1\nvagrant-a1 ssh-rsa K3\n"
        );
        forget_all_but(&folder.path().join("none"), &BTreeSet::new());
        assert!(!folder.path().join("none").exists());
    }

    #[test]
    fn aliases_contain_only_letters_digits_and_hyphens() {
        assert_eq!(alias("3F0C-aa11"), "vagrant-3f0c-aa11");
        assert_eq!(alias("a,b *?!"), "vagrant-ab");
    }
}
