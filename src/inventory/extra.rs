//! Variables of the command line: `-e key=value` and `-e @file.toml`. They override all others.

use std::path::Path;

use super::VariableMap;
use super::vars::is_identifier;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::document::{FieldReader, TomlDocument, TomlEntry, TomlNode, TomlValue, parse_value};

/// Reads `-e` arguments in order; a later argument overrides an earlier one. A value that is valid
/// TOML (`5`, `true`, `["a"]`) is read as TOML, any other value as a string.
///
/// # Errors
/// Every argument that is neither `key=value` nor a readable `@file`.
pub fn extra_vars(arguments: &[String]) -> Result<VariableMap, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    let mut vars = VariableMap::default();
    for argument in arguments {
        match one(argument, &mut diagnostics) {
            Ok(more) => vars.merge(&more),
            Err(errors) => diagnostics.extend(errors),
        }
    }
    if diagnostics.has_errors() {
        Err(diagnostics)
    } else {
        Ok(vars)
    }
}

fn one(argument: &str, diagnostics: &mut Diagnostics) -> Result<VariableMap, Diagnostics> {
    if let Some(path) = argument.strip_prefix('@') {
        let document = TomlDocument::read(Path::new(path))?;
        let mut reader = FieldReader {
            source: &document.source,
            diagnostics,
        };
        return Ok(VariableMap::read(
            &mut reader,
            document.root.as_table().unwrap_or_default(),
        ));
    }
    let source = SourceFile::new("-e", argument);
    let place = SourceSpan::new(&source, 0..argument.len());
    let Some((key, text)) = argument
        .split_once('=')
        .filter(|(key, _)| is_identifier(key))
    else {
        // The value may be secret; the key is enough to identify the argument.
        let shown = argument.split('=').next().unwrap_or_default();
        let error = Diagnostic::error(format!("`-e {shown}` is not key=value")).at(place);
        return Err(error
            .hint("write `-e registry=docker01:5000`, or `-e @vars.toml` for a file")
            .into());
    };
    let span = key.len() + 1..argument.len();
    let mut node = parse_value(text)
        .unwrap_or_else(|| TomlNode::new(TomlValue::String(text.to_owned()), span.clone()));
    node.move_to(&span);
    let entry = TomlEntry {
        key: key.to_owned(),
        key_span: 0..key.len(),
        node,
    };
    Ok(VariableMap::read(
        &mut FieldReader {
            source: &source,
            diagnostics,
        },
        &[entry],
    ))
}
