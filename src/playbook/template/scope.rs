//! The names that a template on one host can use: `host`, `groups`, `facts`, `vars`, `item`,
//! `hosts_in()`, and every variable at top level. A variable may be a template itself; it is
//! rendered when it is used.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::value::{Enumerator, Object, Value};
use minijinja::{Error, ErrorKind};

use super::convert::to_value;
use super::render::render_node;
use super::{FactsView, TemplateContext};
use crate::diagnostic::Diagnostic;
use crate::inventory::RESERVED;
use crate::names::HostName;

/// The names that a template can use on one host.
#[derive(Debug)]
pub(in crate::playbook) struct TemplateScope {
    pub(super) context: Arc<TemplateContext>,
    pub(in crate::playbook) host: HostName,
    pub(super) facts: FactsView,
    item: Option<Value>,
    /// Variables that are being rendered; each is used by the previous one.
    rendering: Mutex<Vec<String>>,
    /// Reason why a variable could not be rendered, with its place. Errors of the template engine
    /// carry only a text.
    stash: Mutex<Option<Diagnostic>>,
}

impl TemplateScope {
    /// Makes a scope without `item`.
    pub(in crate::playbook) fn new(
        context: &Arc<TemplateContext>,
        host: &HostName,
        facts: FactsView,
    ) -> Arc<Self> {
        Self::with_item(context, host, facts, None)
    }

    /// Makes a scope with the `item` of a `loop`.
    pub(in crate::playbook) fn with_item(
        context: &Arc<TemplateContext>,
        host: &HostName,
        facts: FactsView,
        item: Option<Value>,
    ) -> Arc<Self> {
        let (context, host) = (Arc::clone(context), host.clone());
        Arc::new(Self {
            context,
            host,
            facts,
            item,
            rendering: Mutex::default(),
            stash: Mutex::default(),
        })
    }

    /// Returns the scope as the root context of a template.
    pub(super) fn root(self: &Arc<Self>) -> Value {
        Value::from_dyn_object(Arc::clone(self))
    }

    /// Renders a variable. If it fails, the returned value makes every template fail that uses it.
    pub(super) fn variable(self: &Arc<Self>, name: &str) -> Option<Value> {
        let variable = self.context.vars.get(&self.host)?.get(name)?;
        if let Some(value) = &variable.plain {
            return Some(value.clone());
        }
        let place = &variable.var.place;
        let rendered = match self.begin(name) {
            Ok(()) => {
                // An older reason belongs to the user of this variable, not to the variables that
                // it uses itself.
                let older = self.take_reason();
                let rendered = render_node(self, &place.source, &variable.var.node);
                lock(&self.rendering).pop();
                older.into_iter().for_each(|reason| self.keep(reason));
                rendered
            }
            Err(chain) => {
                let message = format!("variables refer to each other in a circle: {chain}");
                Err(Diagnostic::error(message)
                    .at(place.clone())
                    .hint("give one of them a plain value")
                    .into())
            }
        };
        Some(match rendered {
            Ok(node) => to_value(&node),
            Err(failures) => {
                failures
                    .into_iter()
                    .take(1)
                    .for_each(|failure| self.keep(failure));
                Value::from(Error::new(
                    ErrorKind::InvalidOperation,
                    format!("the variable `{name}` cannot be rendered"),
                ))
            }
        })
    }

    fn begin(&self, name: &str) -> Result<(), String> {
        let mut rendering = lock(&self.rendering);
        if let Some(first) = rendering.iter().position(|other| other == name) {
            return Err(format!("{} -> {name}", rendering[first..].join(" -> ")));
        }
        rendering.push(name.to_owned());
        Ok(())
    }

    /// Records the first reason; later reasons only follow from it.
    pub(super) fn keep(&self, diagnostic: Diagnostic) {
        lock(&self.stash).get_or_insert(diagnostic);
    }

    /// Takes the recorded reason.
    pub(in crate::playbook) fn take_reason(&self) -> Option<Diagnostic> {
        lock(&self.stash).take()
    }

    /// Returns all variables as a table.
    pub(super) fn vars(self: &Arc<Self>) -> Value {
        Value::from_object(VarsObject(Arc::clone(self)))
    }

    /// Returns all names at top level, for suggestions.
    pub(super) fn names(&self) -> Vec<&str> {
        let vars = self
            .context
            .vars
            .get(&self.host)
            .into_iter()
            .flat_map(|vars| vars.keys().map(String::as_str));
        let builtin = RESERVED
            .iter()
            .copied()
            .filter(|name| *name != "item" || self.item.is_some());
        vars.chain(builtin).chain(["user"]).collect()
    }
}

// Poisoning is ignored: each lock is held only for one complete update.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Object for TemplateScope {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match key.as_str()? {
            "host" => Some(self.context.host(&self.host)),
            "groups" => Some(self.context.groups()),
            "facts" => Some(self.facts.value()),
            "vars" => Some(self.vars()),
            "item" => self.item.clone(),
            "hosts_in" => Some(self.context.hosts_in()),
            name => self.variable(name).or_else(|| match name {
                // `user` is a connection setting and often also a variable: the variable wins.
                "user" => self
                    .context
                    .inventory
                    .host(&self.host)
                    .map(|host| host.target.user.as_str().into()),
                _ => None,
            }),
        }
    }
}

#[derive(Debug)]
struct VarsObject(Arc<TemplateScope>);

impl Object for VarsObject {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.variable(key.as_str()?)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        let names = self
            .0
            .context
            .vars
            .get(&self.0.host)
            .into_iter()
            .flat_map(|vars| vars.keys());
        Enumerator::Values(names.map(|name| Value::from(name.as_str())).collect())
    }
}
