//! The cluster check: finds problems of the cluster that no resource of a host shows. The rules are
//! in `safety::cluster_check`; the runner only sends its queries together with those of the
//! resources.

use super::guard::DockerReader;
use super::outcome::ResourceOutcome;
use crate::model::{DefinitionDigest, HostAnswers, Query};
use crate::names::HostName;

/// A check of the whole cluster during `check`.
#[async_trait::async_trait]
pub trait ClusterCheck: Send + Sync {
    /// Returns the queries for this host, which are sent in the exec for its resources.
    fn queries(&self, host: &HostName) -> Vec<Query>;

    /// Records the answers of a host, to these queries and to those of its resources.
    fn record(&self, host: &HostName, answers: &HostAnswers);

    /// Reads ahead what [`ClusterCheck::findings`] needs, while the hosts are read. The default
    /// does nothing.
    async fn read_ahead(&self, _engines: &dyn DockerReader) {}

    /// Returns the findings, each with the host that shows it. Called once every host has answered
    /// or is known to be unreachable.
    async fn findings(
        &self,
        engines: &dyn DockerReader,
        memory: &dyn Baseline,
    ) -> Vec<(HostName, ResourceOutcome)>;

    /// Returns the baseline that `apply` records at its end, against which a later `check`
    /// compares.
    async fn baseline_entries(&self, engines: &dyn DockerReader) -> Vec<BaselineEntry>;
}

/// A value of the cluster that is kept in a host's record, as a keyed digest: it may be a secret.
pub struct BaselineEntry {
    /// Host that keeps the value.
    pub host: HostName,
    /// Name of the value in the record.
    pub id: String,
    /// Digest of the value.
    pub definition: DefinitionDigest,
}

/// The baseline: the values in the hosts' records.
pub trait Baseline: Send + Sync {
    /// Returns true if the host's record contains this value from the end of the last `apply`;
    /// `None` if it has no entry.
    fn matches(&self, host: &HostName, id: &str, definition: &DefinitionDigest) -> Option<bool>;
}
