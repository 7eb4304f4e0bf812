//! `skep schema`: the published forms of what skep writes.

use super::Common;
use super::exit_code::Exit;

/// The schema of `--report`.
const REPORT: &str = include_str!("../../docs/schema/report.json");

/// Print the JSON Schema of a document that skep writes
#[derive(Debug, Clone, clap::Args)]
pub struct SchemaArgs {
    /// Which document.
    #[arg(value_enum)]
    pub document: Document,
}

/// Documents with a schema.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum Document {
    /// What `skep check --report` writes.
    Report,
}

/// Prints the schema.
#[must_use]
pub fn run(common: &Common, args: &SchemaArgs) -> Exit {
    match args.document {
        Document::Report => common.screen().result(REPORT),
    }
    Exit::Fine
}
