//! Runs the `docker` command of this machine against a proxy, isolated from this machine: in a
//! folder of its own, with an empty configuration and only the given environment.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use super::PrivateFolder;
use super::proxy::{DockerProxy, ProxyServer};
use crate::base::child_command;
use crate::transport::TransportError;

/// `PATH` of the command. It is the same for every operator.
const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A call of the `docker` command.
#[derive(Clone)]
pub struct ClientCall {
    /// Arguments after `docker`; never a secret. The command runs in a folder that contains
    /// `files`.
    pub arguments: Vec<String>,
    /// Files, by their paths in that folder.
    pub files: BTreeMap<String, Vec<u8>>,
    /// Environment variables of the command, in addition to `PATH`, `HOME` and `DOCKER_...`.
    pub environment: BTreeMap<String, String>,
    /// Lets the command read this account's Docker configuration, which contains the credentials
    /// for registries.
    pub own_configuration: bool,
    /// Time limit, after which the command is killed.
    pub timeout: Duration,
}

/// Result of the command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOutput {
    /// True if the command ended with status 0.
    pub success: bool,
    /// Output on stdout and stderr, without the path of the command's folder.
    pub said: String,
}

/// Runs the command to its end. Its folder and socket are removed when this function returns or is
/// cancelled.
///
/// # Errors
/// [`TransportError::NoClient`] when this machine has no `docker` command,
/// [`TransportError::Local`] when it cannot be run, [`TransportError::Timeout`], and the first
/// error between the proxy and the Engine.
pub async fn run_client(
    proxy: &Arc<DockerProxy>,
    call: &ClientCall,
) -> Result<ClientOutput, TransportError> {
    let folder = PrivateFolder::new()?;
    folder.fill(&call.files)?;
    let served = ProxyServer::start(proxy.clone(), &folder)?;
    proxy.confine(folder.path(), call.files.values());
    // The command of the operator, but not the operator's `PATH`: compose files can show every
    // variable of the command's environment.
    let program = find_program("docker").ok_or(TransportError::NoClient)?;
    let mut command = Command::from(child_command(program));
    command
        .args(&call.arguments)
        .current_dir(folder.path())
        .kill_on_drop(true);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.env_clear().envs(&call.environment);
    if call.own_configuration {
        // Programs that hold credentials need the account's own environment.
        for name in ["PATH", "HOME", "DOCKER_CONFIG"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
    } else {
        command
            .env("PATH", STANDARD_PATH)
            .env("HOME", folder.path())
            .env("DOCKER_CONFIG", folder.path().join(".docker"));
    }
    // Set after the given environment, which must not redirect the command to another Engine.
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

/// Returns the path of a program in the operator's `PATH`.
fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
}
