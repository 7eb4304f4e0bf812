//! The work of a swarm as one manager lists it: nodes, services and tasks. Pure.

use serde_json::Value;

/// Default time for which the swarm watches a new task (`UpdateConfig.Monitor`), in nanoseconds.
const MONITOR: u64 = 5_000_000_000;

/// Label of a service to which a rebalance has added replicas: their number before.
pub(super) const REBALANCED_FROM: &str = "skep.rebalanced-from";

/// Values of a template that differ between the slots of a service.
const SLOT_VALUES: [&str; 2] = [".Task.Slot", ".Task.Name"];

/// Mode of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ServiceMode {
    /// A number of tasks that the scheduler spreads.
    Replicated(u64),
    /// One task on each node.
    Global,
    /// Tasks that end by themselves.
    Job,
}

/// A service, as far as its placement needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WorkloadService {
    pub id: String,
    pub name: String,
    pub mode: ServiceMode,
    /// Constraints such as `node.role == worker`.
    pub constraints: Vec<String>,
    /// Operating systems and architectures of the image; empty means every platform.
    pub platforms: Vec<(String, String)>,
    /// Ports published in host mode, with their protocols.
    pub host_ports: Vec<(u64, String)>,
    /// Maximum number of tasks on one node; 0 means no limit.
    pub tasks_per_node: u64,
    /// Reserved processor time, in billionths of a processor.
    pub nano_processors: u64,
    /// Reserved memory, in bytes.
    pub memory_bytes: u64,
    /// Volumes whose data is on the node of the task only.
    pub local_volumes: Vec<String>,
    /// Time for which the swarm watches a new task, in nanoseconds.
    pub monitor: u64,
    /// Name of its stack; empty if it is in none.
    pub stack: String,
    /// True if placement preferences decide where its tasks run.
    pub has_preferences: bool,
    /// True if its tasks get names or values with the number of their slot.
    pub uses_slots: bool,
    /// True while an update of the service runs or is paused.
    pub is_updating: bool,
    /// Number of replicas before a rebalance added some, by the label of the service.
    pub rebalanced_from: Option<u64>,
}

/// A task of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SwarmTask {
    pub service_id: String,
    /// ID of the node; empty while the task waits for one.
    pub node_id: String,
    /// Number of the task within its service; 0 for global services.
    pub slot: u64,
    /// `running`, `shutdown` and so on: the state that the swarm wants.
    pub desired: String,
    /// State of the task.
    pub state: String,
    /// Last error; empty if there is none.
    pub error: String,
}

impl SwarmTask {
    /// Returns true if the task runs or will run.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.desired.as_str(), "running" | "ready" | "complete") && !self.has_ended()
    }

    /// Returns true if the task runs, and is healthy if its image has a health check.
    pub(super) fn is_running(&self) -> bool {
        self.state == "running" && self.desired == "running"
    }

    /// Returns true if nothing of the task runs any more.
    pub(super) fn has_ended(&self) -> bool {
        matches!(
            self.state.as_str(),
            "complete" | "shutdown" | "failed" | "rejected" | "remove" | "orphaned"
        )
    }
}

/// The nodes, services and tasks of one reading.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct SwarmWorkload {
    /// Nodes as the API describes them.
    pub nodes: Vec<Value>,
    pub services: Vec<WorkloadService>,
    pub tasks: Vec<SwarmTask>,
}

impl SwarmWorkload {
    /// Reads a manager's answers to `/nodes`, `/services` and `/tasks`.
    pub(super) fn read(nodes: &Value, services: &Value, tasks: &Value) -> Self {
        let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
        Self {
            nodes: list(nodes),
            services: list(services).iter().map(read_service).collect(),
            tasks: list(tasks).iter().map(read_task).collect(),
        }
    }

    /// Returns the service with this ID.
    pub(super) fn service(&self, id: &str) -> Option<&WorkloadService> {
        self.services.iter().find(|service| service.id == id)
    }

    /// Returns true if a service has fewer running tasks than it should have, and its missing tasks
    /// are about to start. A task that waits for a node may wait for ever, so it does not count.
    pub(super) fn is_settling(&self) -> bool {
        self.services.iter().any(|service| {
            let ServiceMode::Replicated(wanted) = service.mode else {
                return false;
            };
            let active = || {
                let tasks = self.tasks.iter();
                tasks.filter(|task| task.service_id == service.id && task.is_active())
            };
            let starts = |task: &SwarmTask| !task.is_running() && !task.node_id.is_empty();
            active().any(starts)
                || u64::try_from(active().count()).is_ok_and(|count| count < wanted)
        })
    }

    /// Returns the active tasks on a node.
    pub(super) fn tasks_on<'a>(&'a self, node_id: &'a str) -> impl Iterator<Item = &'a SwarmTask> {
        self.tasks
            .iter()
            .filter(move |task| task.node_id == node_id && task.is_active())
    }
}

fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_default().to_owned()
}

fn label(body: &Value, name: &str) -> String {
    let labels = body.pointer("/Spec/Labels");
    let found = labels.and_then(|labels| labels.get(name)?.as_str());
    found.unwrap_or_default().to_owned()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or(0)
}

fn list<'a>(value: &'a Value, pointer: &str) -> impl Iterator<Item = &'a Value> {
    value
        .pointer(pointer)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn read_service(body: &Value) -> WorkloadService {
    let mode = match body.pointer("/Spec/Mode") {
        Some(mode) if mode.get("Global").is_some() => ServiceMode::Global,
        Some(mode) if mode.get("ReplicatedJob").is_some() || mode.get("GlobalJob").is_some() => {
            ServiceMode::Job
        }
        Some(mode) => {
            let replicas = mode.pointer("/Replicated/Replicas").and_then(Value::as_u64);
            ServiceMode::Replicated(replicas.unwrap_or(1))
        }
        None => ServiceMode::Replicated(1),
    };
    let template = &body["Spec"]["TaskTemplate"];
    let host_ports = list(body, "/Spec/EndpointSpec/Ports")
        .filter(|port| text(port, "/PublishMode") == "host")
        .map(|port| (number(port, "/PublishedPort"), text(port, "/Protocol")))
        .filter(|(port, _)| *port != 0);
    let local_volumes = list(template, "/ContainerSpec/Mounts")
        .filter(|mount| text(mount, "/Type") == "volume" && is_local(mount))
        .map(|mount| text(mount, "/Source"))
        .filter(|name| !name.is_empty());
    let monitor = number(body, "/Spec/UpdateConfig/Monitor");
    WorkloadService {
        id: text(body, "/ID"),
        name: text(body, "/Spec/Name"),
        mode,
        constraints: list(template, "/Placement/Constraints")
            .filter_map(|one| one.as_str().map(str::to_owned))
            .collect(),
        platforms: list(template, "/Placement/Platforms")
            .map(|one| (text(one, "/OS"), text(one, "/Architecture")))
            .collect(),
        host_ports: host_ports.collect(),
        tasks_per_node: number(template, "/Placement/MaxReplicas"),
        nano_processors: number(template, "/Resources/Reservations/NanoCPUs"),
        memory_bytes: number(template, "/Resources/Reservations/MemoryBytes"),
        local_volumes: local_volumes.collect(),
        monitor: if monitor == 0 { MONITOR } else { monitor },
        stack: label(body, "com.docker.stack.namespace"),
        has_preferences: list(template, "/Placement/Preferences").next().is_some(),
        uses_slots: SLOT_VALUES
            .iter()
            .any(|value| template.to_string().contains(value)),
        is_updating: matches!(
            text(body, "/UpdateStatus/State").as_str(),
            "updating" | "paused" | "rollback_started" | "rollback_paused"
        ),
        rebalanced_from: label(body, REBALANCED_FROM).parse().ok(),
    }
}

/// Returns true if the data of a volume is on one node: the driver `local` keeps it there unless
/// its options mount a network file system.
fn is_local(mount: &Value) -> bool {
    let driver = text(mount, "/VolumeOptions/DriverConfig/Name");
    let options = mount.pointer("/VolumeOptions/DriverConfig/Options");
    let kind = options
        .and_then(|options| options.get("type"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    (driver.is_empty() || driver == "local") && !["nfs", "nfs4", "cifs"].contains(&kind)
}

fn read_task(body: &Value) -> SwarmTask {
    SwarmTask {
        service_id: text(body, "/ServiceID"),
        node_id: text(body, "/NodeID"),
        slot: number(body, "/Slot"),
        desired: text(body, "/DesiredState"),
        state: text(body, "/Status/State"),
        error: text(body, "/Status/Err"),
    }
}
