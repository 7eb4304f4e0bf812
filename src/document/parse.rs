//! Parses text into a tree and reports every syntax error of a file at once.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{TomlEntry, TomlNode, TomlValue};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};

/// Largest number of syntax errors reported per file: later errors usually follow from the first
/// ones.
const ERRORS_SHOWN: usize = 20;

/// A parsed file.
#[derive(Debug, Clone)]
pub struct TomlDocument {
    /// Text of the file.
    pub source: Arc<SourceFile>,
    /// Root table of the file.
    pub root: TomlNode,
}

impl TomlDocument {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// All of the file's syntax errors, or the reason why it could not be read.
    pub fn read(path: &Path) -> Result<Self, Diagnostics> {
        Self::parse(SourceFile::read(path)?)
    }

    /// Parses a text.
    ///
    /// # Errors
    /// All syntax errors of the text.
    pub fn parse(source: Arc<SourceFile>) -> Result<Self, Diagnostics> {
        let (table, errors) = DeTable::parse_recoverable(source.text());
        if errors.is_empty() {
            let root = node(table.span(), DeValue::Table(table.into_inner()));
            return Ok(Self { source, root });
        }
        let is_news = |at: usize| !follows_from_an_earlier(&source, &errors, at);
        let news = (0..errors.len().min(ERRORS_SHOWN))
            .filter(|at| is_news(*at))
            .filter_map(|at| errors.get(at));
        Err(news.map(|error| syntax_error(&source, error)).collect())
    }

    /// Returns a place in this file.
    #[must_use]
    pub fn place(&self, span: &Range<usize>) -> SourceSpan {
        SourceSpan::new(&self.source, span.clone())
    }
}

/// Parses one value, as after `-e key=`. Returns `None` if the text is not a TOML value.
#[must_use]
pub fn parse_value(text: &str) -> Option<TomlNode> {
    let value = DeValue::parse(text).ok()?;
    Some(node(value.span(), value.into_inner()))
}

/// Returns true if an error is about a key below a header that is itself a duplicate: the error at
/// the header is enough.
fn follows_from_an_earlier(source: &SourceFile, errors: &[toml::de::Error], at: usize) -> bool {
    let start = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
    let header = |offset: usize| {
        source
            .text()
            .get(..offset)?
            .rfind("\n[")
            .map(|newline| newline + 1)
    };
    let header_of = |error: &toml::de::Error| header(start(error));
    let is_repetition = |error: &toml::de::Error| error.message().contains("duplicate key");
    let Some(error) = errors.get(at).filter(|error| is_repetition(error)) else {
        return false;
    };
    errors.iter().take(at).any(|earlier| {
        let line_of_header = header_of(earlier).is_some_and(|header| {
            source
                .text()
                .get(header..start(earlier))
                .is_some_and(|between| !between.contains('\n'))
        });
        is_repetition(earlier) && line_of_header && header_of(earlier) == header_of(error)
    })
}

fn syntax_error(source: &Arc<SourceFile>, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().unwrap_or(0..0);
    let text = source.text().get(span.clone()).unwrap_or_default();
    let diagnostic = if error.message().contains("duplicate key") {
        Diagnostic::error(format!("`{}` is defined twice", text.trim())).hint(
            "a host, a setting or a key may appear only once in a file; remove one of the two",
        )
    } else {
        let message = error.message().lines().collect::<Vec<_>>().join("; ");
        Diagnostic::error(format!("not valid TOML: {message}"))
    };
    diagnostic.at(SourceSpan::new(source, span))
}

fn node(span: Range<usize>, value: DeValue<'_>) -> TomlNode {
    let value = match value {
        DeValue::String(text) => TomlValue::String(text.into_owned()),
        DeValue::Integer(integer) => TomlValue::Integer(decimal(integer.as_str(), integer.radix())),
        DeValue::Float(float) => TomlValue::Float(float.as_str().to_owned()),
        DeValue::Boolean(boolean) => TomlValue::Boolean(boolean),
        DeValue::Datetime(datetime) => TomlValue::Datetime(datetime),
        DeValue::Array(items) => TomlValue::Array(
            items
                .iter()
                .map(|item| node(item.span(), item.get_ref().clone()))
                .collect(),
        ),
        DeValue::Table(table) => TomlValue::Table(entries(table)),
    };
    TomlNode::new(value, span)
}

fn entries(table: DeTable<'_>) -> Vec<TomlEntry> {
    let entry = |(key, value): (Spanned<_>, Spanned<DeValue<'_>>)| {
        let key_span = key.span();
        let key: std::borrow::Cow<'_, str> = key.into_inner();
        TomlEntry {
            key: key.into_owned(),
            key_span,
            node: node(value.span(), value.into_inner()),
        }
    };
    let mut entries: Vec<TomlEntry> = table.into_iter().map(entry).collect();
    // The parser sorts keys by name; people and plans follow the order of the file.
    entries.sort_by_key(|entry| entry.key_span.start);
    entries
}

fn decimal(text: &str, radix: u32) -> String {
    i64::from_str_radix(text, radix).map_or_else(|_| text.to_owned(), |number| number.to_string())
}
