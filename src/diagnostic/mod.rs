//! Errors and warnings about a user's files: message, place, hint. Diagnostics are collected here
//! and never printed; `cli` prints the output of [`Diagnostics::render`] or
//! [`Diagnostics::to_json`].

mod json;
mod render;
mod secret;
mod source;

use indexmap::IndexSet;

pub use secret::{is_secret_key, mask, touches_secret, without_quoted_text};
pub use source::{FILE_LIMIT, SourceFile, SourceSpan};

use crate::names::HostName;

/// Severity of a diagnostic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// An error: nothing runs.
    Error,
    /// A warning: the run continues.
    Warning,
    /// A note: the run does what was asked, and the user may not expect all of it.
    Note,
}

/// An error or a warning.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Description of the problem, without secrets.
    pub message: String,
    /// Place of the problem; options of the command line have places too.
    pub place: Option<SourceSpan>,
    /// Further places that belong to the problem, each with a message.
    pub related: Vec<(SourceSpan, String)>,
    /// Suggestion for a fix.
    pub hint: Option<String>,
    /// Hosts that have the problem; empty if the problem does not depend on a host.
    pub hosts: IndexSet<HostName>,
    /// Releases whose facts cause the problem; empty if the problem does not depend on facts.
    pub releases: IndexSet<String>,
}

impl Diagnostic {
    /// Makes an error.
    pub fn error(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            place: None,
            related: Vec::new(),
            hint: None,
            hosts: IndexSet::new(),
            releases: IndexSet::new(),
        }
    }

    /// Makes a warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message)
        }
    }

    /// Makes a note.
    pub fn note(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Note,
            ..Self::error(message)
        }
    }

    /// Sets the place.
    #[must_use]
    pub fn at(mut self, place: SourceSpan) -> Self {
        self.place = Some(place);
        self
    }

    /// Adds a further place with a message.
    #[must_use]
    pub fn related(mut self, place: SourceSpan, words: impl Into<String>) -> Self {
        self.related.push((place, words.into()));
        self
    }

    /// Sets the hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.maybe_hint(Some(hint.into()))
    }

    /// Sets the hint if there is one; `None` keeps the present hint.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Adds a host that has the problem.
    #[must_use]
    pub fn on_host(mut self, host: &HostName) -> Self {
        self.hosts.insert(host.clone());
        self
    }

    fn is_duplicate_of(&self, other: &Self) -> bool {
        self.severity == other.severity
            && self.message == other.message
            && self.place == other.place
            && self.hint == other.hint
            && self.related == other.related
    }
}

/// Errors and warnings in the order in which they were found.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds a diagnostic. A duplicate is not repeated: its hosts and releases are added to the
    /// earlier diagnostic.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        match self
            .0
            .iter_mut()
            .find(|other| other.is_duplicate_of(&diagnostic))
        {
            Some(other) => {
                other.hosts.extend(diagnostic.hosts);
                other.releases.extend(diagnostic.releases);
            }
            None => self.0.push(diagnostic),
        }
    }

    /// Returns true if at least one diagnostic is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Returns true if there is no diagnostic.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the number of diagnostics.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Iterates over the diagnostics.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Iterates over the diagnostics mutably.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Diagnostic> {
        self.0.iter_mut()
    }

    /// Returns the diagnostics as `Ok` if there are only warnings, and as `Err` if one is an error.
    ///
    /// # Errors
    /// The whole list, warnings included.
    pub fn into_result(self) -> Result<Self, Self> {
        if self.has_errors() {
            Err(self)
        } else {
            Ok(self)
        }
    }
}

impl From<Diagnostic> for Diagnostics {
    fn from(diagnostic: Diagnostic) -> Self {
        Self(vec![diagnostic])
    }
}

impl Extend<Diagnostic> for Diagnostics {
    fn extend<T: IntoIterator<Item = Diagnostic>>(&mut self, diagnostics: T) {
        diagnostics
            .into_iter()
            .for_each(|diagnostic| self.push(diagnostic));
    }
}

impl FromIterator<Diagnostic> for Diagnostics {
    fn from_iter<T: IntoIterator<Item = Diagnostic>>(diagnostics: T) -> Self {
        let mut collected = Self::default();
        collected.extend(diagnostics);
        collected
    }
}

impl IntoIterator for Diagnostics {
    type Item = Diagnostic;
    type IntoIter = std::vec::IntoIter<Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Plain text without colour, for `anyhow` and tests.
impl std::fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
