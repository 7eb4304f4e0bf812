//! Reads the swarm repeatedly through the machines that keep running, until it has recovered or the
//! time limit has passed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::names::HostName;
use crate::runner::{DockerReader as _, Fleet};
use crate::swarm::{DockerInfo, SwarmNode};

/// Pause between two readings.
const PAUSE: Duration = Duration::from_millis(500);

/// State of the swarm at one time.
#[derive(Debug, Clone, Default)]
pub struct SwarmSample {
    /// True if a manager reports that the swarm has a leader.
    pub leader: bool,
    /// Nodes as a manager lists them; `None` if no manager lists them.
    pub nodes: Option<Vec<SwarmNode>>,
    /// Names of services with fewer running tasks than desired, without placement constraints.
    pub short: Vec<String>,
    /// Names of services with fewer running tasks than desired, with placement constraints: the
    /// lost machine may be the only node that they may run on.
    pub pinned: Vec<String>,
}

/// Times of the first observations, counted from the start of the watch, right after the machines
/// were stopped.
#[derive(Debug, Clone, Default)]
pub struct RecoveryTimes {
    /// First observation of a leader.
    pub leader: Option<Duration>,
    /// First observation of all lost nodes reported down.
    pub down: Option<Duration>,
    /// First observation of all services with their desired tasks, after the nodes were reported
    /// down.
    pub services: Option<Duration>,
    /// Names of services that may wait for the lost machines, as last observed.
    pub pinned: Vec<String>,
    /// Duration of the watch.
    pub whole: Duration,
}

/// Reads the swarm from the managers among these hosts, up to the first that lists the nodes.
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

/// Returns the services with fewer running tasks than desired: those without placement constraints,
/// and those with them.
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

/// Returns the first TCP port that a service publishes, from the first host that lists the
/// services.
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

/// Parameters of a [`watch`].
pub struct SwarmWatch<'a> {
    /// Hosts of the inventory.
    pub fleet: &'a Arc<Fleet>,
    /// Hosts that keep running, and that are read.
    pub hosts: Vec<HostName>,
    /// Node IDs of the lost machines.
    pub lost_ids: &'a [String],
    /// True if the swarm should recover without the lost machines; the watch then ends with the
    /// recovery.
    pub expects_recovery: bool,
    /// Time limit.
    pub limit: Duration,
    /// Ends the watch early when it is cancelled.
    pub stop: &'a CancellationToken,
}

/// Reads the swarm until there is a leader, all lost nodes are reported down and all services have
/// their tasks; or until the time limit, if no recovery is expected.
pub async fn watch(parameters: &SwarmWatch<'_>) -> RecoveryTimes {
    let SwarmWatch {
        fleet,
        hosts,
        lost_ids,
        expects_recovery,
        limit,
        stop,
    } = parameters;
    let (started, mut watched) = (Instant::now(), RecoveryTimes::default());
    while started.elapsed() < *limit && !stop.is_cancelled() {
        let seen = sample(fleet, hosts).await;
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
        if *expects_recovery
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
    fn services_that_lack_tasks() {
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
