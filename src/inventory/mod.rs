//! The inventory: the hosts, how each is reached, and the variables that differ between them.
//!
//! Variables, from the weakest to the strongest: playbook `[vars]`, inventory `[vars]`,
//! `[groups.NAME.vars]` (parents before children, then in the order of the host's `groups`),
//! `[hosts.NAME] vars`, `-e`. A stronger value replaces a weaker one as a whole; tables are not
//! merged.

mod address;
mod allowed_paths;
mod external;
mod extra;
mod groups;
mod host;
mod load;
mod roster;
mod select;
mod settings;
mod ssh_settings;
mod target;
mod to_toml;
mod vars;
mod view;

pub use external::{is_asked_of_a_program, vagrant_root};
pub use extra::extra_vars;
pub use groups::Group;
pub use host::Host;
pub use load::{IGNORE_FILE, Inventory, InventoryRequest};
pub use roster::{Roster, RosterEntry};
pub use select::PatternError;
pub(crate) use settings::local_user;
pub use ssh_settings::{AddressFamily, IdentityAgent, Keepalive, SshProxy, SshSettings};
pub use target::{HostKeyPolicy, SettingOrigin, SshConfigFile, SshTarget};
pub use vars::{RESERVED, VariableDecl, VariableMap};
pub use view::{HostView, InventoryView};
