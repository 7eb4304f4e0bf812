//! What is wrong with a user's files: message, place, hint. Diagnostics are collected, never printed here; `cli` prints
//! what [`Diagnostics::render`] or [`Diagnostics::to_json`] make of them.

mod json;
mod render;
mod secret;
mod source;

use indexmap::IndexSet;

pub use secret::{is_secret_key, mask, touches_secret, without_quoted_text};
pub use source::{FILE_LIMIT, SourceFile, SourceSpan};

use crate::names::HostName;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing runs.
    Error,
    /// Worth reading; the run goes on.
    Warning,
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// What is wrong, without secrets.
    pub message: String,
    /// Where it is wrong; options of the command line have places too.
    pub place: Option<SourceSpan>,
    /// Other places that belong to it, each with its words.
    pub related: Vec<(SourceSpan, String)>,
    /// What would be right.
    pub hint: Option<String>,
    /// Hosts for which it is wrong; empty when it does not depend on a host.
    pub hosts: IndexSet<HostName>,
    /// Releases whose facts make it wrong; empty when it does not depend on facts.
    pub releases: IndexSet<String>,
}

impl Diagnostic {
    /// An error.
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

    /// A warning.
    pub fn warning(message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(message)
        }
    }

    /// The same with its place.
    #[must_use]
    pub fn at(mut self, place: SourceSpan) -> Self {
        self.place = Some(place);
        self
    }

    /// The same with a further place.
    #[must_use]
    pub fn related(mut self, place: SourceSpan, words: impl Into<String>) -> Self {
        self.related.push((place, words.into()));
        self
    }

    /// The same with what would be right.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        self.maybe_hint(Some(hint.into()))
    }

    /// The same with what would be right, where that is known.
    #[must_use]
    pub fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// The same for one host.
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

/// Everything that is wrong, in the order in which it was found.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one. What was said before is not said again: the hosts and releases are added to it.
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

    /// Whether one of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.0
            .iter()
            .any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Each of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Each of them, to be changed.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, Diagnostic> {
        self.0.iter_mut()
    }

    /// These, when one of them is an error.
    ///
    /// # Errors
    /// All of them, warnings included.
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

/// Plain text without colour, so that `anyhow` and tests can show it.
impl std::fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.render(false))
    }
}

impl std::error::Error for Diagnostics {}
