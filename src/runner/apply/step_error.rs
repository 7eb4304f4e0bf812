//! The reasons why a step fails.

use std::time::Duration;

use crate::names::HostName;
use crate::transport::TransportError;

/// Reason why a step failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum StepError {
    /// The connection to the host was lost; the effect of the step is unknown.
    #[error(transparent)]
    Transport(#[from] TransportError),
    /// The command ended with a status other than 0.
    #[error("{said}")]
    Failed {
        /// End of the command's standard error.
        said: String,
    },
    /// The Docker Engine refused the request.
    #[error("the Engine of {host} answered {status}: {message}")]
    Engine {
        /// Host of the Engine.
        host: HostName,
        /// HTTP status of the answer.
        status: u16,
        /// Error message of the Engine.
        message: String,
    },
    /// The swarm's version of the object changed between plan and act.
    #[error("another client changed the object at the same time")]
    OutOfSequence,
    /// The managers did not agree in time; the next reading shows whether the change was made.
    #[error("the managers of the swarm did not agree in time")]
    NoQuorum,
    /// A deferred value could not be read.
    #[error("{0}")]
    DeferredValue(String),
    /// A wait timed out.
    #[error("timed out after {} waiting for {what}", humantime::format_duration(*after))]
    Wait {
        /// Awaited value, and the value read last.
        what: String,
        /// Time limit of the wait.
        after: Duration,
    },
    /// A prerequisite of the step is missing.
    #[error("{why}; nothing was done")]
    Blocked {
        /// Missing prerequisite.
        why: String,
        /// Next step.
        hint: String,
    },
    /// A stack does not converge.
    #[error("{why}")]
    NotConverged {
        /// Every service that does not run as it should, with the reason.
        why: String,
        /// Next step.
        hint: String,
    },
    /// The body of a request has no place for a deferred value.
    #[error("internal error of skep: the arguments of this step are not known")]
    NotKnown,
}
