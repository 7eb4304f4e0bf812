//! The report of one check: one document that every output is made of, and that the history keeps. Its form is
//! published by `skep schema report` (docs/schema/report.json).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::HostState;
use crate::runner::DriftCause;

/// Version of the form. It grows when a field changes its meaning or goes away; new fields may come within a version.
pub const REPORT_SCHEMA: u32 = 1;

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckReport {
    /// [`REPORT_SCHEMA`].
    pub schema: u32,
    /// `skep` and its version.
    pub tool: String,
    /// When it began, RFC 3339 in UTC, on the clock of whoever checked.
    pub started: String,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// Inventory files and folders, as they were named.
    pub inventory: Vec<String>,
    /// Playbooks, as they were named.
    pub playbooks: Vec<String>,
    /// The gravest state of any host.
    pub state: HostState,
    /// The exit code of the check.
    pub exit_code: u8,
    /// When a check last could read every resource of every host, whether it found drift or not.
    pub last_success: Option<String>,
    /// Sums.
    pub totals: ReportTotals,
    /// By name.
    pub hosts: Vec<ReportHost>,
    /// Ignore rules whose day has passed: they ignore nothing.
    pub expired_rules: Vec<ReportExpiredRule>,
    /// The swarm as one manager lists it; `None` where no manager answered, or the check was about no swarm.
    pub cluster: Option<ReportCluster>,
}

/// Sums over all hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    missing_docs,
    reason = "the fields are named as the states and lists that they count"
)]
pub struct ReportTotals {
    pub hosts: usize,
    pub in_sync: usize,
    pub drift: usize,
    pub unreachable: usize,
    pub failed: usize,
    pub not_looked_at: usize,
    /// Resources looked at.
    pub resources: usize,
    pub drifted_resources: usize,
    pub failed_resources: usize,
    pub ignored: usize,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportHost {
    /// Its name in the inventory.
    pub host: String,
    /// How it came out.
    pub state: HostState,
    /// Why it could not be reached.
    pub unreachable: Option<ReportProblem>,
    /// Internal error of skep that ended the check of the host; absent in reports of earlier versions.
    #[serde(default)]
    pub failure: Option<ReportProblem>,
    /// Remarks.
    pub notes: Vec<String>,
    /// Resources looked at.
    pub resources: usize,
    /// What differs.
    pub drift: Vec<ReportDrift>,
    /// What differs and is ignored by a rule.
    pub ignored: Vec<ReportIgnored>,
    /// What could not be read, or was refused.
    pub failed: Vec<ReportFailure>,
}

/// A reason and what to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "both are one sentence")]
pub struct ReportProblem {
    pub why: String,
    pub hint: String,
}

/// A resource that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReportDrift {
    /// The play that asks for it.
    pub play: String,
    /// `kind[name]`.
    pub resource: String,
    /// The kind.
    pub kind: String,
    /// What `apply` would do: `create`, `update`, `delete` or `run`.
    pub action: String,
    /// What `apply` would disturb.
    pub disturbs: String,
    /// Why it differs.
    pub cause: DriftCause,
    /// The first of the checks in a row that found it so, RFC 3339.
    pub since: Option<String>,
    /// When it was last applied with success, RFC 3339.
    pub last_applied: Option<String>,
    /// What differs.
    pub fields: Vec<ReportField>,
    /// Remarks.
    pub notes: Vec<String>,
}

/// A field of a resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportField {
    /// Name as in the playbook.
    pub field: String,
    /// What the host has.
    pub before: ReportValue,
    /// What it should have.
    pub after: ReportValue,
}

/// A value as it may be shown. Secrets are masked before they come here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type", content = "value")]
#[expect(missing_docs, reason = "the variants are those of `resource::Shown`")]
pub enum ReportValue {
    Absent,
    Text(String),
    Lines(String),
    Secret,
    KnownAfterApply,
}

impl ReportValue {
    /// One line for tables: `(absent)`, `(secret)`, the text with its line ends visible.
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
    /// What differs.
    #[serde(flatten)]
    pub drift: ReportDrift,
    /// Why it is accepted.
    pub reason: String,
    /// The last day on which it is.
    pub expires: String,
}

/// A resource of which nothing is known, or that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `Drift` and `Trouble`")]
pub struct ReportFailure {
    pub play: String,
    pub resource: String,
    pub kind: String,
    pub cause: DriftCause,
    pub why: String,
    pub hint: String,
}

/// A rule whose day has passed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `drift::IgnoreRule`")]
pub struct ReportExpiredRule {
    pub place: String,
    pub resource: String,
    pub reason: String,
    pub expires: String,
}

/// The swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportCluster {
    /// Hosts, then nodes that no host of the inventory is.
    pub members: Vec<ReportMember>,
    /// Nodes with the role of a manager.
    pub managers: usize,
    /// Those of them that are reachable.
    pub voters: usize,
    /// What is wrong with it, one sentence each; only known when the check was about the whole inventory.
    pub problems: Vec<String>,
}

/// A node of the swarm.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "as in `swarm::overview::Row`")]
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
    /// The node's certificate as it was last seen; `None` where no check ever did.
    pub certificate: Option<ReportCertificate>,
}

/// When a certificate begins and ends, RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "not before, not after")]
pub struct ReportCertificate {
    pub from: String,
    pub until: String,
}
