//! Report of one check: the one document from which every output is made, and which the history
//! keeps. `skep schema report` publishes its form (docs/schema/report.json).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::HostState;
use crate::runner::DriftCause;

/// Version of the form. It increases when a field changes its meaning or is removed; new fields may
/// be added within a version.
pub const REPORT_SCHEMA: u32 = 1;

/// Report of one check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// Version of the form: [`REPORT_SCHEMA`].
    pub schema: u32,
    /// Name and version of the tool: `skep` and its version.
    pub tool: String,
    /// Start of the check, RFC 3339 in UTC, by the clock of the machine that checked.
    pub started: String,
    /// Duration in milliseconds.
    pub millis: u64,
    /// Inventory files and folders, as the user named them.
    pub inventory: Vec<String>,
    /// Playbooks, as the user named them.
    pub playbooks: Vec<String>,
    /// Most severe state of any host.
    pub state: HostState,
    /// Exit code of the check.
    pub exit_code: u8,
    /// Start of the last check that could read every resource of every host, with or without drift.
    pub last_success: Option<String>,
    /// Sums over all hosts.
    pub totals: ReportTotals,
    /// Hosts, sorted by name.
    pub hosts: Vec<ReportHost>,
    /// Expired ignore rules, which are no longer applied.
    pub expired_rules: Vec<ReportExpiredRule>,
    /// The swarm as one manager lists it; `None` if no manager answered, or if the check included
    /// no swarm.
    pub cluster: Option<ReportCluster>,
}

/// Sums over all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are named after the states and lists that they count"
)]
pub struct ReportTotals {
    pub hosts: usize,
    pub in_sync: usize,
    pub drift: usize,
    pub unreachable: usize,
    pub failed: usize,
    pub not_looked_at: usize,
    /// Resources that were checked.
    pub resources: usize,
    pub drifted_resources: usize,
    pub failed_resources: usize,
    pub ignored: usize,
}

/// Result of a check for one host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportHost {
    /// Name of the host in the inventory.
    pub host: String,
    /// State of the host.
    pub state: HostState,
    /// Reason why the host is unreachable.
    pub unreachable: Option<ReportProblem>,
    /// Internal error of skep that ended the check of the host; absent in reports of earlier
    /// versions.
    #[serde(default)]
    pub failure: Option<ReportProblem>,
    /// Notes on the host as a whole.
    pub notes: Vec<String>,
    /// Resources that were checked.
    pub resources: usize,
    /// Resources that differ.
    pub drift: Vec<ReportDrift>,
    /// Drift that a rule ignores.
    pub ignored: Vec<ReportIgnored>,
    /// Resources that could not be read, or whose change was refused.
    pub failed: Vec<ReportFailure>,
}

/// Reason of a problem, and the next step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "both are one sentence")]
pub struct ReportProblem {
    pub why: String,
    pub hint: String,
}

/// A resource that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportDrift {
    /// Name of the play.
    pub play: String,
    /// `kind[name]`.
    pub resource: String,
    /// Kind of the resource.
    pub kind: String,
    /// Action of `apply`: `create`, `update`, `delete` or `run`.
    pub action: String,
    /// Disruption that `apply` would cause.
    pub disturbs: String,
    /// Cause of the difference.
    pub cause: DriftCause,
    /// First of the consecutive checks that found the difference, RFC 3339.
    pub since: Option<String>,
    /// Time of the last successful apply, RFC 3339.
    pub last_applied: Option<String>,
    /// Fields that differ.
    pub fields: Vec<ReportField>,
    /// Notes on the change.
    pub notes: Vec<String>,
}

/// A field of a resource that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportField {
    /// Name of the field, as in the playbook.
    pub field: String,
    /// Value on the host.
    pub before: ReportValue,
    /// Value in the playbook.
    pub after: ReportValue,
}

/// A value as it may be shown. Secrets are masked before a value becomes part of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "value")]
#[expect(
    missing_docs,
    reason = "the variants are those of `model::DisplayValue`"
)]
pub enum ReportValue {
    Absent,
    Text(String),
    Lines(String),
    Secret,
    KnownAfterApply,
}

impl ReportValue {
    /// Returns one line for tables: `(absent)`, `(secret)`, or the text with its newlines made
    /// visible.
    #[must_use]
    pub fn line(&self) -> String {
        match self {
            Self::Absent => "(absent)".into(),
            Self::Text(text) if text.is_empty() => "\"\"".into(),
            Self::Text(text) | Self::Lines(text) => text.replace('\n', "\\n"),
            Self::Secret => "(secret)".into(),
            Self::KnownAfterApply => "(known after apply)".into(),
        }
    }
}

/// Drift that a rule ignores.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportIgnored {
    /// The difference.
    #[serde(flatten)]
    pub drift: ReportDrift,
    /// Reason why the drift is accepted.
    pub reason: String,
    /// Last day of the rule, `YYYY-MM-DD`.
    pub expires: String,
}

/// A resource whose state is unknown, or whose change was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `ReportDrift` and `ReportProblem`")]
pub struct ReportFailure {
    pub play: String,
    pub resource: String,
    pub kind: String,
    pub cause: DriftCause,
    pub why: String,
    pub hint: String,
}

/// An expired ignore rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `drift::IgnoreRule`")]
pub struct ReportExpiredRule {
    pub place: String,
    pub resource: String,
    pub reason: String,
    pub expires: String,
}

/// The swarm as one manager lists it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportCluster {
    /// Hosts of the inventory, then nodes that are not in the inventory.
    pub members: Vec<ReportMember>,
    /// Nodes with the role of a manager.
    pub managers: usize,
    /// Managers that are reachable.
    pub voters: usize,
    /// Problems of the swarm, one sentence each; known only if the check covered the whole
    /// inventory.
    pub problems: Vec<String>,
}

/// A node of the swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `swarm::overview::OverviewRow`")]
pub struct ReportMember {
    pub host: Option<String>,
    pub hostname: String,
    pub node_id: String,
    pub role: String,
    pub availability: String,
    pub state: String,
    pub leader: bool,
    pub labels: BTreeMap<String, String>,
    pub engine_version: String,
    pub address: String,
    /// Certificate of the node as last read; `None` if no check ever read it.
    pub certificate: Option<ReportCertificate>,
}

/// Validity period of a certificate, RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "not before, not after")]
pub struct ReportCertificate {
    pub from: String,
    pub until: String,
}
