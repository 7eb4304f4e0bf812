//! Explains why a template failed: names the undefined name and its place, instead of minijinja's
//! "undefined value".

use std::error::Error as _;
use std::ops::Range;
use std::sync::Arc;

use minijinja::{Environment, Error, ErrorKind, Value};

use super::TemplateScope;
use crate::document::{did_you_mean, nearest_hint};

/// A template that failed. Without an error, the value of an expression was undefined.
pub(super) struct TemplateFailure {
    pub(super) error: Option<Error>,
    /// Text of the template or expression.
    pub(super) text: String,
    /// Offset of the expression in the string that holds it, in bytes.
    pub(super) offset: usize,
}

/// Explanation of a failure.
pub(super) struct TemplateExplanation {
    pub(super) message: String,
    pub(super) hint: Option<String>,
    /// Byte range of the error in the failing template.
    pub(super) range: Option<Range<usize>>,
}

/// Returns the innermost template error. An include wraps the error of the included template.
pub(super) fn innermost(error: &Error) -> &Error {
    let mut error = error;
    while let Some(inner) = error
        .source()
        .and_then(|source| source.downcast_ref::<Error>())
    {
        error = inner;
    }
    error
}

/// Explains a failure.
pub(super) fn explain(
    scope: &Arc<TemplateScope>,
    failure: &TemplateFailure,
) -> TemplateExplanation {
    match &failure.error {
        None => undefined(scope, &failure.text, None, true),
        Some(error) => explain_error(scope, innermost(error), &failure.text),
    }
}

/// Explains an error in a template of this text.
pub(super) fn explain_error(
    scope: &Arc<TemplateScope>,
    error: &Error,
    text: &str,
) -> TemplateExplanation {
    let is_expression = error.name() == Some("<expression>") || error.name().is_none();
    match error.kind() {
        ErrorKind::UndefinedError => undefined(scope, text, error.range(), is_expression),
        kind => {
            let message = match (kind, error.detail()) {
                (ErrorKind::SyntaxError, Some(detail)) => format!("not a valid template: {detail}"),
                (_, Some(detail)) => detail.to_owned(),
                (kind, None) => kind.to_string(),
            };
            let hint = match kind {
                ErrorKind::UnknownFilter => unknown(
                    &message,
                    &[
                        "default", "to_json", "sha256", "join", "map", "lower", "upper", "replace",
                        "string", "int", "length",
                    ],
                ),
                ErrorKind::UnknownFunction => {
                    unknown(&message, &["hosts_in", "range", "dict", "namespace"])
                }
                ErrorKind::SyntaxError => {
                    Some("put literal text between {% raw %} and {% endraw %}".into())
                }
                _ => None,
            };
            TemplateExplanation {
                message,
                hint,
                range: error.range(),
            }
        }
    }
}

fn unknown(message: &str, known: &[&str]) -> Option<String> {
    let name = message.split_whitespace().nth(1)?;
    did_you_mean(name, known.iter().copied())
}

fn undefined(
    scope: &Arc<TemplateScope>,
    text: &str,
    range: Option<Range<usize>>,
    is_expression: bool,
) -> TemplateExplanation {
    let meant = range
        .clone()
        .and_then(|range| text.get(range))
        .unwrap_or(text);
    let mut names: Vec<String> = undeclared(text, is_expression);
    // Names in the failing expression are tried before names in the rest of the template.
    names.sort_by_key(|name| (!meant.contains(name.as_str()), name.clone()));
    let root = scope.root();
    let missing = names
        .iter()
        .find_map(|name| first_missing(scope, &root, name));
    let Some((owner, path)) = missing else {
        return TemplateExplanation {
            message: format!("`{}` is not defined", meant.trim()),
            hint: None,
            range,
        };
    };
    let hint = match &owner {
        None => nearest_hint(&path, scope.names()).or_else(|| {
            Some("define it under [vars], or write `{{ name | default(...) }}`".into())
        }),
        Some(owner) => {
            let fields: Vec<String> = owner
                .try_iter()
                .map(|keys| keys.map(|key| key.to_string()).collect())
                .unwrap_or_default();
            let name = path.rsplit('.').next().unwrap_or_default();
            did_you_mean(name, fields.iter().map(String::as_str))
        }
    };
    let position = text.find(&path).map(|at| at..at + path.len());
    let exact = range
        .as_ref()
        .filter(|range| {
            position
                .as_ref()
                .is_none_or(|position| !contains(range, position))
        })
        .cloned();
    TemplateExplanation {
        message: format!("`{path}` is not defined"),
        hint,
        range: exact.or(position),
    }
}

fn contains(outer: &Range<usize>, inner: &Range<usize>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

fn undeclared(text: &str, is_expression: bool) -> Vec<String> {
    let environment = Environment::new();
    let names = if is_expression {
        environment
            .compile_expression(text)
            .map(|expression| expression.undeclared_variables(true))
    } else {
        environment
            .template_from_str(text)
            .map(|template| template.undeclared_variables(true))
    };
    names.unwrap_or_default().into_iter().collect()
}

/// Returns the shortest undefined prefix of a dotted name, and the table that lacks it.
fn first_missing(
    scope: &TemplateScope,
    root: &Value,
    name: &str,
) -> Option<(Option<Value>, String)> {
    let mut value = root.clone();
    let mut path = String::new();
    for (position, part) in name.split('.').enumerate() {
        let next = value.get_attr(part).unwrap_or_default();
        path.push_str(if position == 0 { "" } else { "." });
        path.push_str(part);
        if next.is_undefined() {
            let is_global = position == 0
                && scope
                    .context
                    .folder
                    .environment
                    .globals()
                    .any(|(global, _)| global == part);
            return (!is_global).then(|| ((position > 0).then_some(value), path));
        }
        value = next;
    }
    None
}
