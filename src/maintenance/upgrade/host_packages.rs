//! The packages of one host, as an upgrade needs them.

use std::collections::BTreeMap;

use crate::kinds::package::VersionPattern;
use crate::model::{PackageUpdate, RebootState};
use crate::names::HostName;

/// Packages of Docker Engine: those of Docker, of Debian and of Ubuntu. Names that carry the
/// version of the Engine itself come first.
pub(super) const ENGINE_PACKAGES: &[&str] = &[
    "docker-ce",
    "docker-ce-cli",
    "docker-ce-rootless-extras",
    "docker.io",
    "docker-cli",
    "containerd.io",
    "containerd",
    "runc",
    "docker-buildx-plugin",
    "docker-buildx",
    "docker-compose-plugin",
    "docker-compose-v2",
    "docker-compose",
];

/// Number of names in [`ENGINE_PACKAGES`] that carry the version of the Engine.
const WITH_ENGINE_VERSION: usize = 5;

/// Returns true if the package has the version of the Engine.
pub(super) fn has_engine_version(name: &str) -> bool {
    ENGINE_PACKAGES[..WITH_ENGINE_VERSION].contains(&name)
}

/// Returns true if the package contains the Engine itself.
pub(super) fn is_engine(name: &str) -> bool {
    ["docker-ce", "docker.io"].contains(&name)
}

/// The packages of one host.
#[derive(Debug, Clone, Default)]
pub(super) struct HostPackages {
    /// Installed packages of the Engine, with their versions.
    pub installed: BTreeMap<String, String>,
    /// True if one of them is on hold.
    pub is_held: bool,
    /// Versions that apt offers for them, highest first.
    pub offered: BTreeMap<String, Vec<String>>,
    /// Versions that the operator wants; a package without an entry gets the highest one.
    pub wanted: BTreeMap<String, VersionPattern>,
    /// Updates of the operating system.
    pub updates: Vec<PackageUpdate>,
    /// Whether a reboot is due.
    pub reboot: RebootState,
    /// Warnings of apt about its sources.
    pub warnings: Vec<String>,
}

/// The packages of all hosts.
pub(super) type FleetPackages = BTreeMap<HostName, HostPackages>;
