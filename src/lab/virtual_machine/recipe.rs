//! What the disk of virtual machines is made of, and the hash that names what was built from it.

use crate::lab::options::DebianSuite;
use crate::lab::recipe;

/// Packages besides those of a node that is a container: a kernel, and what finds hardware.
pub(super) const PACKAGES: &[&str] = &[
    "linux-image-cloud-amd64",
    "initramfs-tools",
    "udev",
    "hostname",
];

/// Run in the new tree, behind the setup that containers get.
pub(super) const SETUP: &str = include_str!("tree_setup.sh");

/// What the disk of a machine holds at most; it takes on this machine what is written to it.
pub(super) const DISK_SIZE: &str = "16G";

/// Changes with the code that makes the disk.
const FORM: &str = "2";

/// Names the disk of a suite.
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
