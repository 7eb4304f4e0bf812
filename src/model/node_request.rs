//! Requests of a change to nodes of the swarm. The runner checks before such a request that the
//! node belongs to the host whose change it is, and reads the host again at the end of the run.

use super::{Change, Operation};
use crate::names::HostName;

/// Effect of a request on a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeEffect {
    /// The node becomes, or stays, a manager.
    Manager,
    /// The node becomes, or stays, a worker.
    Worker,
    /// The node is removed from the list.
    Removal,
}

/// A request of a change to one node of the swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeRequest {
    /// ID of the node.
    pub node_id: String,
    /// Managers through which the request goes; empty means the host's own Engine.
    pub managers: Vec<HostName>,
    /// Effect on the node.
    pub effect: NodeEffect,
}

impl Change {
    /// Returns the requests of the change to nodes of the swarm, in the order of the steps.
    #[must_use]
    pub fn node_requests(&self) -> Vec<NodeRequest> {
        let calls = self.steps.iter().filter_map(|step| match &step.act {
            Operation::DockerApi(call) => Some(call),
            _ => None,
        });
        calls
            .filter_map(|call| {
                let path = call.path.split(['?', '#']).next()?;
                let node_id = path.strip_prefix("/nodes/")?.split('/').next()?;
                let role = call.body.as_ref().and_then(|body| body["Role"].as_str());
                Some(NodeRequest {
                    node_id: node_id.to_owned(),
                    managers: call.managers.clone(),
                    effect: match (call.method, role) {
                        ("DELETE", _) => NodeEffect::Removal,
                        (_, Some("manager")) => NodeEffect::Manager,
                        _ => NodeEffect::Worker,
                    },
                })
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, DockerCall, GeneratedValue, STEP_TIMEOUT, Step};

    #[test]
    fn requests_to_nodes_are_found_by_their_paths() {
        let call = |method, path: &str, body: Option<serde_json::Value>| Step {
            summary: String::new(),
            act: Operation::DockerApi(DockerCall {
                managers: Vec::new(),
                method,
                path: path.into(),
                body,
                late: Vec::new(),
                made: GeneratedValue::Nothing,
                timeout: STEP_TIMEOUT,
            }),
        };
        let role = |role: &str| Some(serde_json::json!({"Role": role}));
        let change = Change::new(Action::Update)
            .step(call("POST", "/swarm/join", None))
            .step(call("POST", "/nodes/n1/update?version=17", role("manager")))
            .step(call("POST", "/nodes/n2/update?version=3", role("worker")))
            .step(Step::script("nothing", "true", [""]))
            .step(call("DELETE", "/nodes/n3?force=true", None));
        let requests = change.node_requests();
        let found: Vec<(&str, NodeEffect)> = requests
            .iter()
            .map(|request| (request.node_id.as_str(), request.effect))
            .collect();
        assert_eq!(
            found,
            [
                ("n1", NodeEffect::Manager),
                ("n2", NodeEffect::Worker),
                ("n3", NodeEffect::Removal)
            ]
        );
    }
}
