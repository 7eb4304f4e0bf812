//! Maintenance of nodes outside of a playbook: drain, activate, promote, demote, reboot, upgrade
//! and remove.
//! `workload`, `placement`, `assess` and `drain_watch` decide over data without I/O, and `reading`
//! reads the swarm. Arguments, questions and output belong to the command line.

mod assess;
mod backup;
mod drain;
mod drain_watch;
mod error;
mod node_visit;
mod placement;
mod reading;
mod reboot;
mod recovery;
mod remove;
mod role;
#[cfg(test)]
mod tests;
mod upgrade;
mod workload;

pub use assess::ServiceImpact;
pub use backup::{
    BackupManifest, BackupPlan, ManifestNode, RestoreOptions, RestoreOutcome, SwarmBackup,
    check_restore, create_backup, plan_backup, restore_backup,
};
pub use drain::{DrainOptions, DrainOutcome, DrainPlan, DrainPurpose, activate, drain, plan_drain};
pub use error::MaintenanceError;
pub use node_visit::Reconnect;
pub use reading::NodeTarget;
pub use reboot::{RebootOutcome, RebootPlan, plan_reboot, reboot_nodes};
pub use recovery::{
    LostManager, RecoveryOptions, RecoveryOutcome, RecoveryPlan, SurvivingManager, plan_recovery,
    recover,
};
pub use remove::{RemovalOutcome, RemovalPlan, RemovalTarget, plan_removal, remove_nodes};
pub use role::{RolePlan, change_role, plan_role};
pub use upgrade::{
    EngineFacts, NodeUpgrade, OsUpdates, PackageChange, RebootRule, RequiredConsent,
    UpgradeOutcome, UpgradePlan, UpgradeRequest, plan_upgrade, upgrade_nodes,
};
