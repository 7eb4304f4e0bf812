//! Between trees and template values.

use std::ops::Range;

use minijinja::value::{Value as Template, ValueKind};

use crate::document::{Entry, Node, Value};

/// A tree as templates see it.
pub(super) fn to_value(node: &Node) -> Template {
    match &node.value {
        Value::String(text) => text.as_str().into(),
        Value::Integer(text) => text
            .parse::<i64>()
            .map_or_else(|_| text.as_str().into(), Into::into),
        Value::Float(text) => text
            .replace('_', "")
            .parse::<f64>()
            .map_or_else(|_| text.as_str().into(), Into::into),
        Value::Boolean(boolean) => (*boolean).into(),
        Value::Datetime(datetime) => datetime.to_string().into(),
        Value::Array(items) => items.iter().map(to_value).collect::<Vec<_>>().into(),
        Value::Table(entries) => Template::from_pairs(
            entries
                .iter()
                .map(|entry| (entry.key.as_str(), to_value(&entry.node))),
        ),
    }
}

/// A template's value as a tree, all of it at one place. `None` for `none`: the key is left out.
///
/// # Errors
/// What the value is, when TOML has no such thing.
pub(super) fn to_node(value: &Template, span: &Range<usize>) -> Result<Option<Node>, String> {
    let made = match value.kind() {
        ValueKind::None => return Ok(None),
        ValueKind::Bool => Value::Boolean(value.is_true()),
        ValueKind::Number if value.is_integer() => Value::Integer(value.to_string()),
        ValueKind::Number => Value::Float(float(value)),
        ValueKind::String => Value::String(value.as_str().unwrap_or_default().to_owned()),
        ValueKind::Seq | ValueKind::Iterable => Value::Array(items(value, span)?),
        ValueKind::Map => Value::Table(entries(value, span)?),
        kind => return Err(format!("a template gave {kind}, which is no value")),
    };
    Ok(Some(Node::new(made, span.clone())))
}

fn items(value: &Template, span: &Range<usize>) -> Result<Vec<Node>, String> {
    let items = value.try_iter().map_err(|error| error.to_string())?;
    items
        .filter_map(|item| to_node(&item, span).transpose())
        .collect()
}

fn entries(value: &Template, span: &Range<usize>) -> Result<Vec<Entry>, String> {
    let mut entries = Vec::new();
    for key in value.try_iter().map_err(|error| error.to_string())? {
        let item = value.get_item(&key).map_err(|error| error.to_string())?;
        if let Some(node) = to_node(&item, span)? {
            entries.push(Entry {
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
