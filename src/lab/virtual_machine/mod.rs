//! Nodes that are whole virtual machines, with a kernel of their own: what containers cannot show (IPVS, NFS, limits of memory) works
//! in them. QEMU's processes carry them, without acceleration and without Docker; each has a folder in the lot's own.
//! The first network card is a NAT behind which every machine has the same address; the second is the lot's private network.

mod address;
mod image;
mod machine;
mod monitor;
mod process;
mod recipe;
mod remote;
mod seed;
mod up;

pub(crate) use machine::{Machine, end_all};
pub(crate) use up::up;

use super::error::LabError;
use super::host;

/// The only architecture whose QEMU machine is described here.
const ARCHITECTURE: &str = "amd64";

/// Refuses machines that cannot carry virtual machines.
fn check_host() -> Result<(), LabError> {
    let architecture = host::architecture()?;
    if architecture == ARCHITECTURE {
        return Ok(());
    }
    Err(LabError::Architecture {
        architecture,
        known: ARCHITECTURE,
    })
}
