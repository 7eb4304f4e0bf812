//! Throwaway nodes on this machine, to try and to test skep on: containers that run systemd and
//! sshd, as bare as a new cloud machine, or whole virtual machines.
//! [`up()`] creates or repairs a lab environment, [`find`] returns an existing one, and [`Lab`]
//! stops, starts, rebuilds and disconnects its nodes. Nodes have no route to the outside: they are
//! on an internal bridge, and packages come from a mirror on the bridge's own address.
//! Every call blocks: asynchronous code has to use `spawn_blocking`.

mod command;
mod container;
mod control_file;
mod daemon;
mod docker;
mod docker_image;
mod environment;
mod error;
mod fault;
mod image_load;
mod inventory;
mod key;
mod local_machine;
mod machine_image;
mod mirror;
mod mirror_server;
mod mmdebstrap;
mod name;
mod network;
mod node_image;
mod node_state;
mod options;
mod package_download;
mod progress;
mod provision;
mod rebuild;
mod recipe;
mod record;
mod removal;
mod repository;
mod service_image;
mod stand_in;
mod stand_in_packages;
mod state;
mod test_image;
mod up;
mod virtual_machine;

pub use daemon::{DockerStopOutcome, ensure_docker, stop_docker};
pub use environment::{Lab, find, list};
pub use error::LabError;
pub use image_load::TestImage;
pub use machine_image::{MachineImage, machine_image};
pub use name::LabName;
pub use node_state::NodeState;
pub use options::{DebianSuite, LabOptions, LoginUser, PresentedOs};
pub use progress::ProgressFn;
pub use record::{LabNode, LabRecord, NodeRole};
pub use removal::{down, purge};
pub use state::StateDirectory;
pub use up::up;
