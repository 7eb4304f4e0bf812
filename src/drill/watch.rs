//! Samples the swarm through the remaining machines until it has recovered or the time is up.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet};
use crate::swarm::{DockerInfo, SwarmNode};

/// Time between two samples.
const PAUSE: Duration = Duration::from_millis(500);

/// A sample of the swarm.
#[derive(Debug, Clone, Default)]
pub struct SwarmSample {
    /// True if a manager reports a leader.
    pub leader: bool,
    /// The nodes, if a manager lists them.
    pub nodes: Option<Vec<SwarmNode>>,
    /// Names of services that have fewer tasks than wanted and may run them on any node.
    pub short: Vec<String>,
    /// Names of services that have fewer tasks than wanted and a constrained placement: their node
    /// may be lost.
    pub pinned: Vec<String>,
}

/// Time of each first observation, measured from the stop of the machines.
#[derive(Debug, Clone, Default)]
pub struct RecoveryTimes {
    /// A manager reports a leader.
    pub leader: Option<Duration>,
    /// A manager reports all lost nodes as down.
    pub down: Option<Duration>,
    /// Every service has as many tasks as wanted, after the lost nodes were reported down.
    pub services: Option<Duration>,
    /// Services that wait for the lost machines.
    pub pinned: Vec<String>,
    /// Duration of the observation.
    pub whole: Duration,
}

/// Queries the managers among these hosts.
pub async fn sample(fleet: &Arc<Fleet>, hosts: &[HostName]) -> SwarmSample {
    let mut sample = SwarmSample::default();
    for host in hosts {
        let answer = fleet.get(host, "/info").await;
        let Some(info) = answer.ok().map(DockerInfo::read) else {
            continue;
        };
        // An Engine reports its cluster only while the cluster has a leader.
        if !info.control_available || info.cluster_id.is_none() {
            continue;
        }
        sample.leader = true;
        sample.nodes = fleet
            .get(host, "/nodes")
            .await
            .ok()
            .and_then(|body| SwarmNode::list(body).ok());
        if let Some(services) = fleet.get(host, "/services?status=true").await.ok() {
            (sample.short, sample.pinned) = short(services);
        }
        if sample.nodes.is_some() {
            break;
        }
    }
    sample
}

/// Returns services with fewer running tasks than wanted: those that may run on any node, then the
/// constrained ones.
fn short(services: &Value) -> (Vec<String>, Vec<String>) {
    let (mut free, mut pinned) = (Vec::new(), Vec::new());
    for service in services.as_array().into_iter().flatten() {
        let number = |pointer: &str| {
            service
                .pointer(pointer)
                .and_then(Value::as_u64)
                .unwrap_or(0)
        };
        if number("/ServiceStatus/RunningTasks") >= number("/ServiceStatus/DesiredTasks") {
            continue;
        }
        let name = service
            .pointer("/Spec/Name")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let constraints = service
            .pointer("/Spec/TaskTemplate/Placement/Constraints")
            .and_then(Value::as_array);
        if constraints.is_some_and(|constraints| !constraints.is_empty()) {
            pinned.push(name);
        } else {
            free.push(name);
        }
    }
    (free, pinned)
}

/// Returns the first TCP port that a service publishes.
pub async fn published_port(fleet: &Arc<Fleet>, hosts: &[HostName]) -> Option<u16> {
    for host in hosts {
        let answer = fleet.get(host, "/services").await;
        let Some(body) = answer.ok() else {
            continue;
        };
        let ports = body
            .as_array()?
            .iter()
            .filter_map(|service| service.pointer("/Spec/EndpointSpec/Ports")?.as_array());
        let published = ports
            .flatten()
            .find(|port| port["Protocol"] == "tcp" && port["PublishedPort"].is_u64());
        return published.and_then(|port| u16::try_from(port["PublishedPort"].as_u64()?).ok());
    }
    None
}

/// Watches until leader, lost nodes and services have recovered without the lost machines. If the
/// managers have no majority (`decides` is false), it watches for the whole `patience`.
pub async fn watch(
    fleet: &Arc<Fleet>,
    left: &[HostName],
    lost_ids: &[String],
    decides: bool,
    patience: Duration,
    stop: &CancellationToken,
) -> RecoveryTimes {
    let (started, mut watched) = (Instant::now(), RecoveryTimes::default());
    while started.elapsed() < patience && !stop.is_cancelled() {
        let seen = sample(fleet, left).await;
        let now = started.elapsed();
        if seen.leader {
            watched.leader.get_or_insert(now);
        }
        if let Some(nodes) = &seen.nodes {
            let is_down = |id: &String| {
                nodes
                    .iter()
                    .any(|node| node.id == *id && node.state == "down")
            };
            if lost_ids.iter().all(is_down) {
                watched.down.get_or_insert(now);
                watched.pinned = seen.pinned;
                if seen.short.is_empty() {
                    watched.services.get_or_insert(now);
                }
            }
        }
        watched.whole = now;
        if decides
            && watched.leader.is_some()
            && watched.down.is_some()
            && watched.services.is_some()
        {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    watched
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn short_services_are_split_by_constraints() {
        let service = |name: &str, running: u64, desired: u64, constraints: Value| {
            json!({ "Spec": { "Name": name, "TaskTemplate": { "Placement": { "Constraints": constraints } } },
                "ServiceStatus": { "RunningTasks": running, "DesiredTasks": desired } })
        };
        let services = json!([
            service("whole", 2, 2, json!(null)),
            service("short", 1, 2, json!([])),
            service("db", 0, 1, json!(["node.labels.db==true"])),
        ]);
        assert_eq!(
            short(&services),
            (vec!["short".to_owned()], vec!["db".to_owned()])
        );
    }
}
