//! Drift as a finding: what of a run's differences counts, what is ignored and why, and the one report that every output is
//! made of. Pure over data; only rules are read from a file here.

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
