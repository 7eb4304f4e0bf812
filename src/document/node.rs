//! The nodes of the tree: owned values with their byte ranges, in the order of the file.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

/// A value and its position in its file.
#[derive(Debug, Clone, PartialEq)]
pub struct TomlNode {
    /// The value.
    pub value: TomlValue,
    /// Byte range of the value in its source. Values that a template renders from it inherit the
    /// range.
    pub span: Range<usize>,
}

/// A TOML value. Numbers are kept as text that TOML can read back, so that a deserializer can
/// borrow the tree.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the variants are TOML's own types")]
pub enum TomlValue {
    String(String),
    Integer(String),
    Float(String),
    Boolean(bool),
    Datetime(toml::value::Datetime),
    Array(Vec<TomlNode>),
    Table(Vec<TomlEntry>),
}

/// An entry of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TomlEntry {
    /// The key.
    pub key: String,
    /// Byte range of the key.
    pub key_span: Range<usize>,
    /// The value.
    pub node: TomlNode,
}

impl TomlNode {
    /// Makes a node from a value and its place.
    #[must_use]
    pub fn new(value: TomlValue, span: Range<usize>) -> Self {
        Self { value, span }
    }

    /// Returns the type's name for messages, with its article.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.value {
            TomlValue::String(_) => "a string",
            TomlValue::Integer(_) => "an integer",
            TomlValue::Float(_) => "a float",
            TomlValue::Boolean(_) => "a boolean",
            TomlValue::Datetime(_) => "a date",
            TomlValue::Array(_) => "a list",
            TomlValue::Table(_) => "a table",
        }
    }

    /// Returns the text if the value is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        if let TomlValue::String(text) = &self.value {
            Some(text)
        } else {
            None
        }
    }

    /// Returns the entries if the value is a table.
    #[must_use]
    pub fn as_table(&self) -> Option<&[TomlEntry]> {
        if let TomlValue::Table(entries) = &self.value {
            Some(entries)
        } else {
            None
        }
    }

    /// Returns a key's entry if the value is a table that has the key.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&TomlEntry> {
        self.as_table()?.iter().find(|entry| entry.key == key)
    }

    /// Gives the whole tree one place, for a value that was made from another value.
    pub fn move_to(&mut self, span: &Range<usize>) {
        self.span = span.clone();
        match &mut self.value {
            TomlValue::Array(items) => items.iter_mut().for_each(|item| item.move_to(span)),
            TomlValue::Table(entries) => {
                for entry in entries {
                    entry.key_span = span.clone();
                    entry.node.move_to(span);
                }
            }
            _ => {}
        }
    }

    /// Returns true if any string or key in the tree is a template.
    #[must_use]
    pub fn has_template(&self) -> bool {
        match &self.value {
            TomlValue::String(text) => is_template(text),
            TomlValue::Array(items) => items.iter().any(Self::has_template),
            TomlValue::Table(entries) => entries
                .iter()
                .any(|entry| is_template(&entry.key) || entry.node.has_template()),
            _ => false,
        }
    }

    /// Returns the tree as a value that serde reads, spans included.
    #[must_use]
    pub fn to_toml(&self) -> Spanned<DeValue<'_>> {
        let value = match &self.value {
            TomlValue::String(text) => DeValue::String(text.as_str().into()),
            TomlValue::Integer(text) | TomlValue::Float(text) => number(text),
            TomlValue::Boolean(boolean) => DeValue::Boolean(*boolean),
            TomlValue::Datetime(datetime) => DeValue::Datetime(*datetime),
            TomlValue::Array(items) => {
                let mut array = DeArray::new();
                for item in items {
                    array.push(item.to_toml());
                }
                DeValue::Array(array)
            }
            TomlValue::Table(entries) => {
                let mut table = DeTable::new();
                for entry in entries {
                    table.insert(
                        Spanned::new(entry.key_span.clone(), entry.key.as_str().into()),
                        entry.node.to_toml(),
                    );
                }
                DeValue::Table(table)
            }
        };
        Spanned::new(self.span.clone(), value)
    }

    /// Returns the tree as JSON, for `--json` views. Dates become strings.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            TomlValue::String(text) => text.as_str().into(),
            TomlValue::Integer(text) => text
                .parse::<i64>()
                .map_or_else(|_| text.as_str().into(), Into::into),
            TomlValue::Float(text) => text
                .parse::<f64>()
                .map_or_else(|_| text.as_str().into(), Into::into),
            TomlValue::Boolean(boolean) => (*boolean).into(),
            TomlValue::Datetime(datetime) => datetime.to_string().into(),
            TomlValue::Array(items) => items.iter().map(Self::to_json).collect(),
            TomlValue::Table(entries) => entries
                .iter()
                .map(|entry| (entry.key.clone(), entry.node.to_json()))
                .collect(),
        }
    }
}

/// Returns true if the text contains template syntax.
#[must_use]
pub fn is_template(text: &str) -> bool {
    text.contains("{{") || text.contains("{%") || text.contains("{#")
}

// The text was written by this module or accepted by the TOML parser, so it parses again. If it
// ever does not, a string loses nothing.
fn number(text: &str) -> DeValue<'_> {
    DeValue::parse(text).map_or_else(|_| DeValue::String(text.into()), Spanned::into_inner)
}
