//! Sends images to a Docker Engine. The Engine answers with 200 and a stream of JSON messages, of
//! which one reports a failure.

use bytes::Bytes;
use serde_json::Value;

use super::Permit;
use super::step_error::StepError;
use crate::docker::RequestBody;
use crate::model::{ImageCall, RegistryCredentials};
use crate::runner::ConnectedHost;

/// Maximum number of output lines shown with an error: the builder's own output shows where it
/// stopped.
const LINES: usize = 6;

/// Usual cause of a registry's status 500 to a push.
const FULL: &str = "the registry cannot write: check the log of its service, and whether the disk of its directory is full (df)";

/// Builds, loads or pushes an image.
pub(super) async fn send(
    permit: &Permit,
    host: &ConnectedHost,
    call: &ImageCall,
) -> Result<(), StepError> {
    // The Engine refuses a push without this header even if the registry needs no credentials;
    // `e30=` is `{}`.
    let auth = call
        .credentials
        .as_ref()
        .map_or_else(|| "e30=".to_owned(), RegistryCredentials::header);
    let request_body =
        RequestBody::tar(Bytes::from_owner(call.archive.clone())).with_registry_auth(Some(auth));
    let (status, answer) = host
        .request(permit, "POST", &call.path, &request_body, call.timeout)
        .await?;
    if !(200..300).contains(&status) {
        let message = answer
            .get("message")
            .and_then(Value::as_str)
            .unwrap_or("no reason given")
            .trim()
            .to_owned();
        return Err(StepError::Engine {
            host: host.name().clone(),
            status,
            message,
        });
    }
    match failure(&answer) {
        Some(said) => Err(StepError::Failed { said }),
        None => Ok(()),
    }
}

/// Returns the error, with the last lines of output before it.
fn failure(answer: &Value) -> Option<String> {
    let messages: Vec<Value> = match answer {
        // A single message is parsed as an object.
        Value::Object(_) => vec![answer.clone()],
        Value::String(text) => text
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect(),
        _ => Vec::new(),
    };
    let error = messages
        .iter()
        .find_map(|message| message.get("error").and_then(Value::as_str))?;
    let said: String = messages
        .iter()
        .filter_map(|message| message.get("stream").and_then(Value::as_str))
        .collect();
    let lines: Vec<&str> = said
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    // If a registry cannot write, the Engine reports only the status of its answer.
    let more = error.contains("500 Internal Server Error").then_some(FULL);
    let tail = lines[lines.len().saturating_sub(LINES)..]
        .iter()
        .copied()
        .chain([error.trim()])
        .chain(more)
        .collect::<Vec<_>>();
    Some(
        tail.join("; ")
            .chars()
            .map(|character| {
                if character.is_control() {
                    ' '
                } else {
                    character
                }
            })
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_includes_the_last_lines_of_output() {
        let text = "{\"stream\":\"Step 1/2 : FROM x\\n\"}\n{\"stream\":\"Step 2/2 : RUN false\\n\"}\n{\"errorDetail\":{\"code\":1},\"error\":\"returned 1\"}\n";
        assert_eq!(
            failure(&Value::String(text.into())).as_deref(),
            Some("Step 1/2 : FROM x; Step 2/2 : RUN false; returned 1")
        );
        assert_eq!(
            failure(&serde_json::json!({"error": "no space"})).as_deref(),
            Some("no space")
        );
        assert_eq!(
            failure(&Value::String("{\"stream\":\"fine\"}\n{\"aux\":{}}".into())),
            None
        );
        assert_eq!(failure(&Value::Null), None);
        // Observed with docker-registry 2.8.3 on a full file system, and Docker Engine 26.1.5.
        let full = serde_json::json!({"error": "received unexpected HTTP status: 500 Internal Server Error"});
        assert!(failure(&full).is_some_and(|said| said.contains("is full (df)")));
    }
}
