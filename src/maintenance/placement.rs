//! Placement of a task: decides whether a node can take a task of a service, by the rules of
//! swarmkit's scheduler (its filters in `manager/scheduler/filter.go`). Pure.

use std::net::IpAddr;

use serde_json::Value;

use super::workload::{SwarmTask, SwarmWorkload, WorkloadService};

/// Reason why a node cannot take a task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PlacementObstacle {
    /// The node is not ready, or takes no tasks.
    Unavailable,
    /// The node does not meet a constraint of the service.
    Constraint(String),
    /// The image of the service is for other platforms.
    Platform(String),
    /// A task on the node uses a port that the service publishes in host mode.
    HostPort(u64),
    /// The node has as many tasks of the service as it may have.
    TasksPerNode(u64),
    /// The node has not enough processors or memory left to reserve.
    Reservation,
}

impl PlacementObstacle {
    /// Returns the obstacle in words, about every other node.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Unavailable => "no other node is ready and active".into(),
            Self::Constraint(constraint) => format!("no other node meets `{constraint}`"),
            Self::Platform(platforms) => format!("no other node runs {platforms}"),
            Self::HostPort(port) => format!("port {port} is in use on every other node"),
            Self::TasksPerNode(most) => {
                format!("every other node has its {most} tasks of this service")
            }
            Self::Reservation => "no other node has the reserved processors and memory left".into(),
        }
    }

    /// Returns the position of the obstacle in messages: the first one could be removed by hand.
    fn rank(&self) -> u8 {
        match self {
            Self::Reservation => 0,
            Self::TasksPerNode(_) => 1,
            Self::HostPort(_) => 2,
            Self::Platform(_) => 3,
            Self::Constraint(_) => 4,
            Self::Unavailable => 5,
        }
    }
}

/// Returns the node that can take one more task of the service, the one with the fewest tasks
/// first, as the scheduler spreads them.
///
/// # Errors
/// The obstacle of the node that is nearest to taking the task.
pub(super) fn place(
    workload: &SwarmWorkload,
    service: &WorkloadService,
    without: &[String],
) -> Result<String, PlacementObstacle> {
    let mut nearest = PlacementObstacle::Unavailable;
    let mut best: Option<(usize, &str)> = None;
    for node in &workload.nodes {
        let id = text(node, "/ID");
        if without.iter().any(|one| one == id) {
            continue;
        }
        match obstacle(workload, service, node) {
            None => {
                let count = |of_service: bool| {
                    let tasks = workload.tasks_on(id);
                    tasks
                        .filter(|task| !of_service || task.service_id == service.id)
                        .count()
                };
                let load = count(true) * 1000 + count(false);
                if best.is_none_or(|(least, _)| load < least) {
                    best = Some((load, id));
                }
            }
            Some(found) if found.rank() < nearest.rank() => nearest = found,
            Some(_) => {}
        }
    }
    best.map(|(_, id)| id.to_owned()).ok_or(nearest)
}

/// Returns the first reason why the node cannot take one more task of the service.
pub(super) fn obstacle(
    workload: &SwarmWorkload,
    service: &WorkloadService,
    node: &Value,
) -> Option<PlacementObstacle> {
    if text(node, "/Status/State") != "ready" || text(node, "/Spec/Availability") != "active" {
        return Some(PlacementObstacle::Unavailable);
    }
    let unmet = service
        .constraints
        .iter()
        .find(|constraint| !meets(node, constraint));
    if let Some(constraint) = unmet {
        return Some(PlacementObstacle::Constraint(constraint.clone()));
    }
    if !service.platforms.is_empty()
        && !service
            .platforms
            .iter()
            .any(|platform| runs(node, platform))
    {
        let platforms: Vec<String> = service.platforms.iter().map(shown).collect();
        return Some(PlacementObstacle::Platform(platforms.join(" or ")));
    }
    let id = text(node, "/ID");
    let port = service.host_ports.iter().find(|port| {
        workload.tasks_on(id).any(|task| {
            let other = workload.service(&task.service_id);
            other.is_some_and(|other| other.host_ports.contains(port))
        })
    });
    if let Some((port, _)) = port {
        return Some(PlacementObstacle::HostPort(*port));
    }
    let own = workload
        .tasks_on(id)
        .filter(|task| task.service_id == service.id)
        .count() as u64;
    if service.tasks_per_node > 0 && own >= service.tasks_per_node {
        return Some(PlacementObstacle::TasksPerNode(service.tasks_per_node));
    }
    let reserved = |part: fn(&WorkloadService) -> u64| -> u64 {
        let tasks = workload.tasks_on(id);
        tasks
            .filter_map(|task: &SwarmTask| workload.service(&task.service_id))
            .map(part)
            .sum()
    };
    let fits = |part: fn(&WorkloadService) -> u64, pointer: &str| {
        let has = node.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        part(service) == 0 || reserved(part) + part(service) <= has
    };
    if !fits(
        |service| service.nano_processors,
        "/Description/Resources/NanoCPUs",
    ) || !fits(
        |service| service.memory_bytes,
        "/Description/Resources/MemoryBytes",
    ) {
        return Some(PlacementObstacle::Reservation);
    }
    None
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Returns true if the node meets a constraint such as `node.labels.db == true`. Values are
/// compared without regard to case, as in swarmkit's `manager/constraint`. A constraint that it
/// does not know is not met.
fn meets(node: &Value, constraint: &str) -> bool {
    let (key, wanted, is_equal) = match (constraint.split_once("=="), constraint.split_once("!=")) {
        (Some((key, wanted)), _) => (key, wanted, true),
        (None, Some((key, wanted))) => (key, wanted, false),
        (None, None) => return false,
    };
    let (key, wanted) = (key.trim(), wanted.trim());
    let lower = key.to_ascii_lowercase();
    let label = |pointer: &str, name: &str| {
        let labels = node.pointer(pointer).and_then(Value::as_object);
        labels
            .and_then(|labels| labels.get(name))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let value = match lower.as_str() {
        "node.id" => text(node, "/ID").to_owned(),
        "node.hostname" => text(node, "/Description/Hostname").to_owned(),
        "node.role" => text(node, "/Spec/Role").to_owned(),
        "node.platform.os" => text(node, "/Description/Platform/OS").to_owned(),
        "node.platform.arch" => {
            let own = architecture(text(node, "/Description/Platform/Architecture"));
            return (own == architecture(&wanted.to_ascii_lowercase())) == is_equal;
        }
        "node.ip" => return in_network(text(node, "/Status/Addr"), wanted) == is_equal,
        // The name of a label keeps its case.
        _ if lower.starts_with("node.labels.") => label("/Spec/Labels", &key[12..]),
        _ if lower.starts_with("engine.labels.") => label("/Description/Engine/Labels", &key[14..]),
        _ => return false,
    };
    value.eq_ignore_ascii_case(wanted) == is_equal
}

/// Returns true if the address is this address, or in this network (`10.0.0.0/8`).
fn in_network(address: &str, wanted: &str) -> bool {
    let Ok(address) = address.parse::<IpAddr>() else {
        return false;
    };
    let (network, length) = match wanted.split_once('/') {
        Some((network, length)) => (network, length.parse::<u32>().ok()),
        None => (wanted, None),
    };
    let bits = |address: IpAddr| match address {
        IpAddr::V4(address) => (u128::from(address.to_bits()) << 96, 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    };
    let Ok(network) = network.parse::<IpAddr>() else {
        return false;
    };
    let ((own, width), (other, other_width)) = (bits(address), bits(network));
    let length = length.unwrap_or(width).min(width);
    let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
    width == other_width && own & mask == other & mask
}

/// Returns the name of an architecture as images have it: nodes report that of the kernel.
fn architecture(word: &str) -> &str {
    match word {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

fn runs(node: &Value, platform: &(String, String)) -> bool {
    let (os, wanted) = platform;
    let own = architecture(text(node, "/Description/Platform/Architecture"));
    (os.is_empty() || os == text(node, "/Description/Platform/OS"))
        && (wanted.is_empty() || architecture(wanted) == own)
}

fn shown((os, architecture): &(String, String)) -> String {
    match (os.as_str(), architecture.as_str()) {
        ("", architecture) => architecture.to_owned(),
        (os, "") => os.to_owned(),
        (os, architecture) => format!("{os}/{architecture}"),
    }
}
