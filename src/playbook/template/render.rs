//! Renders trees: every string and key of a table on one host. All places are kept.

use std::ops::Range;
use std::sync::Arc;

use minijinja::value::Value as Template;

use super::TemplateScope;
use super::convert::to_node;
use super::explain::{TemplateFailure, explain};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::document::{TomlEntry, TomlNode, TomlValue, is_template};

/// Renders a tree. A key whose value is `none` is left out.
///
/// # Errors
/// Every template that fails, each at its own place.
pub(in crate::playbook) fn render_node(
    scope: &Arc<TemplateScope>,
    source: &Arc<SourceFile>,
    node: &TomlNode,
) -> Result<TomlNode, Diagnostics> {
    let mut renderer = TemplateRenderer {
        scope,
        source,
        failures: Diagnostics::default(),
    };
    match renderer.node(node) {
        _ if renderer.failures.has_errors() => Err(renderer.failures),
        Some(node) => Ok(node),
        None => Err(Diagnostic::error("the template gave `none`")
            .at(SourceSpan::new(source, node.span.clone()))
            .into()),
    }
}

/// Walks a tree and continues after failures.
struct TemplateRenderer<'a> {
    scope: &'a Arc<TemplateScope>,
    source: &'a Arc<SourceFile>,
    failures: Diagnostics,
}

impl TemplateRenderer<'_> {
    fn node(&mut self, node: &TomlNode) -> Option<TomlNode> {
        let value = match &node.value {
            TomlValue::String(text) if is_template(text) => return self.text(text, &node.span),
            TomlValue::Array(items) => {
                TomlValue::Array(items.iter().filter_map(|item| self.node(item)).collect())
            }
            TomlValue::Table(entries) => TomlValue::Table(
                entries
                    .iter()
                    .filter_map(|entry| self.entry(entry))
                    .collect(),
            ),
            other => other.clone(),
        };
        Some(TomlNode::new(value, node.span.clone()))
    }

    fn text(&mut self, text: &str, span: &Range<usize>) -> Option<TomlNode> {
        let place = || SourceSpan::new(self.source, span.clone());
        let made = render_text(self.scope, self.source, text, span).and_then(|value| {
            to_node(&value, span).map_err(|message| Diagnostic::error(message).at(place()).into())
        });
        made.unwrap_or_else(|failures| {
            self.failures.extend(failures);
            None
        })
    }

    fn entry(&mut self, entry: &TomlEntry) -> Option<TomlEntry> {
        let key = if is_template(&entry.key) {
            match render_text(self.scope, self.source, &entry.key, &entry.key_span) {
                Ok(key) => key.to_string(),
                Err(failures) => {
                    self.failures.extend(failures);
                    return None;
                }
            }
        } else {
            entry.key.clone()
        };
        let node = self.node(&entry.node)?;
        Some(TomlEntry {
            key,
            key_span: entry.key_span.clone(),
            node,
        })
    }
}

/// Renders `loop`: a list, or an expression (with or without braces) that gives a list.
///
/// # Errors
/// If an expression fails or does not give a list.
pub(in crate::playbook) fn render_list(
    scope: &Arc<TemplateScope>,
    source: &Arc<SourceFile>,
    node: &TomlNode,
) -> Result<Vec<Template>, Diagnostics> {
    let value = match &node.value {
        TomlValue::String(text) => evaluate(scope, source, text, &node.span)?,
        _ => super::convert::to_value(&render_node(scope, source, node)?),
    };
    let is_list = matches!(
        value.kind(),
        minijinja::value::ValueKind::Seq | minijinja::value::ValueKind::Iterable
    );
    let place = || SourceSpan::new(source, node.span.clone());
    if !is_list {
        let message = format!("`loop` needs a list, but this gives a {}", value.kind());
        return Err(Diagnostic::error(message)
            .at(place())
            .hint("e.g. `loop = \"{{ docker_users }}\"`")
            .into());
    }
    value
        .try_iter()
        .map(Iterator::collect)
        .map_err(|error| Diagnostic::error(error.to_string()).at(place()).into())
}

/// Evaluates a `when`.
///
/// # Errors
/// If the expression fails.
pub(in crate::playbook) fn render_condition(
    scope: &Arc<TemplateScope>,
    source: &Arc<SourceFile>,
    node: &TomlNode,
) -> Result<bool, Diagnostics> {
    match &node.value {
        TomlValue::Boolean(boolean) => Ok(*boolean),
        TomlValue::String(text) => Ok(evaluate(scope, source, text, &node.span)?.is_true()),
        _ => Ok(true),
    }
}

/// Evaluates an expression, with or without braces.
fn evaluate(
    scope: &Arc<TemplateScope>,
    source: &Arc<SourceFile>,
    text: &str,
    span: &Range<usize>,
) -> Result<Template, Diagnostics> {
    if is_template(text) {
        return render_text(scope, source, text, span);
    }
    expression(scope, text, 0).map_err(|failure| report(scope, source, text, span, &failure).into())
}

fn render_text(
    scope: &Arc<TemplateScope>,
    source: &Arc<SourceFile>,
    text: &str,
    span: &Range<usize>,
) -> Result<Template, Diagnostics> {
    let environment = &scope.context.folder.environment;
    let rendered = match sole_expression(text)
        .filter(|(inner, _)| environment.compile_expression_owned(*inner).is_ok())
    {
        Some((inner, offset)) => expression(scope, inner, offset),
        None => environment
            .render_str(text, scope.root())
            .map(Template::from)
            .map_err(|error| TemplateFailure {
                error: Some(error),
                text: text.to_owned(),
                offset: 0,
            }),
    };
    rendered.map_err(|failure| report(scope, source, text, span, &failure).into())
}

/// Returns `a.b` of `{{ a.b }}`, and its offset. The caller must check that the text is a single
/// expression.
fn sole_expression(text: &str) -> Option<(&str, usize)> {
    let trimmed = text.trim();
    let inner = trimmed.strip_prefix("{{")?.strip_suffix("}}")?;
    let inner = inner.strip_prefix('-').unwrap_or(inner);
    let inner = inner.strip_suffix('-').unwrap_or(inner).trim();
    let offset = inner.as_ptr() as usize - text.as_ptr() as usize;
    Some((inner, offset))
}

fn expression(
    scope: &Arc<TemplateScope>,
    text: &str,
    offset: usize,
) -> Result<Template, TemplateFailure> {
    let failure = |error| TemplateFailure {
        error,
        text: text.to_owned(),
        offset,
    };
    let compiled = scope
        .context
        .folder
        .environment
        .compile_expression_owned(text.to_owned());
    let value = compiled
        .and_then(|compiled| compiled.eval(scope.root()))
        .map_err(|error| failure(Some(error)))?;
    // An expression may return an undefined value, which a template would refuse to print.
    if value.is_undefined() {
        Err(failure(None))
    } else {
        Ok(value)
    }
}

fn report(
    scope: &Arc<TemplateScope>,
    source: &Arc<SourceFile>,
    text: &str,
    span: &Range<usize>,
    failure: &TemplateFailure,
) -> Diagnostic {
    let place_of = |range: Option<Range<usize>>| match range {
        Some(range) => within(
            source,
            span,
            text,
            range.start + failure.offset..range.end + failure.offset,
        ),
        None => SourceSpan::new(source, span.clone()),
    };
    // A variable has already recorded the reason. A search for undefined names would only fail in
    // the same variable again.
    if let Some(reason) = scope.take_reason() {
        let range = failure.error.as_ref().and_then(minijinja::Error::range);
        return reason.related(place_of(range), "used here");
    }
    let explained = explain(scope, failure);
    Diagnostic::error(explained.message)
        .at(place_of(explained.range))
        .maybe_hint(explained.hint)
}

/// Maps a range of a string's value to a range of the file. Returns the range of the whole string
/// if it contains escapes.
fn within(
    source: &Arc<SourceFile>,
    span: &Range<usize>,
    text: &str,
    range: Range<usize>,
) -> SourceSpan {
    let raw = source.text().get(span.clone()).unwrap_or_default();
    match raw.find(text) {
        Some(at) => SourceSpan::new(
            source,
            span.start + at + range.start..span.start + at + range.end,
        ),
        None => SourceSpan::new(source, span.clone()),
    }
}
