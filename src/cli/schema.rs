//! `skep schema`: prints the published schemas of skep's documents.

use super::GlobalArgs;
use super::exit_code::ExitStatus;

/// The schema of `--report`.
const REPORT: &str = include_str!("../../docs/schema/report.json");

/// Print the JSON Schema of a document that skep writes
#[derive(Debug, Clone, clap::Args)]
pub(super) struct SchemaArgs {
    /// Document to print the schema of.
    #[arg(value_enum)]
    pub document: SchemaDocument,
}

/// Documents with a schema.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
pub(super) enum SchemaDocument {
    /// Report of `skep check --report`.
    Report,
}

/// Prints the schema.
#[must_use]
pub(super) fn run(common: &GlobalArgs, args: &SchemaArgs) -> ExitStatus {
    match args.document {
        SchemaDocument::Report => common.screen().result(REPORT),
    }
    ExitStatus::Fine
}
