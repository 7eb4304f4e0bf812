//! Converts groups, hosts and variables of Ansible into a skep inventory.

use std::collections::BTreeMap;

use indexmap::{IndexMap, IndexSet};
use serde_json::{Map, Value};

use super::connection::{ConnectionKind, HostConnection, plain};
use super::host_order::order;
use super::{AnsibleGroup, AnsibleInventory, AnsibleSource};
use crate::diagnostic::is_secret_key;
use crate::inventory::external::remarks::ConversionRemarks;
use crate::inventory::external::{ConvertedInventory, GeneratedHost, GeneratedInventory};
use crate::inventory::host::is_host_name;
use crate::inventory::vars::name_fault;

/// Groups that every inventory of Ansible has. skep has `all` too, and no `ungrouped`.
const OWN_GROUPS: &[&str] = &["all", "ungrouped"];

/// Converts an inventory. Everything that is not followed as written becomes a remark.
pub(super) fn convert(inventory: AnsibleInventory, source: &AnsibleSource) -> ConvertedInventory {
    let mut converter = AnsibleConverter {
        source,
        names: IndexMap::new(),
        remarks: ConversionRemarks::default(),
    };
    let written = converter.convert(&inventory);
    ConvertedInventory {
        written,
        remarks: converter.remarks,
        files: source.files(),
    }
}

struct AnsibleConverter<'a> {
    source: &'a AnsibleSource,
    /// Names of hosts and groups in skep, with the names in Ansible that they stand for.
    names: IndexMap<String, String>,
    remarks: ConversionRemarks,
}

impl AnsibleConverter<'_> {
    fn convert(&mut self, inventory: &AnsibleInventory) -> GeneratedInventory {
        let mut written = GeneratedInventory {
            about: self.source.about.clone(),
            ..GeneratedInventory::default()
        };
        for (name, group) in &inventory.groups {
            let vars = self.variables("", &group.vars);
            if name == "all" {
                written.vars.extend(vars);
            } else if name == "ungrouped" {
                self.ungrouped(&vars);
            } else {
                let name = self.name_of(name, "group");
                let children = group.children.iter();
                let children = children.map(|child| self.name_of(child, "group")).collect();
                written.groups.insert(name, (vars, children));
            }
        }
        for host in self.ordered(inventory) {
            if let Some((name, machine)) = self.host(inventory, &host) {
                written.hosts.push((name, machine));
            }
        }
        written
    }

    fn ungrouped(&mut self, vars: &BTreeMap<String, Value>) {
        for name in vars.keys() {
            let message = format!("the variable {name} of the group ungrouped is left out");
            self.remarks
                .warn("", name, message, Some("give it to the hosts"));
        }
    }

    fn host(
        &mut self,
        inventory: &AnsibleInventory,
        host: &str,
    ) -> Option<(String, GeneratedHost)> {
        let own = inventory.hosts.get(host)?;
        let mut machine = GeneratedHost::default();
        let mut connection: Map<String, Value> = Map::new();
        for (variable, setting) in self.source.config.settings() {
            connection.insert(variable.to_owned(), setting.value.as_str().into());
        }
        let of_config: IndexSet<String> = connection.keys().cloned().collect();
        let groups = groups_of(&inventory.groups, host);
        for group in &groups {
            let vars = &inventory.groups[group.as_str()].vars;
            connection.extend(vars.clone());
        }
        connection.extend(own.clone());
        // A variable that an inventory sets is named by its own name, not by that of ansible.cfg.
        let is_overridden = |variable: &str| {
            own.contains_key(variable)
                || groups
                    .iter()
                    .any(|group| inventory.groups[group.as_str()].vars.contains_key(variable))
        };
        let config = &self.source.config;
        let name_of = |variable: &str| {
            let of_config = of_config.contains(variable) && !is_overridden(variable);
            of_config.then(|| config.name_of(variable)).flatten()
        };
        let kind = HostConnection {
            host,
            vars: &connection,
            path: &self.source.path,
            folder: self.source.folder(),
            name_of: &name_of,
            remarks: &mut self.remarks,
        }
        .convert(&mut machine);
        if let ConnectionKind::Other(plugin) = kind {
            let message = format!(
                "left out: ansible_connection is {plugin}, and skep connects over SSH only"
            );
            self.remarks.warn(host, "ansible_connection", message, None);
            return None;
        }
        let name = self.name_of(host, "host");
        if machine.setting("address").and_then(Value::as_str) == Some(name.as_str()) {
            machine.remove("address");
        }
        let mut direct: Vec<&String> = groups
            .iter()
            .filter(|group| !OWN_GROUPS.contains(&group.as_str()))
            .filter(|group| {
                inventory.groups[group.as_str()]
                    .hosts
                    .iter()
                    .any(|one| one == host)
            })
            .collect();
        // Of two groups at the same depth, Ansible lets the one with the higher priority win, and
        // then the later one in the alphabet. In skep, the later one in this list wins.
        direct.sort_by_key(|group| {
            (
                priority(&inventory.groups[group.as_str()]),
                (*group).clone(),
            )
        });
        machine.groups = direct
            .into_iter()
            .map(|group| self.name_of(group, "group"))
            .collect();
        machine.vars = self.variables(host, own);
        Some((name, machine))
    }

    /// Returns the name in skep of a host or group. Characters that skep does not allow become `-`.
    fn name_of(&mut self, name: &str, what: &str) -> String {
        if is_host_name(name) && name != "all" {
            return name.to_owned();
        }
        let address = match what {
            "host" => name.rsplit('@').next().unwrap_or(name),
            _ => name,
        };
        let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_.".contains(letter);
        let changed: String = address
            .chars()
            .map(|letter| if is_allowed(letter) { letter } else { '-' })
            .collect();
        let changed = changed.trim_start_matches('-').to_owned();
        let changed = if changed.is_empty() {
            format!("{what}-{}", name.len())
        } else {
            changed
        };
        let first = self
            .names
            .entry(changed.clone())
            .or_insert_with(|| name.to_owned());
        if first == name {
            let message = format!(
                "the {what} `{name}` is called `{changed}` here: skep's names have letters, digits, `-`, `_` and `.`"
            );
            self.remarks.note("", name, message, None);
        } else {
            let message =
                format!("the names `{first}` and `{name}` would both be `{changed}` here");
            self.remarks
                .refuse("", name, message, Some("rename one of them"));
        }
        changed
    }

    /// Returns the variables that skep can express. Connection variables are settings and not among
    /// them; all others that are left out become remarks.
    fn variables(&mut self, host: &str, vars: &Map<String, Value>) -> BTreeMap<String, Value> {
        let mut kept = BTreeMap::new();
        for (name, value) in vars
            .iter()
            .filter(|(name, _)| !name.starts_with("ansible_"))
        {
            let value = plain(value);
            let fault = if is_secret_key(name) || value.get("__ansible_vault").is_some() {
                Some("an inventory holds no secrets".to_owned())
            } else if let Some(fault) = name_fault(name) {
                Some(fault.to_owned())
            } else {
                value_fault(value).map(str::to_owned)
            };
            match fault {
                None => {
                    kept.insert(name.clone(), value.clone());
                }
                Some(why) => {
                    let message = format!("the variable {name} is left out: {why}");
                    self.remarks.note(host, name, message, None);
                }
            }
        }
        kept
    }

    /// Returns all hosts in Ansible's order.
    fn ordered(&mut self, inventory: &AnsibleInventory) -> Vec<String> {
        let mentioned: Vec<String> = inventory.hosts.keys().cloned().collect();
        let lists: IndexMap<&str, &[String]> = inventory
            .groups
            .iter()
            .filter(|(name, _)| !OWN_GROUPS.contains(&name.as_str()))
            .map(|(name, group)| (name.as_str(), group.hosts.as_slice()))
            .collect();
        let order = order(&mentioned, &lists, |group| group.contains("manager"));
        for group in &order.broken {
            let message = format!(
                "the order of the hosts in the group {group} is not kept: it contradicts another group"
            );
            self.remarks
                .warn("", group, message, Some("list the hosts in the same order"));
        }
        order.hosts
    }
}

/// Returns the reason why a value has no form in TOML.
fn value_fault(value: &Value) -> Option<&'static str> {
    match value {
        Value::Null => Some("it has no value"),
        Value::Number(number) if number.is_u64() && number.as_i64().is_none() => {
            Some("the number is too large")
        }
        Value::Array(items) if items.iter().any(|item| value_fault(item).is_some()) => {
            Some("it contains an entry that TOML cannot express")
        }
        _ => None,
    }
}

fn priority(group: &AnsibleGroup) -> i64 {
    group
        .vars
        .get("ansible_group_priority")
        .and_then(Value::as_i64)
        .unwrap_or(1)
}

/// Returns all groups of a host, `all` included, from the weakest to the strongest: by depth, then
/// by priority, then by name (docs.ansible.com, "How variables are merged").
fn groups_of(groups: &IndexMap<String, AnsibleGroup>, host: &str) -> Vec<String> {
    let direct = groups
        .iter()
        .filter(|(_, group)| group.hosts.iter().any(|one| one == host));
    let mut found: IndexSet<&str> = direct.map(|(name, _)| name.as_str()).collect();
    let mut at = 0;
    while let Some(&below) = found.get_index(at) {
        let parents = groups
            .iter()
            .filter(|(_, group)| group.children.iter().any(|child| child == below));
        found.extend(parents.map(|(name, _)| name.as_str()));
        at += 1;
    }
    if groups.contains_key("all") {
        found.insert("all");
    }
    let mut sorted: Vec<&str> = found.into_iter().collect();
    sorted.sort_by_cached_key(|name| {
        (
            depth(groups, name, 0),
            priority(&groups[*name]),
            (*name).to_owned(),
        )
    });
    sorted.into_iter().map(str::to_owned).collect()
}

/// Returns the length of the longest chain of parents of a group, which ends at `all`.
fn depth(groups: &IndexMap<String, AnsibleGroup>, name: &str, below: usize) -> usize {
    // A chain longer than the number of groups is a circle, which Ansible refuses.
    if name == "all" || below > groups.len() {
        return 0;
    }
    groups
        .iter()
        .filter(|(_, group)| group.children.iter().any(|child| child == name))
        .map(|(parent, _)| depth(groups, parent, below + 1))
        .max()
        .unwrap_or(0)
        + 1
}
