//! Changes a cluster that was as the playbook wants it, behind skep's back. No change takes a
//! manager away: all Engines keep running.

use std::time::Duration;

use crate::chaos_lab::{ChaosLab, MANAGERS, NODES, WORKER};
use crate::random::RandomStream;

/// Time for the swarm to accept a change of a node: its version changes with every change of its
/// state, and a leader may have just been lost.
const NODE_LIMIT: Duration = Duration::from_secs(20);

#[derive(Clone, Copy, PartialEq, Eq)]
enum DriftKind {
    Settings,
    Content,
    Link,
    Mode,
    Names,
    Label,
    Package,
    Service,
    Left,
    Demoted,
    Promoted,
}

const KINDS: [DriftKind; 11] = [
    DriftKind::Settings,
    DriftKind::Content,
    DriftKind::Link,
    DriftKind::Mode,
    DriftKind::Names,
    DriftKind::Label,
    DriftKind::Package,
    DriftKind::Service,
    DriftKind::Left,
    DriftKind::Demoted,
    DriftKind::Promoted,
];

/// Another configuration of the Engine, as an operator would have edited it.
const SETTINGS: &str = r#"printf '{"insecure-registries": [], "log-driver": "json-file", "log-opts": {"max-size": "7m"}}' >/etc/docker/daemon.json"#;

/// Makes two to five random changes; returns their description.
///
/// # Errors
/// If a node fails.
pub fn some(lab: &ChaosLab, random: &mut RandomStream) -> Result<String, String> {
    let count = 2 + random.below(4);
    let mut kinds = random.some_of(&KINDS, count);
    // A restart of Engines is the greatest risk, so most trials have one.
    if !kinds.contains(&DriftKind::Settings) && random.below(4) > 0 {
        kinds[0] = DriftKind::Settings;
    }
    // A worker that left the swarm cannot be promoted.
    if kinds.contains(&DriftKind::Left) {
        kinds.retain(|kind| *kind != DriftKind::Promoted);
    }
    let done: Result<Vec<String>, String> = kinds
        .iter()
        .map(|kind| change(lab, *kind, random))
        .collect();
    Ok(done?.join(", "))
}

/// Makes the changes that take skep longest, to measure an apply.
///
/// # Errors
/// If a node fails.
pub fn most(lab: &ChaosLab) -> Result<(), String> {
    for node in NODES {
        lab.on(node, SETTINGS)?;
        lab.on(node, "rm /srv/link; echo x >>/srv/chaos/big")?;
    }
    lab.on("docker01", "docker node update --label-rm name docker03")
        .map(drop)
}

fn change(lab: &ChaosLab, kind: DriftKind, random: &mut RandomStream) -> Result<String, String> {
    let node = random.one_of(&NODES);
    let manager = random.one_of(&MANAGERS);
    let other = if manager == "docker01" {
        "docker02"
    } else {
        "docker01"
    };
    let on = |script: &str, text: &str| {
        lab.on(node, script)?;
        Ok(format!("{text} on {node}"))
    };
    match kind {
        DriftKind::Settings => {
            let count = 1 + random.below(4);
            let mut nodes = random.some_of(&NODES, count);
            nodes.sort_unstable();
            for node in &nodes {
                lab.on(node, SETTINGS)?;
            }
            Ok(format!("daemon.json on {}", nodes.join(" and ")))
        }
        DriftKind::Content => on("echo x >>/srv/chaos/big", "content"),
        DriftKind::Link => on("ln -sfn /etc/passwd /srv/link", "link"),
        DriftKind::Mode => on("chmod 0777 /srv/chaos; chown 1000 /srv/chaos/big", "mode"),
        // `sed -i` makes a new file; a lab node allows this.
        DriftKind::Names => on("sed -i /docker02/d /etc/hosts", "names"),
        DriftKind::Label => {
            let script = format!(
                "docker node update --label-add chaos=z {node} && docker node update --label-rm name {node}"
            );
            lab.until("docker01", &script, NODE_LIMIT)?;
            Ok(format!("labels of {node}"))
        }
        DriftKind::Package => on(
            "DEBIAN_FRONTEND=noninteractive apt-get remove -y docker-compose-plugin",
            "a removed package",
        ),
        DriftKind::Service => on("systemctl disable docker", "disabled Docker"),
        DriftKind::Left => {
            lab.on(WORKER, "docker swarm leave")?;
            Ok(format!("{WORKER} left"))
        }
        DriftKind::Demoted => {
            let script = format!("docker node demote {manager}");
            lab.until(other, &script, NODE_LIMIT)?;
            Ok(format!("{manager} demoted"))
        }
        DriftKind::Promoted => {
            let script = format!("docker node promote {WORKER}");
            lab.until("docker01", &script, NODE_LIMIT)?;
            Ok(format!("{WORKER} promoted"))
        }
    }
}

/// Waits until the three managers see each other.
///
/// # Errors
/// If they do not within two minutes.
pub fn wait_for_managers(lab: &ChaosLab) -> Result<(), String> {
    let script = "test \"$(docker node ls --format '{{.ManagerStatus}}' | grep -cE '^(Leader|Reachable)$')\" = 3";
    for node in MANAGERS {
        lab.until(node, script, Duration::from_secs(120))?;
    }
    Ok(())
}
