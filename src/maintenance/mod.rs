//! Maintenance of nodes outside of a playbook: drain, activate, promote, demote, reboot, upgrade
//! and remove, and the rebalance of services.
//! `workload`, `placement`, `assess` and `drain_watch` decide over data without I/O, and `reading`
//! reads the swarm. Arguments, questions and output belong to the command line.

mod assess;
mod availability;
mod backup;
mod balance;
mod drain;
mod drain_watch;
mod error;
mod leader_wait;
mod node_visit;
mod own_play;
mod placement;
mod play_drain;
mod reading;
mod rebalance;
mod reboot;
mod recovery;
mod remove;
mod replace;
mod role;
mod rotation;
#[cfg(test)]
mod tests;
mod unlisted;
mod unlock;
mod upgrade;
mod workload;

pub use assess::ServiceImpact;
pub use availability::activate;
pub use backup::{
    BackupManifest, BackupPlan, ManifestNode, RestoreOptions, RestoreOutcome, SwarmBackup,
    check_restore, create_backup, plan_backup, restore_backup,
};
pub use balance::ServiceBalance;
pub use drain::{DrainOptions, DrainOutcome, DrainPlan, DrainPurpose, drain, plan_drain};
pub use error::MaintenanceError;
pub use node_visit::{NodeVisit, Reconnect};
pub use play_drain::PlayDrain;
pub use reading::NodeTarget;
pub use rebalance::{RebalanceOutcome, RebalancePlan, plan_rebalance, rebalance};
pub use reboot::{RebootOutcome, RebootPlan, plan_reboot, reboot_nodes};
pub use recovery::{
    LostManager, RecoveryOptions, RecoveryOutcome, RecoveryPlan, SurvivingManager, plan_recovery,
    recover,
};
pub use remove::{RemovalOutcome, RemovalPlan, RemovalTarget, plan_removal, remove_nodes};
pub use replace::{ReplacementOutcome, ReplacementPlan, plan_replacement, replace_node};
pub use role::{RolePlan, change_role, plan_role};
pub use rotation::{
    RotatedTokens, RotationOutcome, rotate_authority, rotate_tokens, rotate_unlock_key,
};
pub use unlisted::plan_unlisted_removal;
pub use unlock::{UnlockOutcome, plan_unlock, unlock_managers};
pub use upgrade::{
    NodeUpgrade, OsUpdates, PackageChange, RebootRule, UpgradeOutcome, UpgradePlan, UpgradeRequest,
    plan_upgrade, upgrade_nodes,
};
