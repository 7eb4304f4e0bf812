//! Kinds of resources. Each kind is one module: a struct (its fields are the fields of a table in a
//! playbook) and three pure, synchronous functions over data. A kind never sees a connection; the
//! runner does all I/O.
//!
//! A new kind takes one file and one line in `resource_kinds!` below; `docs/contributing.md` shows
//! the six steps.

mod account;
mod apt;
pub mod apt_repository;
pub mod certificate;
mod cluster;
pub mod command;
pub mod config;
pub mod daemon_json;
mod data_volume;
pub mod directory;
mod engine_settings;
pub mod file;
pub mod firewall;
pub mod group;
pub mod hosts_entry;
pub mod image;
mod image_name;
mod mode;
pub mod network;
pub mod node_labels;
mod ownership;
pub mod package;
mod path;
pub mod registry;
pub mod secret;
pub mod stack;
mod state;
pub mod swarm_member;
pub mod swarm_settings;
pub mod symlink;
pub mod sysctl;
pub mod systemd_service;
#[cfg(test)]
mod trial;
pub mod user_in_group;
mod versions;
pub mod volume;

pub use account::{AccountName, AccountRef};
pub use apt::refresh_lists;
pub use cluster::{ClusterSite, ClusterState};
pub use data_volume::DataVolume;
pub use mode::FileMode;
pub use ownership::Ownership;
pub use path::AbsolutePath;
pub use state::DesiredState;
pub use versions::ObjectVersions;

use crate::model::{HostContext, InvalidField, Resource, ResourceKind, ResourceScope};

/// Reason why a table could not become a resource.
#[derive(Debug)]
pub enum BuildError {
    /// The kind's own check refuses the table.
    Invalid(InvalidField),
    /// The table does not have the kind's fields or types; the error carries its span.
    Table(toml::de::Error),
}

/// Generates the lookup by name and the list of names from one line per kind.
macro_rules! resource_kinds {
    ($($module:ident :: $kind:ident),* $(,)?) => {
        /// Names of all kinds, in the order of the documentation.
        pub const KINDS: &[&str] = &[$($module::$kind::NAME),*];

        /// Returns the scope of resources of the named kind; `None` if there is no such kind.
        #[must_use]
        pub fn scope(kind: &str) -> Option<ResourceScope> {
            match kind {
                $($module::$kind::NAME => Some($module::$kind::SCOPE),)*
                _ => None,
            }
        }

        /// Returns true if no resource of the named kind depends on another host.
        #[must_use]
        pub fn is_local(kind: &str) -> bool {
            match kind {
                $($module::$kind::NAME => $module::$kind::IS_LOCAL,)*
                _ => false,
            }
        }

        /// Builds a resource of the named kind from its rendered table; `None` if there is no such
        /// kind.
        pub fn build(
            kind: &str,
            table: toml::de::ValueDeserializer<'_>,
            context: &HostContext<'_>,
        ) -> Option<Result<std::sync::Arc<dyn Resource>, BuildError>> {
            match kind {
                $($module::$kind::NAME => Some(build_kind::<$module::$kind>(table, context)),)*
                _ => None,
            }
        }
    };
}

fn build_kind<K: ResourceKind>(
    table: toml::de::ValueDeserializer<'_>,
    context: &HostContext<'_>,
) -> Result<std::sync::Arc<dyn Resource>, BuildError> {
    let mut kind = K::deserialize(table).map_err(BuildError::Table)?;
    kind.bind(context).map_err(BuildError::Invalid)?;
    Ok(std::sync::Arc::new(kind))
}

resource_kinds! {
    apt_repository::AptRepositoryResource,
    certificate::CertificateResource,
    command::CommandResource,
    directory::DirectoryResource,
    file::FileResource,
    firewall::FirewallResource,
    group::GroupResource,
    hosts_entry::HostsEntryResource,
    image::ImageResource,
    package::PackageResource,
    daemon_json::DaemonJsonResource,
    swarm_member::SwarmMemberResource,
    swarm_settings::SwarmSettingsResource,
    config::ConfigResource,
    network::NetworkResource,
    secret::SecretResource,
    node_labels::NodeLabelsResource,
    registry::RegistryResource,
    stack::StackResource,
    symlink::SymlinkResource,
    sysctl::SysctlResource,
    systemd_service::SystemdServiceResource,
    user_in_group::UserInGroupResource,
    volume::VolumeResource,
}
