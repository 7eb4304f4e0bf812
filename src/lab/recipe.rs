//! Contents of node images and mirrors, and the hash that names what was built from them.
//! Any change in this file gives a new hash, so that no outdated build is used.

use sha2::{Digest as _, Sha256};

use super::options::DebianSuite;
use crate::base::hex;

/// Packages of a node: those of a bare cloud machine, and no others.
const NODE_PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "dbus",
    "openssh-server",
    "sudo",
    "iproute2",
    "iptables",
    "ca-certificates",
    "procps",
    "kmod",
    "curl",
    "passwd",
    "bash",
    "adduser",
];

/// Packages that only nodes of Debian testing have: the programs that Ubuntu 26.04 has in the
/// places of GNU coreutils and sudo. They are beside those until a node presents itself as Ubuntu
/// 26.04.
const TESTING_PACKAGES: &[&str] = &["rust-coreutils", "sudo-rs"];

/// Returns the packages of a node of a suite.
pub(crate) fn node_packages(suite: DebianSuite) -> Vec<&'static str> {
    let more: &[&str] = match suite {
        DebianSuite::Forky => TESTING_PACKAGES,
        _ => &[],
    };
    [NODE_PACKAGES, more].concat()
}

/// Packages that nodes may install from the mirror, with all their dependencies. Packages that a
/// suite does not have are left out.
pub(crate) const MIRROR_PACKAGES: &[&str] = &[
    "docker.io",
    "docker-cli",
    "docker-compose",
    "docker-buildx",
    "containerd",
    "runc",
    "tini",
    "iptables",
    "gnupg",
    "apt-transport-https",
    "lsb-release",
    "jq",
    "strace",
    "rsync",
    "chrony",
    "busybox-static",
    "docker-registry",
    "tree",
    "logrotate",
    "cron",
    "nfs-common",
    "nfs-kernel-server",
    "ufw",
    // Login shells, and programs to become root.
    "fish",
    "tcsh",
    "zsh",
    "locales",
    "sudo-rs",
];

/// First program of a node: gives systemd a clean unified cgroup tree, and the node its identity.
pub(crate) const FIRST_PROGRAM: &str = include_str!("first_program.sh");

/// Script that runs once inside the new tree: creates users, and removes everything that two nodes
/// must not share.
pub(crate) const TREE_SETUP: &str = include_str!("tree_setup.sh");

/// Returns the name part of a suite's node image: the first 12 hex digits of the hash of its
/// recipe.
pub(crate) fn node_hash(suite: DebianSuite, architecture: &str) -> String {
    hash(&[
        suite.name(),
        architecture,
        &node_packages(suite).join(" "),
        FIRST_PROGRAM,
        TREE_SETUP,
    ])
}

/// Returns the name part of a suite's mirror. The node image is part of the hash, since it decides
/// which packages are already installed.
pub(crate) fn mirror_hash(suite: DebianSuite, architecture: &str) -> String {
    hash(&[
        &node_hash(suite, architecture),
        &MIRROR_PACKAGES.join(" "),
        super::stand_in::RECIPE,
        super::repository::RECIPE,
        super::test_image::RECIPE,
    ])
}

/// Returns the name part of a suite's image of services.
pub(crate) fn services_hash(suite: DebianSuite, architecture: &str) -> String {
    use super::service_image::{LEFT_OUT, PACKAGES, SETUP};
    hash(&[
        suite.name(),
        architecture,
        &PACKAGES.join(" "),
        SETUP,
        &LEFT_OUT.join(" "),
    ])
}

pub(crate) fn hash(parts: &[&str]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        // The length keeps "ab","c" and "a","bc" apart.
        hasher.update(part.len().to_le_bytes());
        hasher.update(part.as_bytes());
    }
    hex(&hasher.finalize()[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_differ_by_every_part() {
        let one = node_hash(DebianSuite::Trixie, "amd64");
        assert_eq!(one.len(), 12);
        assert_eq!(one, node_hash(DebianSuite::Trixie, "amd64"));
        assert_ne!(one, node_hash(DebianSuite::Bookworm, "amd64"));
        assert_ne!(one, node_hash(DebianSuite::Trixie, "arm64"));
        assert_ne!(one, mirror_hash(DebianSuite::Trixie, "amd64"));
        assert_ne!(hash(&["ab", "c"]), hash(&["a", "bc"]));
    }
}
