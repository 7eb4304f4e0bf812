//! Drift as a finding: what of a run's differences counts, what is ignored and why, and the one report that every output is
//! made of. Pure over data; only rules are read from a file here.

mod assemble;
mod ignore;
pub mod report;
mod sieve;
mod since;
mod verdict;

pub use assemble::{About, assemble, rfc3339};
pub use ignore::{IgnoreRule, IgnoreRules};
pub use report::{REPORT_SCHEMA, Report};
pub use sieve::{IgnoredDrift, IgnoredFields, Sieved, ignored_fields, sieve};
pub use since::{HistoryRow, Seen, earlier_certificates, fill_from_history, history_rows};
pub use verdict::HostState;
