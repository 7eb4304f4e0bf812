//! `skep schema`: the published forms of what skep writes.

use super::GlobalArgs;
use super::exit_code::ExitStatus;

/// The schema of `--report`.
const REPORT: &str = include_str!("../../docs/schema/report.json");

/// Print the JSON Schema of a document that skep writes
#[derive(Debug, Clone, clap::Args)]
pub struct SchemaArgs {
    /// Which document.
    #[arg(value_enum)]
    pub document: SchemaDocument,
}

/// Documents with a schema.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub enum SchemaDocument {
    /// What `skep check --report` writes.
    Report,
}

/// Prints the schema.
#[must_use]
pub fn run(common: &GlobalArgs, args: &SchemaArgs) -> ExitStatus {
    match args.document {
        SchemaDocument::Report => common.screen().result(REPORT),
    }
    ExitStatus::Fine
}
