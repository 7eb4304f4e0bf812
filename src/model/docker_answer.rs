//! What an Engine said to a read: its words, or why there are none.

/// What an Engine said to a `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerAnswer {
    /// It answered: status and body (an object with `message` when the status is an error).
    Response {
        /// HTTP status.
        status: u16,
        /// Decoded JSON body; null when there was none.
        body: serde_json::Value,
    },
    /// There is no Engine: no socket and no `docker` program.
    Absent,
    /// An Engine is installed and does not answer (stopped, refusing).
    Down(String),
    /// The host could not be reached or read: nothing is known about its Engine. Never read as absent.
    Unreachable(String),
}

impl DockerAnswer {
    /// The body of a successful response.
    #[must_use]
    pub fn ok(&self) -> Option<&serde_json::Value> {
        match self {
            Self::Response {
                status: 200..=299,
                body,
            } => Some(body),
            _ => None,
        }
    }
}
