//! Reasons why a rebuild is refused or fails. All of them are complete sentences for the operator.

use crate::machine::MachineError;
use crate::model::{ProbeError, Refusal};
use crate::names::HostName;
use crate::runner::LeaseError;

/// Reason why a rebuild was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum RebuildError {
    /// The inventory has no such host.
    #[error("there is no host `{0}` in the inventory")]
    UnknownHost(HostName),
    /// No play selects the host: the new machine would stay empty.
    #[error("no play of the playbook is about {0}")]
    NoPlay(HostName),
    /// No program manages the machine, or the program failed.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// The group has other managers, and none of them answers.
    #[error(
        "no manager answers, so the effect of the loss of {0} on the swarm cannot be determined; bring a manager back first \
         (--force goes on)"
    )]
    UnknownQuorum(HostName),
    /// The host is the only manager, and the operator did not consent to a new swarm.
    #[error(
        "{0} is the only manager: with it the swarm is lost, its services, secrets, configs and labels; `--new-cluster` does \
         that and starts a new one, or promote another node to manager first"
    )]
    OnlyManager(HostName),
    /// The quorum check refused the loss of the manager.
    #[error("{}; {}", .0.why, .0.hint)]
    LosesMajority(Refusal),
    /// Another run disrupts the swarm, or its managers cannot record this one.
    #[error("{0}; nothing was destroyed")]
    Lease(LeaseError),
    /// The operator did not confirm.
    #[error("nothing was done: not confirmed; pass --yes to skip the prompt")]
    NotConfirmed,
    /// The new machine cannot be read.
    #[error("the data directories of {0} cannot be read")]
    Unreadable(HostName),
    /// A data directory cannot be read.
    #[error(transparent)]
    Probe(#[from] ProbeError),
}

impl From<LeaseError> for RebuildError {
    fn from(error: LeaseError) -> Self {
        Self::Lease(error)
    }
}
