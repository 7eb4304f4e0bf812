//! Backup of a swarm: the state of one manager with a manifest, encrypted; and its restoration onto
//! a new machine.

mod archive;
mod create;
mod restore;

pub use archive::{BackupManifest, ManifestNode, SwarmBackup};
pub use create::{BackupPlan, create_backup, plan_backup};
pub use restore::{RestoreOptions, RestoreOutcome, check_restore, restore_backup};
