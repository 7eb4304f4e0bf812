//! Converts between trees and template values.

use std::ops::Range;

use minijinja::value::{Value as Template, ValueKind};

use crate::document::{TomlEntry, TomlNode, TomlValue};

/// Converts a tree to a template value.
pub(super) fn to_value(node: &TomlNode) -> Template {
    match &node.value {
        TomlValue::String(text) => text.as_str().into(),
        TomlValue::Integer(text) => text
            .parse::<i64>()
            .map_or_else(|_| text.as_str().into(), Into::into),
        TomlValue::Float(text) => text
            .replace('_', "")
            .parse::<f64>()
            .map_or_else(|_| text.as_str().into(), Into::into),
        TomlValue::Boolean(boolean) => (*boolean).into(),
        TomlValue::Datetime(datetime) => datetime.to_string().into(),
        TomlValue::Array(items) => items.iter().map(to_value).collect::<Vec<_>>().into(),
        TomlValue::Table(entries) => Template::from_pairs(
            entries
                .iter()
                .map(|entry| (entry.key.as_str(), to_value(&entry.node))),
        ),
    }
}

/// Converts a template value to a tree with a single place. Returns `None` for `none`, whose key is
/// left out.
///
/// # Errors
/// The type of the value, if TOML has no such type.
pub(super) fn to_node(value: &Template, span: &Range<usize>) -> Result<Option<TomlNode>, String> {
    let made = match value.kind() {
        ValueKind::None => return Ok(None),
        ValueKind::Bool => TomlValue::Boolean(value.is_true()),
        ValueKind::Number if value.is_integer() => TomlValue::Integer(value.to_string()),
        ValueKind::Number => TomlValue::Float(float(value)),
        ValueKind::String => TomlValue::String(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Seq | ValueKind::Iterable => TomlValue::Array(items(value, span)?),
        ValueKind::Map => TomlValue::Table(entries(value, span)?),
        kind => {
            return Err(format!(
                "a template gave {kind}, which TOML cannot represent"
            ));
        }
    };
    Ok(Some(TomlNode::new(made, span.clone())))
}

fn items(value: &Template, span: &Range<usize>) -> Result<Vec<TomlNode>, String> {
    let items = value.try_iter().map_err(|error| error.to_string())?;
    items
        .filter_map(|item| to_node(&item, span).transpose())
        .collect()
}

fn entries(value: &Template, span: &Range<usize>) -> Result<Vec<TomlEntry>, String> {
    let mut entries = Vec::new();
    for key in value.try_iter().map_err(|error| error.to_string())? {
        let item = value.get_item(&key).map_err(|error| error.to_string())?;
        if let Some(node) = to_node(&item, span)? {
            entries.push(TomlEntry {
                key: key.to_string(),
                key_span: span.clone(),
                node,
            });
        }
    }
    Ok(entries)
}

fn float(value: &Template) -> String {
    let number = f64::try_from(value.clone()).unwrap_or(f64::NAN);
    if number.is_nan() {
        "nan".into()
    } else {
        format!("{number:?}")
    }
}
