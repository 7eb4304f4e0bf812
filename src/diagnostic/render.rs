//! Diagnostics for people, in the style of rustc. Only the line of the problem is shown, with
//! secret values masked.

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use indexmap::IndexSet;

use super::{Diagnostic, Diagnostics, Severity};
use crate::diagnostic::{SourceSpan, mask};
use crate::names::{HostName, short_list};

/// Number of hosts that a note names; the others are only counted.
const HOSTS_SHOWN: usize = 3;

impl Diagnostics {
    /// Returns all diagnostics as text that ends in a newline, with a count in the last line. The
    /// text is empty if there is no diagnostic.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let mut text: String = self
            .iter()
            .map(|diagnostic| diagnostic.render(colour) + "\n\n")
            .collect();
        if !self.is_empty() {
            text.push_str(&self.count());
            text.push('\n');
        }
        text
    }

    fn count(&self) -> String {
        let count = |severity| {
            self.iter()
                .filter(|diagnostic| diagnostic.severity == severity)
                .count()
        };
        let words =
            |number, word: &str| format!("{number} {word}{}", if number == 1 { "" } else { "s" });
        match (count(Severity::Error), count(Severity::Warning)) {
            (0, 0) => words(count(Severity::Note), "note"),
            (0, warnings) => words(warnings, "warning"),
            (errors, 0) => words(errors, "error"),
            (errors, warnings) => {
                format!("{}, {}", words(errors, "error"), words(warnings, "warning"))
            }
        }
    }
}

impl Diagnostic {
    /// Returns the diagnostic as text, without a newline at its end.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Note => Level::NOTE,
        };
        let mut group = Group::with_title(level.primary_title(self.message.as_str()));
        if let Some(place) = &self.place {
            group = group.element(snippet(place, None));
        }
        let mut report = vec![group];
        for (place, words) in &self.related {
            report.push(
                Group::with_title(Level::NOTE.secondary_title(words.as_str()))
                    .element(snippet(place, None)),
            );
        }
        if let Some(note) = self.hosts_note() {
            report.push(Group::with_title(Level::NOTE.secondary_title(note)));
        }
        if let Some(hint) = &self.hint {
            report.push(Group::with_title(
                Level::HELP.secondary_title(hint.as_str()),
            ));
        }
        if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        }
        .render(&report)
    }

    /// Returns a note that names the hosts and releases that have the problem.
    #[must_use]
    pub fn hosts_note(&self) -> Option<String> {
        let hosts = (!self.hosts.is_empty()).then(|| format!("on {}", hosts_in_words(&self.hosts)));
        let releases: Vec<&str> = self.releases.iter().map(String::as_str).collect();
        let releases =
            (!releases.is_empty()).then(|| format!("with the facts of {}", releases.join(", ")));
        match (hosts, releases) {
            (Some(hosts), Some(releases)) => Some(format!("{hosts}, {releases}")),
            (hosts, releases) => hosts.or(releases),
        }
    }
}

fn hosts_in_words(hosts: &IndexSet<HostName>) -> String {
    let names = short_list(hosts.iter().map(HostName::as_str), HOSTS_SHOWN);
    match hosts.len() {
        0..=HOSTS_SHOWN => names,
        count => format!("{count} hosts: {names}"),
    }
}

// Only the first line of a range is shown: forty lines of a table tell no more than its header.
// Secrets are masked over the whole text because one may begin on an earlier line.
fn snippet(
    place: &SourceSpan,
    label: Option<String>,
) -> Snippet<'static, annotate_snippets::Annotation<'static>> {
    let text = mask(place.source.text());
    let start = text[..place.span.start]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    let end = text[place.span.start..]
        .find('\n')
        .map_or(text.len(), |newline| place.span.start + newline);
    let last = place.span.end.min(end);
    let span = place.span.start - start..(last.max(place.span.start)) - start;
    Snippet::source(text[start..end].to_owned())
        .path(place.source.path().display().to_string())
        .line_start(place.line())
        .annotation(AnnotationKind::Primary.span(span).label(label))
}
