//! The transport against real OpenSSH servers.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod bad_input;
mod batch;
mod become_root;
mod certificates;
mod commands;
mod cut_check;
mod docker_server;
mod docker_socket;
mod dropbear;
mod first_contact;
mod host_keys;
mod host_lock;
mod hostile;
mod jump;
mod link_faults;
mod login;
mod matrix;
mod password;
mod privacy;
mod privilege;
mod reaching;
pub mod sshd;
mod terminal;
mod traps;
mod verbs;

use std::sync::Arc;

use skep::inventory::SshTarget;
use skep::transport::{KnownHosts, SshConnection, TransportError, connect_with};

use sshd::{Sshd, bare_options};

/// Connects without the keys of this machine.
pub async fn reach(target: &SshTarget) -> Result<Arc<SshConnection>, TransportError> {
    connect_with(
        target,
        &KnownHosts::load(&target.known_hosts)?,
        &bare_options(),
    )
    .await
}

/// Starts a server and connects to it as root.
pub async fn root() -> (Sshd, Arc<SshConnection>) {
    let sshd = Sshd::start("");
    let connection = reach(&sshd.target()).await.unwrap();
    (sshd, connection)
}

/// Returns the command lines of live processes that contain the text.
pub fn running(text: &str) -> Vec<String> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(text)).collect()
}

/// Waits until no process has the text on its command line, with a limit for busy machines.
pub async fn gone(text: &str) {
    let start = std::time::Instant::now();
    while !running(text).is_empty() {
        assert!(
            start.elapsed() < std::time::Duration::from_secs(4),
            "left behind: {:?}",
            running(text)
        );
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
