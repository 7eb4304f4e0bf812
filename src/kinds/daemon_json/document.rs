//! A JSON document that keeps the order of its keys. It refuses content that the Engine would read
//! differently than a person: duplicate keys (the Engine takes the last) and a second document
//! after the first (some Engines ignore it).

use std::fmt;

use indexmap::IndexMap;
use serde::de::{Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::base::mask_url_passwords;

/// Keys of a JSON object in their order; equality ignores the order.
pub(super) type JsonObject = IndexMap<String, JsonValue>;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum JsonValue {
    /// Null, a boolean, a number or a string.
    Scalar(serde_json::Value),
    /// An array.
    List(Vec<Self>),
    /// An object.
    Table(JsonObject),
}

impl JsonValue {
    /// Returns a string value.
    pub(super) fn text(value: impl Into<String>) -> Self {
        Self::Scalar(serde_json::Value::String(value.into()))
    }

    /// Returns the string, or `None` for any other value.
    pub(super) fn as_text(&self) -> Option<&str> {
        match self {
            Self::Scalar(serde_json::Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns the value of a key without passwords, for plans, for the record and for comparisons
    /// with it. The address of a proxy may have a password and no scheme.
    pub(super) fn masked(&self, key: &str) -> Self {
        match self {
            Self::Scalar(serde_json::Value::String(text)) if key.ends_with("proxy") => {
                // The word before the address tells that it is one.
                let shown = format!("proxy={text}");
                Self::text(mask_url_passwords(&shown).trim_start_matches("proxy="))
            }
            Self::Scalar(serde_json::Value::String(text)) => Self::text(mask_url_passwords(text)),
            Self::Scalar(_) => self.clone(),
            Self::List(values) => Self::List(values.iter().map(|one| one.masked(key)).collect()),
            Self::Table(table) => Self::Table(masked(table)),
        }
    }

    /// Returns the elements of a list; empty for any other value.
    pub(super) fn elements(&self) -> &[Self] {
        match self {
            Self::List(elements) => elements,
            _ => &[],
        }
    }
}

/// Returns the document without passwords.
pub(super) fn masked(table: &JsonObject) -> JsonObject {
    let entries = table.iter();
    entries
        .map(|(key, value)| (key.clone(), value.masked(key)))
        .collect()
}

/// Writes the value on one line, as plans show it.
impl fmt::Display for JsonValue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Reads a file: an object, or an empty file, which the Engine takes for an empty object.
///
/// # Errors
/// Returns a sentence with line and column.
pub(super) fn read(content: &[u8]) -> Result<JsonObject, String> {
    let decoded = of_utf16(content)?;
    let content = decoded.as_deref().unwrap_or(content);
    let content = content.strip_prefix(b"\xef\xbb\xbf").unwrap_or(content);
    if content.iter().all(u8::is_ascii_whitespace) {
        return Ok(JsonObject::new());
    }
    let describe = |error: &serde_json::Error| {
        let text = error.to_string();
        let reason = text.split(" at line ").next().unwrap_or(&text).to_owned();
        let reason = match reason.as_str() {
            "trailing characters" => {
                "the document ends before this position, but more follows, maybe a second document"
            }
            other => other,
        };
        format!("line {}, column {}: {reason}", error.line(), error.column())
    };
    match serde_json::from_slice(content) {
        Ok(JsonValue::Table(table)) => Ok(table),
        Ok(_) => Err("line 1, column 1: the document is not an object".into()),
        Err(error) => Err(describe(&error)),
    }
}

/// Returns the UTF-8 form of a file in UTF-16 with its byte order mark, which Engines from 23.0 on
/// read; `None` for any other file.
fn of_utf16(content: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let (rest, is_little) = match content {
        [0xff, 0xfe, rest @ ..] => (rest, true),
        [0xfe, 0xff, rest @ ..] => (rest, false),
        _ => return Ok(None),
    };
    let (pairs, odd) = rest.as_chunks::<2>();
    let unit = |pair: &[u8; 2]| match is_little {
        true => u16::from_le_bytes(*pair),
        false => u16::from_be_bytes(*pair),
    };
    let units: Vec<u16> = pairs.iter().map(unit).collect();
    match String::from_utf16(&units) {
        Ok(text) if odd.is_empty() => Ok(Some(text.into_bytes())),
        _ => Err("line 1, column 1: the mark of UTF-16 precedes text that is not UTF-16".into()),
    }
}

/// Writes a file in the style of Docker's documentation: four spaces of indentation, and a newline
/// after the last brace.
pub(super) fn write(table: &JsonObject) -> Vec<u8> {
    let mut bytes = Vec::new();
    let format = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    // Writing string keys into memory cannot fail.
    let _ = table.serialize(&mut serde_json::Serializer::with_formatter(
        &mut bytes, format,
    ));
    bytes.push(b'\n');
    bytes
}

/// Converts a value of the playbook.
///
/// # Errors
/// Returns a sentence when JSON has no such value.
pub(super) fn from_toml(value: toml::Value) -> Result<JsonValue, String> {
    Ok(match value {
        toml::Value::String(text) => JsonValue::text(text),
        toml::Value::Boolean(value) => JsonValue::Scalar(value.into()),
        toml::Value::Integer(value) => JsonValue::Scalar(value.into()),
        toml::Value::Float(value) if value.is_finite() => JsonValue::Scalar(value.into()),
        toml::Value::Array(values) => JsonValue::List(
            values
                .into_iter()
                .map(from_toml)
                .collect::<Result<_, _>>()?,
        ),
        toml::Value::Table(table) => JsonValue::Table(
            table
                .into_iter()
                .map(|(key, value)| Ok((key, from_toml(value)?)))
                .collect::<Result<_, String>>()?,
        ),
        other => return Err(format!("this {} has no form in JSON", other.type_str())),
    })
}

impl Serialize for JsonValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Scalar(value) => value.serialize(serializer),
            Self::List(values) => values.serialize(serializer),
            Self::Table(table) => table.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for JsonValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = JsonValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(serde_json::Value::Null))
    }

    fn visit_bool<E>(self, value: bool) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<JsonValue, E> {
        Ok(JsonValue::Scalar(value.into()))
    }

    fn visit_str<E>(self, value: &str) -> Result<JsonValue, E> {
        Ok(JsonValue::text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<JsonValue, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = access.next_element()? {
            values.push(value);
        }
        Ok(JsonValue::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<JsonValue, A::Error> {
        let mut table = JsonObject::new();
        while let Some(key) = access.next_key::<String>()? {
            if table.contains_key(&key) {
                return Err(A::Error::custom(format!("the key `{key}` appears twice")));
            }
            let value = access.next_value()?;
            table.insert(key, value);
        }
        Ok(JsonValue::Table(table))
    }
}
