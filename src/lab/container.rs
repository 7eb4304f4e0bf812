//! A node that is a container: creates and starts it, and waits until systemd and sshd are up.

use std::time::{Duration, Instant};

use super::docker::{
    LABEL_LAB, LABEL_NODE, LABEL_STATE, container_state, docker, docker_alone, docker_finish,
    shell_in,
};
use super::error::LabError;
use super::fault;
use super::local_machine;
use super::mirror_server::listens;
use super::network::LabNetwork;
use super::progress::ProgressFn;
use super::record::{LabNode, LabRecord};
use super::state::StateDirectory;

/// Time limit for the boot of a node, in seconds.
const BOOT_SECONDS: u64 = 120;

/// Settings that all containers of an environment share.
pub(crate) struct NodeTemplate<'a> {
    pub(crate) record: &'a LabRecord,
    pub(crate) state: &'a StateDirectory,
    pub(crate) network: &'a LabNetwork,
    pub(crate) image: &'a str,
    /// Shell script that runs inside a node after the boot.
    pub(crate) script: &'a str,
}

/// Creates and starts the node as far as necessary, and returns its lines for `known_hosts`.
pub(crate) fn ensure(
    template: &NodeTemplate<'_>,
    node: &LabNode,
    progress: ProgressFn<'_>,
) -> Result<String, LabError> {
    let container = template.record.container(&node.name);
    match container_state(&container)?.as_deref() {
        Some("running") => {}
        Some("paused") => docker(30, ["unpause", &container]).map(drop)?,
        Some(state) => {
            progress(&format!("{}: starting (was {state})", node.name));
            if docker_alone(60, ["start", &container]).is_err() {
                progress(&format!(
                    "{}: does not start, creating it again with its data",
                    node.name
                ));
                docker_alone(60, ["rm", "--force", &container])?;
                create(template, node, &container)?;
            }
        }
        None => {
            progress(&format!("{}: creating it at {}", node.name, node.address));
            create(template, node, &container)?;
        }
    }
    wait_for_boot(&container, &node.name, progress)?;
    fault::heal(&container)?;
    shell_in(&container, template.script, 30)?;
    let keys = shell_in(&container, "cat /etc/ssh/ssh_host_*_key.pub", 30)?;
    if !listens(node.address, 22, Duration::from_secs(30)) {
        let said = docker_finish(
            30,
            [
                "exec",
                &container,
                "journalctl",
                "-u",
                "ssh",
                "-n",
                "10",
                "--no-pager",
            ],
        )?;
        return Err(LabError::Boot {
            node: container,
            seconds: 30,
            state: format!("no sshd listens on {}:22", node.address),
            detail: said.stdout,
        });
    }
    Ok(known_hosts(node, &keys))
}

/// Waits until systemd has started all units. Failed units are reported, but are no error.
pub(crate) fn wait_for_boot(
    container: &str,
    name: &str,
    progress: ProgressFn<'_>,
) -> Result<(), LabError> {
    let started = Instant::now();
    let mut state = String::new();
    while started.elapsed() < Duration::from_secs(BOOT_SECONDS) {
        // Waits inside the node: each entry by Docker takes a tenth of a second of a processor.
        let wait = [
            "exec",
            container,
            "timeout",
            "20",
            "systemctl",
            "is-system-running",
            "--wait",
        ];
        let said = docker_finish(30, wait)?;
        state = said.stdout.trim().to_owned();
        match state.as_str() {
            "running" => return Ok(()),
            "degraded" => {
                let units = shell_in(
                    container,
                    "systemctl --failed --plain --no-legend | cut -d ' ' -f 1",
                    30,
                )?;
                let units: Vec<&str> = units.split_whitespace().collect();
                progress(&format!(
                    "note: {name} booted with failed units: {}",
                    units.join(", ")
                ));
                return Ok(());
            }
            _ => {}
        }
        if !matches!(container_state(container)?.as_deref(), Some("running")) {
            break;
        }
        std::thread::sleep(Duration::from_millis(300));
    }
    let logs = docker_finish(30, ["logs", "--tail", "20", container])?;
    Err(LabError::Boot {
        node: container.to_owned(),
        seconds: BOOT_SECONDS,
        state,
        detail: format!("{}{}", logs.stdout, logs.stderr),
    })
}

/// Returns the name of the volume with the data of the node's Docker Engine.
pub(crate) fn volume(container: &str) -> String {
    format!("{container}-docker")
}

fn create(template: &NodeTemplate<'_>, node: &LabNode, container: &str) -> Result<(), LabError> {
    let record = template.record.name.as_str();
    let labels = [
        format!("{LABEL_LAB}={record}"),
        format!("{LABEL_STATE}={}", template.state.path().display()),
    ];
    let volume = volume(container);
    let labelled: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
    docker(
        30,
        ["volume", "create"]
            .into_iter()
            .chain(labelled.clone())
            .chain([volume.as_str()]),
    )?;
    let options = [
        format!("--name={container}"),
        format!("--hostname={}", node.name),
        format!("--label={LABEL_NODE}={}", node.name),
        format!("--network={}", template.network.name),
        format!("--network-alias={}", node.name),
        format!("--ip={}", node.address),
        // No DNS server listens on the gateway, so no query leaves this machine, and the lookup of
        // an external name fails after 1 s instead of 20 s.
        format!("--dns={}", template.network.gateway),
        "--dns-option=timeout:1".to_owned(),
        "--dns-option=attempts:1".to_owned(),
        format!("--volume={volume}:/var/lib/docker"),
        "--env=container=docker".to_owned(),
        "--tty".to_owned(),
        "--cgroupns=private".to_owned(),
        "--stop-signal=SIGRTMIN+3".to_owned(),
        // A reboot inside the node ends the container with a failure. Docker then restarts it, as a
        // machine comes back after a reboot.
        "--restart=on-failure".to_owned(),
        "--tmpfs=/run:exec,mode=755".to_owned(),
        "--tmpfs=/tmp:exec,mode=1777".to_owned(),
    ];
    let privileges = local_machine::privileges();
    let arguments = ["run", "--detach"]
        .into_iter()
        .chain(labelled)
        .chain(options.iter().map(String::as_str))
        .chain(privileges.iter().map(String::as_str))
        .chain([template.image]);
    docker_alone(120, arguments).map(drop)
}

fn known_hosts(node: &LabNode, keys: &str) -> String {
    let mut lines = String::new();
    for key in keys.lines() {
        let mut words = key.split_whitespace();
        if let (Some(kind), Some(key)) = (words.next(), words.next()) {
            lines.push_str(&format!("{} {kind} {key}\n", node.address));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lab::record::NodeRole;

    #[test]
    fn known_hosts_lines_name_the_address_and_drop_the_comment() {
        let node = LabNode {
            name: "docker01".to_owned(),
            address: std::net::Ipv4Addr::new(10, 213, 10, 11),
            role: NodeRole::Manager,
            port: None,
        };
        let keys = "ssh-ed25519 AAAA root@tree\necdsa-sha2-nistp256 BBBB x\n";
        let lines = "10.213.10.11 ssh-ed25519 AAAA\n10.213.10.11 ecdsa-sha2-nistp256 BBBB\n";
        assert_eq!(known_hosts(&node, keys), lines);
    }
}
