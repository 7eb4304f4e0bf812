//! Drift on real OpenSSH servers: causes, reports, ignore rules, outputs. Each server has a
//! `/var/lib/skep` of its own.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod causes;
mod history;
mod ignoring;
mod metrics;
mod outputs;
mod schema;
mod site;
