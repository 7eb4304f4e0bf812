//! The context that the templates of one playbook share: the inventory, with the playbook's
//! variables as defaults.

use std::sync::Arc;

use indexmap::IndexMap;
use minijinja::value::{Enumerator, Kwargs, Object, Value};
use minijinja::{Error, ErrorKind};

use super::convert::to_value;
use super::{FactsView, PlaybookFolder, TemplateScope};
use crate::inventory::{Inventory, VariableDecl, VariableMap};
use crate::inventory::{Roster, RosterEntry};
use crate::names::HostName;

/// Inventory, folder and merged variables for the templates of one playbook.
#[derive(Debug)]
pub(in crate::playbook) struct TemplateContext {
    pub(super) inventory: Arc<Inventory>,
    pub(super) folder: Arc<PlaybookFolder>,
    pub(super) vars: IndexMap<HostName, IndexMap<String, HostVariable>>,
}

/// A variable of a host, with its value if the variable contains no template.
#[derive(Debug)]
pub(super) struct HostVariable {
    pub(super) var: VariableDecl,
    pub(super) plain: Option<Value>,
}

impl TemplateContext {
    /// Merges the inventory with a playbook's variables.
    pub(in crate::playbook) fn new(
        inventory: &Arc<Inventory>,
        playbook: &VariableMap,
        folder: &Arc<PlaybookFolder>,
    ) -> Arc<Self> {
        let variable = |var: &VariableDecl| HostVariable {
            var: var.clone(),
            plain: (!var.node.has_template()).then(|| to_value(&var.node)),
        };
        let vars = inventory.hosts().map(|(name, host)| {
            let mut merged = playbook.clone();
            merged.merge(&host.vars);
            (
                name.clone(),
                merged
                    .0
                    .iter()
                    .map(|(name, var)| (name.clone(), variable(var)))
                    .collect(),
            )
        });
        Arc::new(Self {
            inventory: Arc::clone(inventory),
            folder: Arc::clone(folder),
            vars: vars.collect(),
        })
    }

    /// Returns all hosts in the form that kinds use, with playbook variables and templates applied.
    pub(in crate::playbook) fn roster(self: &Arc<Self>) -> Roster {
        let entry = |(name, host): (&HostName, &crate::inventory::Host)| {
            let swarm_address =
                TemplateScope::new(self, name, FactsView::unknown()).variable("swarm_address");
            let entry = RosterEntry {
                address: host.target.address.clone(),
                swarm_address: swarm_address.and_then(|value| value.as_str().map(str::to_owned)),
                groups: host.groups.clone(),
            };
            (name.clone(), entry)
        };
        Roster {
            hosts: self.inventory.hosts().map(entry).collect(),
        }
    }

    /// Returns the object that templates see as a host.
    pub(super) fn host(self: &Arc<Self>, name: &HostName) -> Value {
        Value::from_object(HostObject {
            context: Arc::clone(self),
            name: name.clone(),
        })
    }

    /// Returns the table of all groups with their hosts.
    pub(super) fn groups(self: &Arc<Self>) -> Value {
        let groups = self
            .inventory
            .groups()
            .keys()
            .map(String::as_str)
            .chain(["all"]);
        let members = |group: &str| self.inventory.select(group).unwrap_or_default();
        let hosts = |group| {
            members(group)
                .iter()
                .map(|host| self.host(host))
                .collect::<Vec<Value>>()
        };
        Value::from_pairs(groups.map(|group| (Value::from(group), Value::from(hosts(group)))))
    }

    /// Returns the function `hosts_in("managers")`: the hosts of any pattern, in the inventory's
    /// order.
    pub(super) fn hosts_in(self: &Arc<Self>) -> Value {
        let context = Arc::clone(self);
        Value::from_function(move |pattern: String, _: Kwargs| -> Result<Value, Error> {
            let hosts = context.inventory.select(&pattern).map_err(|error| {
                let hint = error
                    .hint
                    .map(|hint| format!(": {hint}"))
                    .unwrap_or_default();
                Error::new(
                    ErrorKind::InvalidOperation,
                    format!("hosts_in(\"{pattern}\"): {}{hint}", error.message),
                )
            })?;
            Ok(hosts
                .iter()
                .map(|host| context.host(host))
                .collect::<Vec<Value>>()
                .into())
        })
    }
}

const HOST_FIELDS: &[&str] = &[
    "name",
    "address",
    "port",
    "user",
    "swarm_address",
    "groups",
    "vars",
];

/// A host in templates: a table of [`HOST_FIELDS`] that prints as the host's name.
#[derive(Debug)]
struct HostObject {
    context: Arc<TemplateContext>,
    name: HostName,
}

impl Object for HostObject {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let host = self.context.inventory.host(&self.name)?;
        match key.as_str()? {
            "name" => Some(self.name.as_str().into()),
            "address" => Some(host.target.address.as_str().into()),
            "port" => Some(host.target.port.into()),
            "user" => Some(host.target.user.as_str().into()),
            "groups" => Some(
                host.groups
                    .iter()
                    .map(|group| Value::from(group.as_str()))
                    .collect::<Vec<_>>()
                    .into(),
            ),
            "swarm_address" => TemplateScope::new(&self.context, &self.name, FactsView::unknown())
                .variable("swarm_address"),
            "vars" => {
                Some(TemplateScope::new(&self.context, &self.name, FactsView::unknown()).vars())
            }
            _ => None,
        }
    }

    // `swarm_address`, `groups` and `vars` can be read but are not listed as keys of the table,
    // because `swarm_address` may be unset and `vars` is a table of its own.
    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Str(&HOST_FIELDS[..4])
    }

    fn render(self: &Arc<Self>, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name.as_str())
    }
}
