//! Makes events and summaries readable: for people, and as JSON lines. With `cli`, the only module
//! that prints. Results go to stdout and everything else to stderr; every message is readable
//! without colour.

mod diff;
mod drift_text;
mod history;
mod html;
mod json;
mod junit;
mod literal;
mod metrics;
mod notify;
mod plan;
mod progress;
mod recap;
mod screen;
mod table;
#[cfg(test)]
mod tests;
mod whole_file;

pub use drift_text::{history_text, ignored_text};
pub use history::{ReportHistory, state_folder};
pub use html::html_text;
pub use json::{document_line, report_json};
pub use junit::junit_text;
pub use literal::{literal, literal_document, literal_line, literal_lines};
pub use metrics::metrics_text;
pub use notify::{NotifyError, fingerprint, notify};
pub use plan::{PlanStyle, hosts_text, plan_text, plan_totals};
pub use progress::report_progress;
pub use recap::recap_text;
pub use screen::{ColorChoice, Screen};
pub use table::TextTable;
pub use whole_file::{WriteError, write_whole};
