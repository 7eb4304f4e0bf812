//! Drift as a finding: what of a run's differences counts, what is ignored and why, and the one report that every output is
//! made of. Pure over data; only rules are read from a file here.

mod assemble;
mod ignore;
pub mod report;
mod sieve;
mod since;
mod verdict;

pub use assemble::{CheckMetadata, assemble, rfc3339};
pub use ignore::{IgnoreRule, IgnoreRules};
pub use report::{CheckReport, REPORT_SCHEMA};
pub use sieve::{FilteredRun, IgnoredDrift, IgnoredFields, ignored_fields, sieve};
pub use since::{CheckedState, HistoryRow, earlier_certificates, fill_from_history, history_rows};
pub use verdict::HostState;
