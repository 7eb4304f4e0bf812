//! Drift as a finding: which differences of a run count, which are ignored and why, and the one
//! report from which every output is made. Pure over data, but for the files of ignore rules, which
//! are read here.

mod assemble;
mod first_seen;
mod host_state;
mod ignore;
mod ignore_filter;
pub mod report;

pub use assemble::{CheckMetadata, assemble, rfc3339};
pub use first_seen::{
    CheckedState, HistoryRow, earlier_certificates, fill_from_history, history_rows,
};
pub use host_state::HostState;
pub use ignore::{IgnoreRule, IgnoreRules};
pub use ignore_filter::{
    FilteredRun, IgnoredDrift, IgnoredFields, apply_ignore_rules, ignored_fields,
};
pub use report::{CheckReport, REPORT_SCHEMA};
