//! The call of `docker stack deploy`, for previews and for deployment: the same arguments, files
//! and environment with either kind of proxy.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::docker::{ClientCall, DockerProxy, run_client};
use crate::model::{DockerAnswer, DockerError, StackDeployment};
use crate::transport::TransportError;

/// Runs `docker stack deploy` and returns its output: `Err` with the output if the command failed.
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
/// Reason why there is no list, in one sentence.
pub fn list_of(path: &str, answer: DockerAnswer) -> Result<Vec<Value>, String> {
    match answer.json() {
        Ok(Value::Array(list)) => Ok(list.clone()),
        Ok(_) => Err(format!("{path}: the answer of the Engine is no list")),
        Err(DockerError::Refused { status, message }) => Err(format!(
            "{path}: status {status}: {}",
            message.unwrap_or_else(|| "no message".into())
        )),
        Err(error) => Err(error.to_string()),
    }
}
