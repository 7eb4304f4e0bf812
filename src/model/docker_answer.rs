//! The answer of a Docker Engine to a read, or the reason why there is none.

use serde_json::Value;

/// The answer of a Docker Engine to a `GET`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerAnswer {
    /// The Engine answered. The body is an object with `message` if the status is an error.
    Response {
        /// HTTP status.
        status: u16,
        /// Decoded JSON body; null if there was none.
        body: Value,
    },
    /// The host has no Engine: no socket and no `docker` program.
    Absent,
    /// An Engine is installed and does not answer (stopped, refusing).
    Down(String),
    /// The host could not be reached or read: nothing is known about its Engine. Never read as
    /// absent.
    Unreachable(String),
}

/// The reason why a [`DockerAnswer`] holds no body.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DockerError {
    /// The Engine answered with an error.
    #[error("{}", .message.clone().unwrap_or_else(|| format!("the Engine answered with status {status}")))]
    Refused {
        /// HTTP status.
        status: u16,
        /// The Engine's own words, trimmed.
        message: Option<String>,
    },
    /// The host has no Engine.
    #[error("there is no Engine")]
    Absent,
    /// The Engine does not answer, or the host cannot be read.
    #[error("{0}")]
    NoAnswer(String),
}

impl DockerError {
    /// Returns true if the Engine does not have the object that was read.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }
}

impl DockerAnswer {
    /// Returns the body of a successful response.
    ///
    /// # Errors
    /// [`DockerError`] with the reason why there is none.
    pub fn json(&self) -> Result<&Value, DockerError> {
        match self {
            Self::Response {
                status: 200..=299,
                body,
            } => Ok(body),
            Self::Response { status, body } => Err(DockerError::Refused {
                status: *status,
                message: body
                    .get("message")
                    .and_then(Value::as_str)
                    .map(|message| message.trim().to_owned()),
            }),
            Self::Absent => Err(DockerError::Absent),
            Self::Down(why) | Self::Unreachable(why) => Err(DockerError::NoAnswer(why.clone())),
        }
    }

    /// Returns the body of a successful response, or `None` for whatever reason there is none.
    #[must_use]
    pub fn ok(&self) -> Option<&Value> {
        self.json().ok()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn reasons_for_a_missing_body() {
        let response = |status, body| DockerAnswer::Response { status, body };
        assert_eq!(response(204, Value::Null).json(), Ok(&Value::Null));
        for (answer, reason, is_not_found) in [
            (
                response(404, json!({"message": " no such volume\n"})),
                "no such volume",
                true,
            ),
            (
                response(500, json!({})),
                "the Engine answered with status 500",
                false,
            ),
            (DockerAnswer::Absent, "there is no Engine", false),
            (DockerAnswer::Down("stopped".into()), "stopped", false),
            (
                DockerAnswer::Unreachable("no route".into()),
                "no route",
                false,
            ),
        ] {
            let error = answer.json().unwrap_err();
            assert_eq!(
                (error.to_string().as_str(), error.is_not_found()),
                (reason, is_not_found)
            );
            assert_eq!(answer.ok(), None);
        }
    }
}
