//! Rolling upgrade of nodes: brings the packages of Docker Engine, and if wanted those of the
//! operating system, to new versions, one node after the other. Each node is drained, changed,
//! rebooted if that is due, and taken back before the next one begins.

mod host_packages;
mod package_reading;
mod package_run;
mod plan;
mod run;
mod version_choice;

use std::collections::BTreeSet;

pub use plan::{NodeUpgrade, PackageChange, UpgradePlan, plan_upgrade};
pub use run::{UpgradeOutcome, upgrade_nodes};

use crate::kinds::package::VersionPattern;

/// Updates of the operating system that an upgrade installs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OsUpdates {
    /// None.
    #[default]
    None,
    /// Those of the security archives.
    Security,
    /// All.
    All,
}

/// When an upgrade reboots a machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RebootRule {
    /// Never.
    #[default]
    Never,
    /// When a package asks for it, or a newer kernel is installed.
    WhenDue,
    /// Always.
    Always,
}

/// Wishes of the operator.
#[derive(Debug, Clone, Default)]
pub struct UpgradeRequest {
    /// Version of the Engine in place of the playbook's.
    pub engine: Option<VersionPattern>,
    /// Updates of the operating system.
    pub os: OsUpdates,
    /// When to reboot.
    pub reboot: RebootRule,
    /// Names of the risks that the operator accepts.
    pub accepted: BTreeSet<String>,
}
