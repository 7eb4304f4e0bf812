//! Runs the `docker` command of this machine against a proxy, with nothing of this machine's own: a folder of its own, an empty
//! configuration, and only the environment that it is given.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use super::PrivateFolder;
use super::proxy::{DockerProxy, ProxyServer};
use crate::transport::TransportError;

/// What to run.
#[derive(Clone)]
pub struct ClientCall {
    /// Arguments behind `docker`; never a secret. The command runs in a folder with `files`.
    pub arguments: Vec<String>,
    /// Files by their paths in that folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Variables of its environment, beside `PATH` and `HOME`.
    pub environment: BTreeMap<String, String>,
    /// Let it read this account's own configuration of docker, where leave at registries is kept.
    pub own_configuration: bool,
    /// Limit of time, after which it is ended.
    pub timeout: Duration,
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOutput {
    /// Whether its status was 0.
    pub success: bool,
    /// What it printed on both ways out, without the name of its folder.
    pub said: String,
}

/// Runs it to its end. Its folder and its socket are gone when this returns or is given up.
///
/// # Errors
/// [`TransportError::NoClient`] when there is no such command here, [`TransportError::Local`] when it cannot be run,
/// [`TransportError::Timeout`], and whatever kept the proxy from the Engine.
pub async fn run_client(
    proxy: &Arc<DockerProxy>,
    call: &ClientCall,
) -> Result<ClientOutput, TransportError> {
    let folder = PrivateFolder::new()?;
    folder.fill(&call.files)?;
    let served = ProxyServer::start(proxy.clone(), &folder)?;
    let mut command = Command::new("docker");
    command
        .args(&call.arguments)
        .current_dir(folder.path())
        .kill_on_drop(true);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.env_clear().envs(&call.environment);
    for name in ["PATH", "HOME"] {
        if let Some(value) = std::env::var_os(name).filter(|_| !call.environment.contains_key(name))
        {
            command.env(name, value);
        }
    }
    if call.own_configuration {
        if let Some(value) = std::env::var_os("DOCKER_CONFIG") {
            command.env("DOCKER_CONFIG", value);
        }
    } else {
        command.env("DOCKER_CONFIG", folder.path().join(".docker"));
    }
    // Behind the given environment: nothing in it may lead the command elsewhere.
    command
        .env("DOCKER_HOST", served.address())
        .env_remove("DOCKER_CONTEXT")
        .env_remove("DOCKER_API_VERSION");
    command
        .env_remove("DOCKER_TLS_VERIFY")
        .env_remove("DOCKER_CERT_PATH");
    let output = match tokio::time::timeout(call.timeout, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) if error.kind() == ErrorKind::NotFound => {
            return Err(TransportError::NoClient);
        }
        Ok(Err(error)) => {
            return Err(TransportError::Local(format!(
                "`docker` cannot be started: {error}"
            )));
        }
        Err(_) => return Err(TransportError::Timeout(call.timeout)),
    };
    if let Some(error) = proxy.first_error() {
        return Err(error);
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).replace(&format!("{}/", folder.path().display()), "");
    Ok(ClientOutput {
        success: output.status.success(),
        said: said.trim().to_owned(),
    })
}
