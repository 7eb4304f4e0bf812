//! Expands one declared resource on one host: evaluates its conditions and its loop, renders its
//! table, and binds the kind.

use std::ops::Range;
use std::sync::Arc;

use minijinja::value::Value as Template;
use toml::de::ValueDeserializer;

use super::ResourceDecl;
use super::rendered::RenderedTable;
use super::template::{
    FactsView, PlaybookFiles, TemplateContext, TemplateScope, render_condition, render_list,
    render_node,
};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceSpan, is_secret_key, touches_secret, without_quoted_text};
use crate::document::{TomlNode, TomlValue, did_you_mean, is_template, nearest};
use crate::inventory::Roster;
use crate::kinds::{BuildError, build};
use crate::model::{DefinedResource, HostContext, InvalidField, Resource};
use crate::names::HostName;

/// A resource bound to a host.
pub(super) struct BoundResource {
    pub(super) resource: Arc<dyn Resource>,
    /// Rendered table, to distinguish a repetition from a contradiction.
    pub(super) content: Arc<serde_json::Value>,
}

/// Host and context that a resource is expanded for.
#[derive(Clone)]
pub(super) struct HostScope {
    pub(super) context: Arc<TemplateContext>,
    pub(super) roster: Arc<Roster>,
    pub(super) login_user: Arc<str>,
    pub(super) host: HostName,
}

/// Makes the resources of a declaration on a host: none if a condition is false, several with a
/// `loop`.
///
/// # Errors
/// All errors of the resources on this host.
pub(super) fn expand(
    declaration: &ResourceDecl,
    site: &HostScope,
    facts: &FactsView,
) -> Result<Vec<BoundResource>, Diagnostics> {
    let items = match &declaration.repeat {
        None => vec![None],
        Some(node) => {
            let scope = TemplateScope::new(&site.context, &site.host, facts.clone());
            let items = render_list(&scope, &declaration.source, node)
                .map_err(|errors| on_host(errors, site))?;
            items.into_iter().map(Some).collect()
        }
    };
    let mut diagnostics = Diagnostics::default();
    let mut bound = Vec::new();
    for item in items {
        match one(declaration, site, facts, item) {
            Ok(made) => bound.extend(made),
            Err(errors) => diagnostics.extend(on_host(errors, site)),
        }
    }
    diagnostics.into_result().map(|_| bound)
}

fn on_host(errors: Diagnostics, site: &HostScope) -> Diagnostics {
    errors
        .into_iter()
        .map(|error| error.on_host(&site.host))
        .collect()
}

fn one(
    declaration: &ResourceDecl,
    site: &HostScope,
    facts: &FactsView,
    item: Option<Template>,
) -> Result<Option<BoundResource>, Diagnostics> {
    let scope = TemplateScope::with_item(&site.context, &site.host, facts.clone(), item);
    for condition in &declaration.conditions {
        if !render_condition(&scope, &declaration.source, condition)? {
            return Ok(None);
        }
    }
    let rendered = match declaration.fixed.get(declaration.kind, &declaration.table) {
        Some(fixed) => fixed,
        None => Arc::new(RenderedTable::new(
            declaration.kind,
            render_node(&scope, &declaration.source, &declaration.table)?,
        )),
    };
    let table = &rendered.table;
    let files = PlaybookFiles::new(&scope);
    let context = HostContext {
        host: &site.host,
        login_user: &site.login_user,
        roster: &site.roster,
        files: &files,
    };
    match build(
        declaration.kind,
        ValueDeserializer::from(table.to_toml()),
        &context,
    ) {
        Some(Ok(resource)) => {
            let definition = rendered
                .definition
                .with(&files.digest(), &resource.inventory_inputs());
            Ok(Some(BoundResource {
                resource: DefinedResource::wrap(resource, definition),
                content: Arc::clone(&rendered.content),
            }))
        }
        Some(Err(BuildError::Table(error))) => {
            Err(table_errors(declaration, table.clone(), error, &context))
        }
        Some(Err(BuildError::Invalid(invalid))) => {
            Err(invalid_field(declaration, &scope, &files, table, invalid).into())
        }
        None => Err(
            Diagnostic::error(format!("unknown kind `{}`", declaration.kind))
                .at(declaration.place.clone())
                .into(),
        ),
    }
}

/// Collects all errors of a table. Serde stops at the first error, so the entry with the error is
/// removed and the rest is tried again: the author sees all typos in one run. A field that is
/// missing only because it was removed is not an error.
fn table_errors(
    declaration: &ResourceDecl,
    mut table: TomlNode,
    first: toml::de::Error,
    context: &HostContext<'_>,
) -> Diagnostics {
    let mut errors = Diagnostics::from(table_error(declaration, &first));
    let mut error = first;
    let mut removed: Vec<String> = Vec::new();
    while let (Some(span), TomlValue::Table(entries)) = (error.span(), &mut table.value) {
        let covers = |range: &Range<usize>| range.start <= span.start && span.end <= range.end;
        let Some(at) = entries
            .iter()
            .position(|entry| covers(&entry.key_span) || covers(&entry.node.span))
        else {
            break;
        };
        // A mistyped key counts as its nearest name, so that name is not reported as missing.
        removed.extend(meant_name(&error).map(str::to_owned));
        removed.push(entries.remove(at).key);
        match build(
            declaration.kind,
            ValueDeserializer::from(table.to_toml()),
            context,
        ) {
            Some(Err(BuildError::Table(next))) => error = next,
            _ => break,
        }
        if removed
            .iter()
            .any(|key| error.message() == format!("missing field `{key}`"))
        {
            break;
        }
        errors.push(table_error(declaration, &error));
    }
    errors
}

fn invalid_field(
    declaration: &ResourceDecl,
    scope: &TemplateScope,
    files: &PlaybookFiles,
    table: &TomlNode,
    invalid: InvalidField,
) -> Diagnostic {
    let asked = || find_text(table, &files.last_asked()?);
    let span = find_field(table, &invalid.field)
        .or_else(asked)
        .or_else(|| find_named_key(table, &invalid.message));
    let place = span.map_or_else(
        || declaration.place.clone(),
        |span| SourceSpan::new(&declaration.source, span),
    );
    match scope.take_reason() {
        Some(reason) => reason.related(place, "the template is used here"),
        None => {
            let named = if invalid.field.is_empty() {
                declaration.kind.to_owned()
            } else {
                format!("{}.{}", declaration.kind, invalid.field)
            };
            let may_quote = may_quote_a_secret(&place);
            let message = if may_quote {
                without_quoted_text(&invalid.message)
            } else {
                invalid.message
            };
            Diagnostic::error(format!("{named}: {message}"))
                .at(place)
                .maybe_hint(invalid.hint.filter(|_| !may_quote))
        }
    }
}

/// Finds a field by its name: a literal key (labels contain dots), otherwise a path of keys and
/// positions.
fn find_field(table: &TomlNode, field: &str) -> Option<Range<usize>> {
    if field.is_empty() {
        return None;
    }
    if let Some(entry) = table.entry(field) {
        return Some(entry.node.span.clone());
    }
    let path: Vec<&str> = field
        .split(['.', '[', ']'])
        .filter(|part| !part.is_empty())
        .collect();
    let mut node = table;
    for part in path {
        node = match &node.value {
            TomlValue::Array(items) => items.get(part.parse::<usize>().ok()?)?,
            _ => &node.entry(part)?.node,
        };
    }
    Some(node.span.clone())
}

/// Finds the key that a message names, for kinds whose keys the user chooses, such as labels.
fn find_named_key(table: &TomlNode, message: &str) -> Option<Range<usize>> {
    let named = table
        .as_table()?
        .iter()
        .filter(|entry| !entry.key.is_empty() && message.contains(&format!("{:?}", entry.key)));
    named
        .max_by_key(|entry| entry.key.len())
        .map(|entry| entry.key_span.clone())
}

fn find_text(node: &TomlNode, text: &str) -> Option<Range<usize>> {
    match &node.value {
        TomlValue::String(found) if found == text => Some(node.span.clone()),
        TomlValue::Array(items) => items.iter().find_map(|item| find_text(item, text)),
        TomlValue::Table(entries) => entries
            .iter()
            .find_map(|entry| find_text(&entry.node, text)),
        _ => None,
    }
}

fn table_error(declaration: &ResourceDecl, error: &toml::de::Error) -> Diagnostic {
    let span = error.span().filter(|span| *span != (0..0));
    let place = span.map_or_else(
        || declaration.place.clone(),
        |span| SourceSpan::new(&declaration.source, span),
    );
    let message = error.message();
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if let (true, Some((name, known))) =
        (message.starts_with("unknown field"), quoted.split_first())
    {
        let hint = did_you_mean(name, known.iter().copied());
        return Diagnostic::error(format!("unknown key `{name}` in `{}`", declaration.kind))
            .at(place)
            .maybe_hint(hint);
    }
    if let (true, Some(name)) = (message.starts_with("missing field"), quoted.first()) {
        return Diagnostic::error(format!("`{}` needs `{name}`", declaration.kind))
            .at(declaration.place.clone());
    }
    let hint = match quoted.split_first() {
        Some((name, known)) if message.starts_with("unknown variant") => {
            did_you_mean(name, known.iter().copied())
        }
        _ if is_scalar(message) && message.contains("expected a string") => Some(
            if is_template(place.text()) {
                "the template does not give a string; add the filter `| string`"
            } else {
                "put it in quotes"
            }
            .to_owned(),
        ),
        _ => None,
    };
    let message = match message
        .lines()
        .collect::<Vec<_>>()
        .join(" ")
        .split_once("expected struct ")
    {
        Some((start, _)) => format!("{start}expected a table"),
        None => message.lines().collect::<Vec<_>>().join(" "),
    };
    let message = if may_quote_a_secret(&place) {
        without_quoted_text(&message)
    } else {
        message
    };
    Diagnostic::error(format!("{}: {message}", declaration.kind))
        .at(place)
        .maybe_hint(hint)
}

/// Returns true if the value at a place is secret: by its key, or because its template names a
/// secret variable.
fn may_quote_a_secret(place: &SourceSpan) -> bool {
    let is_rendered_from_one = is_template(place.text()) && is_secret_key(place.text());
    is_rendered_from_one || touches_secret(place.source.text(), &place.span)
}

fn meant_name(error: &toml::de::Error) -> Option<&str> {
    let mut quoted = error.message().split('`').skip(1).step_by(2);
    let name = quoted
        .next()
        .filter(|_| error.message().starts_with("unknown field"))?;
    nearest(name, quoted)
}

fn is_scalar(message: &str) -> bool {
    ["integer", "floating point", "boolean"]
        .iter()
        .any(|kind| message.starts_with(&format!("invalid type: {kind}")))
}
