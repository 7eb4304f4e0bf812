//! The `docker` command as a stack needs it, for previews and for deploying alike: the same arguments, files and environment,
//! behind whichever proxy.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::docker::{ClientCall, DockerProxy, run_client};
use crate::model::{DockerAnswer, STACK_LABEL, StackDeployment};
use crate::transport::TransportError;

/// Runs `docker stack deploy`; what it said, as an error when it failed.
pub async fn run_stack_deploy(
    proxy: &Arc<DockerProxy>,
    deployment: &StackDeployment,
    timeout: Duration,
) -> Result<Result<String, String>, TransportError> {
    let mut arguments = vec!["stack".to_owned(), "deploy".into()];
    for file in &deployment.compose {
        arguments.extend(["--compose-file".to_owned(), file.clone()]);
    }
    if deployment.prune {
        arguments.push("--prune".into());
    }
    arguments.extend([
        "--resolve-image".to_owned(),
        deployment.resolve_image.into(),
    ]);
    if deployment.registry_auth {
        arguments.push("--with-registry-auth".into());
    }
    arguments.extend(["--".to_owned(), deployment.name.clone()]);
    let call = ClientCall {
        arguments,
        files: deployment.files.clone(),
        environment: deployment.variables.clone(),
        own_configuration: deployment.registry_auth,
        timeout,
    };
    let end = run_client(proxy, &call).await?;
    Ok(if end.success {
        Ok(end.said)
    } else {
        Err(end.said)
    })
}

/// Returns the list in the Engine's answer to a read of `path`.
///
/// # Errors
/// The reason why there is no list, in one sentence.
pub fn list_of(path: &str, answer: DockerAnswer) -> Result<Vec<Value>, String> {
    match answer {
        DockerAnswer::Response {
            status: 200..=299,
            body: Value::Array(list),
        } => Ok(list),
        DockerAnswer::Response { status, body } => {
            let words = body
                .get("message")
                .and_then(Value::as_str)
                .unwrap_or("no list came");
            Err(format!("{path}: status {status}: {words}"))
        }
        DockerAnswer::Absent => Err("there is no Engine".into()),
        DockerAnswer::Down(why) | DockerAnswer::Unreachable(why) => Err(why),
    }
}

/// The Engine's filter for a stack's objects, ready for a query string. A stack's name needs no further escape.
pub fn stack_filter(name: &str) -> String {
    format!("%7B%22label%22%3A%7B%22{STACK_LABEL}%3D{name}%22%3Atrue%7D%7D")
}
