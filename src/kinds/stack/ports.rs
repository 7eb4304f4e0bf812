//! Ports that another service already publishes: the Engine refuses such a service in the middle of
//! a deploy; the plan refuses it before.

use std::collections::BTreeMap;

use serde_json::Value;

use super::LiveStack;
use crate::model::{Change, DeployPreview, Refusal};

/// Port number and protocol.
type PortProtocol = (u64, String);

/// Refuses a stack that publishes a port of another service.
pub(super) fn check(stack: &str, live: &LiveStack, preview: &DeployPreview) -> Result<(), Refusal> {
    let mut taken: BTreeMap<PortProtocol, &str> = BTreeMap::new();
    let wanted: Vec<(&str, Vec<PortProtocol>)> = preview
        .writes
        .iter()
        .filter(|write| write.method == "POST" && write.path.starts_with("/services/"))
        .map(|write| (name_of(&write.body), published(&write.body)))
        .collect();
    for service in live
        .services
        .iter()
        .filter_map(|service| service.get("Spec"))
    {
        // A service that this deploy writes is judged by its future ports.
        if wanted.iter().all(|(name, _)| *name != name_of(service)) {
            taken.extend(
                published(service)
                    .into_iter()
                    .map(|port| (port, name_of(service))),
            );
        }
    }
    for (name, ports) in &wanted {
        for port in ports {
            if let Some(other) = taken
                .insert(port.clone(), name)
                .filter(|other| other != name)
            {
                return Err(Refusal {
                    why: format!(
                        "the stack {stack} would publish {}/{} for {name}, but {other} already publishes it",
                        port.0, port.1
                    ),
                    hint: "choose another published port, or remove the other service first".into(),
                });
            }
        }
    }
    Ok(())
}

/// Adds a note about services that publish the same port of their nodes: they cannot run on one
/// node. This is only a note, because the swarm chooses the nodes of tasks.
pub(super) fn note_shared(live: &LiveStack, preview: &DeployPreview, change: &mut Change) {
    let writes = preview
        .writes
        .iter()
        .filter(|write| write.method == "POST" && write.path.starts_with("/services/"));
    for write in writes {
        let name = name_of(&write.body);
        let theirs = live
            .services
            .iter()
            .filter_map(|service| service.get("Spec"))
            .filter(|spec| name_of(spec) != name);
        for other in theirs {
            let there = of_nodes(other);
            for port in of_nodes(&write.body)
                .into_iter()
                .filter(|port| there.contains(port))
            {
                let words = "of their nodes: no node can run both";
                change.notes.push(format!(
                    "{name} and {} publish {}/{} {words}",
                    name_of(other),
                    port.0,
                    port.1
                ));
            }
        }
    }
}

fn name_of(spec: &Value) -> &str {
    spec.get("Name").and_then(Value::as_str).unwrap_or_default()
}

/// Returns the ports of the routing mesh: only one service of the swarm can have each. Conflicts of
/// ports in host mode depend on the nodes of the tasks.
fn published(spec: &Value) -> Vec<PortProtocol> {
    ports(spec, |mode| mode != "host")
}

/// Returns the ports in host mode.
fn of_nodes(spec: &Value) -> Vec<PortProtocol> {
    ports(spec, |mode| mode == "host")
}

fn ports(spec: &Value, of_mode: impl Fn(&str) -> bool) -> Vec<PortProtocol> {
    let ports = spec
        .pointer("/EndpointSpec/Ports")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    ports
        .filter(|port| {
            of_mode(
                port.get("PublishMode")
                    .and_then(Value::as_str)
                    .unwrap_or_default(),
            )
        })
        .filter_map(|port| {
            let number = port
                .get("PublishedPort")
                .and_then(Value::as_u64)
                .filter(|number| *number > 0)?;
            let protocol = port
                .get("Protocol")
                .and_then(Value::as_str)
                .unwrap_or("tcp");
            Some((number, protocol.to_owned()))
        })
        .collect()
}
