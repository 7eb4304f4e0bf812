//! Nodes that are whole virtual machines with a kernel of their own. Features that containers do
//! not have (IPVS, NFS, memory limits) work in them.
//! They are QEMU processes without acceleration and without Docker; each has a folder inside the
//! environment's folder. The first network card is a NAT behind which every machine has the same
//! address, the second one is the environment's private network.

mod address;
mod base_disk;
mod machine;
mod monitor;
mod qemu_process;
mod recipe;
mod seed;
mod ssh_shell;
mod up;

pub(crate) use machine::{VirtualMachine, end_all};
pub(crate) use up::up;
