//! Diagnostics for programs: one JSON object per diagnostic.

use super::{Diagnostic, Diagnostics, Severity};
use crate::names::HostName;

/// JSON form of a diagnostic.
#[derive(serde::Serialize)]
struct DiagnosticJson<'a> {
    severity: Severity,
    message: &'a str,
    file: Option<String>,
    line: Option<usize>,
    column: Option<usize>,
    hint: Option<&'a str>,
    hosts: Vec<&'a HostName>,
    releases: Vec<&'a str>,
    related: Vec<RelatedJson<'a>>,
}

#[derive(serde::Serialize)]
struct RelatedJson<'a> {
    message: &'a str,
    file: String,
    line: usize,
    column: usize,
}

impl Diagnostics {
    /// Returns a list of objects: `severity`, `message`, `file`, `line`, `column` (from 1, in
    /// characters), `hint`, `hosts`, `releases` and `related` places.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        self.iter()
            .map(|diagnostic| serde_json::to_value(shown(diagnostic)).unwrap_or_default())
            .collect()
    }
}

fn shown(diagnostic: &Diagnostic) -> DiagnosticJson<'_> {
    let place = diagnostic.place.as_ref();
    DiagnosticJson {
        severity: diagnostic.severity,
        message: &diagnostic.message,
        file: place.map(|place| place.source.path().display().to_string()),
        line: place.map(crate::diagnostic::SourceSpan::line),
        column: place.map(crate::diagnostic::SourceSpan::column),
        hint: diagnostic.hint.as_deref(),
        hosts: diagnostic.hosts.iter().collect(),
        releases: diagnostic.releases.iter().map(String::as_str).collect(),
        related: diagnostic
            .related
            .iter()
            .map(|(place, message)| RelatedJson {
                message,
                file: place.source.path().display().to_string(),
                line: place.line(),
                column: place.column(),
            })
            .collect(),
    }
}
