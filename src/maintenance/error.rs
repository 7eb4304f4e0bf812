//! Reasons why the maintenance of a node is refused or fails, as complete sentences.

use crate::model::Refusal;
use crate::names::HostName;
use crate::runner::LeaseError;
use crate::swarm::RequiredConsent;

/// Reason why the maintenance of a node was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum MaintenanceError {
    /// The inventory has no such host.
    #[error("there is no host `{0}` in the inventory; `skep inventory` lists its hosts")]
    UnknownHost(HostName),
    /// The Engine of the host does not answer, so its node is not known.
    #[error(
        "{host} cannot be read, so skep does not know which node it is: {why}; bring it back first, or use `docker node update` \
         with the ID of its node on a manager"
    )]
    Unreadable {
        /// The host.
        host: HostName,
        /// Reason of the failed reading.
        why: String,
    },
    /// The host is in no swarm.
    #[error("{0} is in no swarm; `skep status` shows the nodes")]
    NotInSwarm(HostName),
    /// The managers do not list the node of the host.
    #[error(
        "{0} is in another swarm, or was removed from this one: the managers do not list its node; `skep check` says more"
    )]
    Unlisted(HostName),
    /// The host and the managers contradict each other, or the swarm would lose its majority.
    #[error("{}; {}", .0.why, .0.hint)]
    Refused(Refusal),
    /// No host of the inventory answers as a manager.
    #[error("no manager answers: {0}; `skep status` shows the state of the hosts")]
    NoManager(String),
    /// Services would be interrupted.
    #[error(
        "draining {host} interrupts {}; add replicas on other nodes first, or accept the interruption with --allow-interruption",
        .services.join(", ")
    )]
    Interruption {
        /// The host.
        host: HostName,
        /// Names of the services.
        services: Vec<String>,
    },
    /// Another run disrupts the swarm, or its managers cannot record this one.
    #[error("{0}; nothing was changed")]
    Lease(LeaseError),
    /// The managers did not make the change.
    #[error("{host} was not changed: {why}; run the command again when the managers answer")]
    Update {
        /// The host.
        host: HostName,
        /// Reason of the managers.
        why: String,
    },
    /// The node is another one than in the plan.
    #[error("{0} has become another node since the plan was made; run the command again")]
    Replaced(HostName),
    /// The tasks did not leave the node in time.
    #[error("{host} was not drained within {}: {why}; {fate}", humantime::format_duration(*.limit))]
    DrainTimeout {
        /// The host.
        host: HostName,
        /// Time limit.
        limit: std::time::Duration,
        /// Tasks that did not move, by service.
        why: String,
        /// Availability of the node now.
        fate: String,
    },
    /// The swarm did not change the role of the node in time.
    #[error(
        "{host} is not {word} within {}; `docker node ls` on a manager shows its state, and the same command continues",
        humantime::format_duration(*.limit)
    )]
    RoleTimeout {
        /// The host.
        host: HostName,
        /// Wanted state: `a reachable manager` or `a worker`.
        word: &'static str,
        /// Time limit.
        limit: std::time::Duration,
    },
    /// The node of a machine or an Engine that was restarted is not back in time.
    #[error(
        "{host} is not back {} after its restart: {why}; it stays drained: look at its console, and run `skep node activate {host}` once \
         it is back",
        humantime::format_duration(*.limit)
    )]
    NotBack {
        /// The host.
        host: HostName,
        /// Time limit.
        limit: std::time::Duration,
        /// Last reason.
        why: String,
    },
    /// The backup cannot be restored onto the host.
    #[error("{0}; nothing was changed")]
    NoRestore(String),
    /// The swarm needs no recovery, or it is not certain that it does.
    #[error("{0}; nothing was changed")]
    NoRecovery(String),
    /// The packages of a host cannot be read.
    #[error("{host} cannot be upgraded: {why}; nothing was changed")]
    Packages {
        /// The host.
        host: HostName,
        /// Reason, in one sentence.
        why: String,
    },
    /// There is no set of versions for all hosts.
    #[error("{0}; nothing was changed")]
    NoVersion(String),
    /// The upgrade has risks that the operator did not accept.
    #[error(
        "the upgrade needs consent: {}; nothing was changed",
        .0.iter().map(|one| format!("{} (--accept {})", one.why, one.name)).collect::<Vec<_>>().join("; ")
    )]
    Consent(Vec<RequiredConsent>),
    /// The packages of a node were not installed.
    #[error(
        "{host} was not upgraded: {why}; it stays drained, and the same command continues once the reason is gone"
    )]
    NotUpgraded {
        /// The host.
        host: HostName,
        /// Reason, in one sentence.
        why: String,
    },
    /// A host cannot take the place of another one.
    #[error("{0}; nothing was changed")]
    Replacement(String),
    /// Tokens, the certificate authority or the unlock key were not rotated.
    #[error("{0}")]
    Rotation(String),
    /// The swarm has neither a service nor a stack of this name.
    #[error(
        "the swarm has neither a service nor a stack {0}; `docker service ls` on a manager lists the services"
    )]
    UnknownService(String),
    /// A service was not changed as planned.
    #[error("{service} was not rebalanced: {why}")]
    Service {
        /// Name of the service.
        service: String,
        /// Reason, in one sentence.
        why: String,
    },
    /// The operator interrupted the run.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

impl From<Refusal> for MaintenanceError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}
