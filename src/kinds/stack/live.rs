//! State of the swarm for a stack, as its managers list it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::super::DataVolume;
use crate::model::{STACK_LABEL, docker_filters, stack_label};
use crate::swarm::SwarmNode;

/// A stack's objects, and other objects that it could conflict with.
#[derive(Clone, Default, PartialEq)]
pub struct LiveStack {
    /// Services of the whole swarm, with the numbers of their running tasks. Services of other
    /// stacks matter because only one service can publish a port.
    pub(super) services: Vec<Value>,
    /// Networks of the whole swarm; services refer to them by ID.
    pub(super) networks: Vec<Value>,
    /// The stack's secrets, without their data.
    pub(super) secrets: Vec<Value>,
    /// The stack's configs.
    pub(super) configs: Vec<Value>,
    /// Nodes of the swarm.
    pub(super) nodes: Vec<SwarmNode>,
    /// Data volumes of the swarm's nodes.
    pub(super) volumes: Vec<DataVolume>,
    /// Number of running tasks of each service of the stack, by service ID. Read only while a node
    /// is lost: the number that the service itself reports counts the tasks of a lost node as
    /// running for as long as the node is away.
    pub(super) running_tasks: Option<BTreeMap<String, u64>>,
}

impl LiveStack {
    /// Returns the paths to read for a stack.
    pub(super) fn paths(stack: &str) -> [String; 6] {
        let filters = docker_filters(&[("label", &[&stack_label(stack)])]);
        [
            "/services?status=true".into(),
            "/networks".into(),
            format!("/secrets?filters={filters}"),
            format!("/configs?filters={filters}"),
            "/nodes".into(),
            DataVolume::list_path(None),
        ]
    }

    /// Like [`Self::paths`], with the tasks that should run, of which there are many.
    pub(super) fn paths_with_tasks(stack: &str) -> Vec<String> {
        let label = stack_label(stack);
        let filters = docker_filters(&[("label", &[&label]), ("desired-state", &["running"])]);
        Self::paths(stack)
            .into_iter()
            .chain([format!("/tasks?filters={filters}")])
            .collect()
    }

    /// Returns true if the swarm has lost a node.
    pub(super) fn has_lost_a_node(&self) -> bool {
        self.nodes.iter().any(is_lost)
    }

    /// Reads the response bodies of those paths.
    pub(super) fn read(bodies: &[Value]) -> Self {
        let list = |index: usize| {
            bodies
                .get(index)
                .and_then(Value::as_array)
                .cloned()
                .unwrap_or_default()
        };
        let nodes: Vec<SwarmNode> = list(4)
            .iter()
            .filter_map(|node| SwarmNode::read(node).ok())
            .collect();
        Self {
            running_tasks: bodies
                .get(6)
                .and_then(Value::as_array)
                .map(|tasks| running(tasks, &nodes)),
            nodes,
            services: list(0),
            networks: list(1),
            secrets: list(2),
            configs: list(3),
            volumes: bodies.get(5).map(DataVolume::list).unwrap_or_default(),
        }
    }

    /// Returns true if the swarm has no object of the stack.
    pub(super) fn is_empty(&self, stack: &str) -> bool {
        self.own_services(stack).next().is_none()
            && self.secrets.is_empty()
            && self.configs.is_empty()
            && self.own_networks(stack).next().is_none()
    }

    /// Returns the services of the stack.
    pub(super) fn own_services<'a>(&'a self, stack: &'a str) -> impl Iterator<Item = &'a Value> {
        let owner =
            |service: &'a Value| service.pointer("/Spec/Labels")?.get(STACK_LABEL)?.as_str();
        self.services
            .iter()
            .filter(move |service| owner(service) == Some(stack))
    }

    /// Returns the networks of the stack.
    pub(super) fn own_networks<'a>(&'a self, stack: &'a str) -> impl Iterator<Item = &'a Value> {
        let owner = |network: &'a Value| network.get("Labels")?.get(STACK_LABEL)?.as_str();
        self.networks
            .iter()
            .filter(move |network| owner(network) == Some(stack))
    }
}

fn is_lost(node: &SwarmNode) -> bool {
    matches!(node.state.as_str(), "down" | "disconnected")
}

fn running(tasks: &[Value], nodes: &[SwarmNode]) -> BTreeMap<String, u64> {
    let text = |task: &Value, pointer: &str| {
        task.pointer(pointer)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let lost: Vec<&str> = nodes
        .iter()
        .filter(|node| is_lost(node))
        .map(|node| node.id.as_str())
        .collect();
    let mut running = BTreeMap::new();
    for task in tasks {
        if text(task, "/Status/State") == "running"
            && !lost.contains(&text(task, "/NodeID").as_str())
        {
            *running.entry(text(task, "/ServiceID")).or_default() += 1;
        }
    }
    running
}

// Written by hand because services contain environment variables, which may be secret.
impl std::fmt::Debug for LiveStack {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "LiveStack({} services in the swarm)",
            self.services.len()
        )
    }
}
