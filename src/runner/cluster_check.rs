//! A look at the whole beside the resources: what is wrong with a cluster though every resource of every host is as asked.
//! What is wrong is the swarm's to say (`swarm::cluster_check`); the engine asks its questions with everybody else's.

use super::guard::DockerReader;
use super::outcome::ResourceOutcome;
use crate::model::{DefinitionDigest, HostAnswers, Query};
use crate::names::HostName;

/// Who looks at the whole during `check`.
#[async_trait::async_trait]
pub trait ClusterCheck: Send + Sync {
    /// What is to be asked of this host, in the exec that asks for its resources.
    fn queries(&self, host: &HostName) -> Vec<Query>;

    /// A host's answers: its own questions', and all that its resources asked.
    fn record(&self, host: &HostName, answers: &HostAnswers);

    /// Called when every host was heard or is known to be unreachable; what was found, each with the host that shows it.
    async fn findings(
        &self,
        engines: &dyn DockerReader,
        memory: &dyn Baseline,
    ) -> Vec<(HostName, ResourceOutcome)>;

    /// What `apply` is to remember at its end, so that a later `check` can tell whether it is still so.
    async fn baseline_entries(&self, engines: &dyn DockerReader) -> Vec<BaselineEntry>;
}

/// Something of the whole that is remembered in a host's record, as a keyed digest: it may be a secret.
pub struct BaselineEntry {
    /// Whose record.
    pub host: HostName,
    /// Its name in the record.
    pub id: String,
    /// What it is.
    pub definition: DefinitionDigest,
}

/// The records of the hosts, asked about one keepsake.
pub trait Baseline: Send + Sync {
    /// Whether the host's record says that this was so at the end of the last `apply`; `None` where it says nothing.
    fn matches(&self, host: &HostName, id: &str, definition: &DefinitionDigest) -> Option<bool>;
}
