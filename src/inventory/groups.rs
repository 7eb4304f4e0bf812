//! Groups. A host lists the groups that it belongs to; `[groups.NAME]` optionally adds variables
//! and children.

use indexmap::{IndexMap, IndexSet};

use super::VariableMap;
use crate::diagnostic::SourceSpan;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{FieldReader, TomlEntry, did_you_mean};

/// A group of hosts.
#[derive(Debug, Clone, Default)]
pub struct Group {
    /// Variables of the group's hosts.
    pub vars: VariableMap,
    /// Groups whose hosts belong to this group too, with the places where they are named.
    pub children: Vec<(String, SourceSpan)>,
}

impl Group {
    /// Reads `[groups.NAME]` into a group that another file may have started.
    pub(super) fn read(&mut self, reader: &mut FieldReader<'_>, entry: &TomlEntry) {
        let what = format!("[groups.{}]", entry.key);
        let Some(entries) = reader.table(&entry.node, &what) else {
            return;
        };
        reader.only_keys(entries, &what, &["vars", "children"]);
        for entry in entries {
            match entry.key.as_str() {
                "vars" => {
                    let vars = reader
                        .table(&entry.node, "vars")
                        .map(|entries| VariableMap::read(reader, entries));
                    self.vars.merge(&vars.unwrap_or_default());
                }
                "children" => {
                    let children = reader.strings(&entry.node, "children").unwrap_or_default();
                    self.children.extend(
                        children
                            .iter()
                            .map(|(name, span)| ((*name).to_owned(), reader.place(span))),
                    );
                }
                _ => {}
            }
        }
    }
}

/// Reports children that are not groups, and groups that contain themselves.
pub(super) fn check(groups: &IndexMap<String, Group>, diagnostics: &mut Diagnostics) {
    for (name, group) in groups {
        for (child, place) in &group.children {
            if !groups.contains_key(child) {
                let hint = did_you_mean(
                    child,
                    groups
                        .keys()
                        .map(String::as_str)
                        .filter(|other| *other != name),
                );
                let error =
                    Diagnostic::error(format!("there is no group `{child}`")).at(place.clone());
                diagnostics.push(error.maybe_hint(hint));
            } else if ancestors(groups, name).contains(child) || child == name {
                let error = Diagnostic::error(format!(
                    "the group `{name}` contains itself through `{child}`"
                ));
                diagnostics.push(error.at(place.clone()).hint("remove one of the `children`"));
            }
        }
    }
}

/// Returns all groups of a host whose table lists `direct`: parents before children, because a
/// child's variables are stronger, otherwise in the order given.
pub(super) fn closure(groups: &IndexMap<String, Group>, direct: &[String]) -> IndexSet<String> {
    let mut closed: IndexSet<String> = IndexSet::new();
    for group in direct {
        closed.extend(ancestors(groups, group));
        closed.insert(group.clone());
    }
    // The sort is stable: groups of the same depth stay in the order of the host's list.
    closed.sort_by_cached_key(|group| ancestors(groups, group).len());
    closed
}

/// Returns all ancestors of a group. Terminates even if groups contain each other in a circle.
fn ancestors(groups: &IndexMap<String, Group>, group: &str) -> IndexSet<String> {
    let mut found: IndexSet<String> = IndexSet::new();
    let mut next = vec![group.to_owned()];
    while let Some(below) = next.pop() {
        for (name, above) in groups {
            if above.children.iter().any(|(child, _)| *child == below) && found.insert(name.clone())
            {
                next.push(name.clone());
            }
        }
    }
    found
}
