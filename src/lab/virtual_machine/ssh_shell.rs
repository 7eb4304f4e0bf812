//! Runs scripts as root in a machine by the `ssh` program over the NAT card. skep's own transport
//! is not used, as with `docker exec` for container nodes.

use std::path::PathBuf;

use crate::lab::command::LocalCommand;
use crate::lab::error::LabError;

/// Address and credentials of a machine.
#[derive(Debug, Clone)]
pub(super) struct SshShell {
    pub(super) port: u16,
    pub(super) identity_file: PathBuf,
    pub(super) known_hosts: PathBuf,
}

impl SshShell {
    /// Runs a shell script, which is passed over stdin.
    pub(super) fn shell(&self, script: &str, seconds: u64) -> Result<String, LabError> {
        let options = [
            "BatchMode=yes".to_owned(),
            "IdentitiesOnly=yes".to_owned(),
            "IdentityAgent=none".to_owned(),
            "StrictHostKeyChecking=yes".to_owned(),
            format!("UserKnownHostsFile=\"{}\"", self.known_hosts.display()),
            "LogLevel=ERROR".to_owned(),
            "ConnectTimeout=30".to_owned(),
            // A machine without power does not close its connections.
            "ServerAliveInterval=30".to_owned(),
        ];
        LocalCommand::new("ssh")
            .arguments(["-F", "/dev/null", "-T", "-p", &self.port.to_string(), "-i"])
            .arguments([&self.identity_file])
            .arguments(options.iter().flat_map(|option| ["-o", option]))
            .arguments(["root@127.0.0.1", "sh -eu -s"])
            .install_hint("apt-get install openssh-client")
            .input(script)
            .seconds(seconds)
            .run()
    }
}
