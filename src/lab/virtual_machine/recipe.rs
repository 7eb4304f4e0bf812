//! Contents of the base disk of virtual machines, and the hash that names a disk built from them.

use crate::lab::options::DebianSuite;
use crate::lab::recipe;

/// Packages in addition to those of a container node: a kernel, and programs that detect hardware.
pub(super) const PACKAGES: &[&str] = &[
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "udev",
    "hostname",
];

/// Script that runs in the new tree after the setup of container nodes.
pub(super) const SETUP: &str = include_str!("tree_setup.sh");

/// Maximum size of a machine's disk. On this machine, the disk only uses the space written to it.
pub(super) const DISK_SIZE: &str = "16G";

/// Version of the code that builds the disk.
const FORM: &str = "2";

/// Returns the name part of a suite's base disk.
pub(super) fn hash(suite: DebianSuite, architecture: &str) -> String {
    recipe::hash(&[
        &recipe::node_hash(suite, architecture),
        &PACKAGES.join(" "),
        SETUP,
        DISK_SIZE,
        FORM,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_have_disks_of_their_own() {
        assert_ne!(
            hash(DebianSuite::Trixie, "amd64"),
            hash(DebianSuite::Bookworm, "amd64")
        );
        assert_ne!(
            hash(DebianSuite::Trixie, "amd64"),
            recipe::node_hash(DebianSuite::Trixie, "amd64")
        );
    }
}
