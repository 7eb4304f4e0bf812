//! Reads typed fields out of a tree. Errors are collected instead of stopping at the first.

use std::ops::Range;
use std::sync::Arc;

use super::{TomlEntry, TomlNode, TomlValue, did_you_mean};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};

/// Reads the fields of one file. Each method that returns `None` has recorded the reason.
pub struct FieldReader<'a> {
    /// The file.
    pub source: &'a Arc<SourceFile>,
    /// Errors found so far.
    pub diagnostics: &'a mut Diagnostics,
}

impl FieldReader<'_> {
    /// Records an error.
    pub fn error(&mut self, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.diagnostics.push(
            Diagnostic::error(message)
                .at(self.place(span))
                .maybe_hint(hint),
        );
    }

    /// Returns a place in the file.
    #[must_use]
    pub fn place(&self, span: &Range<usize>) -> SourceSpan {
        SourceSpan::new(self.source, span.clone())
    }

    /// Reads a table and returns its entries.
    pub fn table<'n>(&mut self, node: &'n TomlNode, what: &str) -> Option<&'n [TomlEntry]> {
        let table = node.as_table();
        if table.is_none() {
            self.wrong_type(node, what, "a table");
        }
        table
    }

    /// Reports every key that is not among the known ones.
    pub fn only_keys(&mut self, entries: &[TomlEntry], what: &str, known: &[&str]) {
        for entry in entries
            .iter()
            .filter(|entry| !known.contains(&entry.key.as_str()))
        {
            self.unknown_key(entry, what, known);
        }
    }

    /// Reports one key as unknown.
    pub fn unknown_key(&mut self, entry: &TomlEntry, what: &str, known: &[&str]) {
        let hint = did_you_mean(&entry.key, known.iter().copied());
        self.error(
            &entry.key_span,
            format!("unknown key `{}` in {what}", entry.key),
            hint,
        );
    }

    /// Reads a string.
    pub fn string<'n>(&mut self, node: &'n TomlNode, what: &str) -> Option<&'n str> {
        let text = node.as_str();
        if text.is_none() {
            self.wrong_type(node, what, "a string");
        }
        text
    }

    /// Reads a boolean.
    pub fn boolean(&mut self, node: &TomlNode, what: &str) -> Option<bool> {
        if let TomlValue::Boolean(boolean) = node.value {
            return Some(boolean);
        }
        self.wrong_type(node, what, "true or false");
        None
    }

    /// Reads an integer within a range.
    pub fn integer(
        &mut self,
        node: &TomlNode,
        what: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i64> {
        let TomlValue::Integer(text) = &node.value else {
            self.wrong_type(node, what, "an integer");
            return None;
        };
        let number = text.parse().ok().filter(|number| range.contains(number));
        if number.is_none() {
            let hint = match (*range.start(), *range.end()) {
                (start, i64::MAX) => format!("a number from {start} up"),
                (start, end) => format!("a number from {start} to {end}"),
            };
            self.error(&node.span, format!("`{what}` cannot be {text}"), Some(hint));
        }
        number
    }

    /// Reads a list of strings with their places; a single string counts as a list of one.
    pub fn strings<'n>(
        &mut self,
        node: &'n TomlNode,
        what: &str,
    ) -> Option<Vec<(&'n str, &'n Range<usize>)>> {
        match &node.value {
            TomlValue::String(text) => Some(vec![(text, &node.span)]),
            TomlValue::Array(items) => items
                .iter()
                .map(|item| Some((self.string(item, what)?, &item.span)))
                .collect(),
            _ => {
                self.wrong_type(node, what, "a string or a list of strings");
                None
            }
        }
    }

    /// Reads a list.
    pub fn list<'n>(&mut self, node: &'n TomlNode, what: &str) -> Option<&'n [TomlNode]> {
        if let TomlValue::Array(items) = &node.value {
            return Some(items);
        }
        self.wrong_type(node, what, "a list");
        None
    }

    /// Reports a value of the wrong type.
    pub fn wrong_type(&mut self, node: &TomlNode, what: &str, wanted: &str) {
        let message = format!("`{what}` must be {wanted}, not {}", node.type_name());
        self.error(&node.span, message, None);
    }
}
