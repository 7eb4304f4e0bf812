//! Nodes that are whole virtual machines, with a kernel of their own: what containers cannot show (IPVS, NFS, limits of memory) works
//! in them. QEMU's processes carry them, without acceleration and without Docker; each has a folder in the lot's own.
//! The first network card is a NAT behind which every machine has the same address; the second is the lot's private network.

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
