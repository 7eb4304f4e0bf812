//! The identity of a node: its ID and the ID of its cluster, as the host's own Docker Engine
//! reports them. After a restart of Docker Engine both must be those of before: an Engine that
//! starts with an empty data folder is no node of its swarm any more.

use crate::model::{DockerAnswer, Refusal};
use crate::names::HostName;
use crate::runner::DockerReader;

/// Identity of a node of a swarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct NodeIdentity {
    node_id: String,
    /// Only a manager reports it, and only while the swarm has a leader.
    cluster_id: String,
}

impl NodeIdentity {
    /// Reads the identity; `None` if Docker Engine does not answer or is in no swarm.
    pub(super) async fn read(host: &HostName, engines: &dyn DockerReader) -> Option<Self> {
        let identity = Self::of(&engines.get(host, "/info").await);
        identity.filter(|identity| !identity.node_id.is_empty())
    }

    /// Checks after a restart that Docker Engine is still this node. An Engine that does not answer
    /// is not judged: the quorum check waits for it.
    ///
    /// # Errors
    /// A [`Refusal`] that names both identities.
    pub(super) async fn confirm(
        &self,
        host: &HostName,
        engines: &dyn DockerReader,
    ) -> Result<(), Refusal> {
        let answer = engines.get(host, "/info").await;
        let Some(now) = Self::of(&answer) else {
            return Ok(());
        };
        let state = answer
            .ok()
            .and_then(|info| info.pointer("/Swarm/LocalNodeState")?.as_str())
            .unwrap_or_default();
        let found = if now.node_id.is_empty() {
            // A locked swarm does not tell its node, and neither does one that still starts.
            if !matches!(state, "" | "inactive") {
                return Ok(());
            }
            "is in no swarm".to_owned()
        } else if now.node_id != self.node_id {
            format!("is node {}", now.node_id)
        } else if [&now.cluster_id, &self.cluster_id]
            .iter()
            .all(|id| !id.is_empty())
            && now.cluster_id != self.cluster_id
        {
            format!("is in the cluster {}", now.cluster_id)
        } else {
            return Ok(());
        };
        Err(Refusal {
            why: format!(
                "Docker Engine of {host} came back as another one: before its restart it was node {} of its swarm, and now it {found}",
                self.node_id
            ),
            hint: "find out why it has another data folder (`data-root` in daemon.json, `--data-root` in a drop-in of docker.service, a disk that is not mounted), restore that, and restart Docker Engine: the data of the node is still in the former folder".into(),
        })
    }

    fn of(answer: &DockerAnswer) -> Option<Self> {
        let info = answer.ok()?;
        let text = |pointer: &str| {
            let value = info.pointer(pointer).and_then(serde_json::Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        Some(Self {
            node_id: text("/Swarm/NodeID"),
            cluster_id: text("/Swarm/Cluster/ID"),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    struct FixedAnswer(DockerAnswer);

    #[async_trait::async_trait]
    impl DockerReader for FixedAnswer {
        async fn get(&self, _: &HostName, path: &str) -> DockerAnswer {
            assert_eq!(path, "/info");
            self.0.clone()
        }
        async fn content(&self, _: &HostName, _: &str) -> Option<Vec<u8>> {
            None
        }
        fn hosts(&self) -> Vec<HostName> {
            Vec::new()
        }
    }

    fn engine(state: &str, node: &str, cluster: &str) -> FixedAnswer {
        let body =
            json!({"Swarm": {"LocalNodeState": state, "NodeID": node, "Cluster": {"ID": cluster}}});
        FixedAnswer(DockerAnswer::Response { status: 200, body })
    }

    #[tokio::test]
    async fn restart_must_not_change_the_node() {
        let host = HostName::new("docker01");
        let read = |engine: FixedAnswer| async move {
            NodeIdentity::read(&HostName::new("docker01"), &engine).await
        };
        assert_eq!(read(engine("inactive", "", "")).await, None);
        let down = || FixedAnswer(DockerAnswer::Down("stopped".into()));
        assert_eq!(read(down()).await, None);
        let before = read(engine("active", "n1", "c1")).await.unwrap();
        for (after, found) in [
            (engine("active", "n1", "c1"), None),
            // A manager without a leader, and a worker, report no cluster.
            (engine("pending", "n1", ""), None),
            (engine("locked", "", ""), None),
            (engine("pending", "", ""), None),
            (down(), None),
            (engine("inactive", "", ""), Some("now it is in no swarm")),
            (engine("active", "n2", "c1"), Some("now it is node n2")),
            (
                engine("active", "n1", "c2"),
                Some("now it is in the cluster c2"),
            ),
        ] {
            match (before.confirm(&host, &after).await, found) {
                (Ok(()), None) => {}
                (Err(refusal), Some(found)) => {
                    assert!(
                        refusal.why.contains("node n1") && refusal.why.contains(found),
                        "{}",
                        refusal.why
                    );
                }
                (other, found) => panic!("{other:?} instead of {found:?}"),
            }
        }
    }
}
