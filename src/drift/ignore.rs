//! Ignore rules: known drift that is accepted for a limited time. Each rule has a reason and a last
//! day. This file reads the rules; `ignore_filter` applies them.

use std::path::{Path, PathBuf};

use indexmap::IndexSet;

use crate::base::{GlobUnit, glob_matches};
use crate::diagnostic::SourceSpan;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::{FieldReader, TomlDocument, TomlEntry, TomlNode, TomlValue};
use crate::inventory::{IGNORE_FILE, Inventory};
use crate::names::HostName;

const KEYS: [&str; 5] = ["hosts", "resource", "field", "reason", "expires"];

/// An ignore rule.
#[derive(Debug, Clone, PartialEq)]
pub struct IgnoreRule {
    /// Hosts to which the rule applies.
    pub hosts: IndexSet<HostName>,
    /// Glob over `kind[name]`: `*` matches any text, `?` one character; brackets are literal.
    pub resource: String,
    /// Glob over the field's name; `None` matches the whole resource.
    pub field: Option<String>,
    /// Reason why the drift is accepted.
    pub reason: String,
    /// Last day on which the rule applies (UTC), `YYYY-MM-DD`.
    pub expires: String,
    /// Position of the rule: `file:line:column`.
    pub place: String,
}

impl IgnoreRule {
    /// Returns true if the rule applies to a resource of a host.
    #[must_use]
    pub fn is_about(&self, host: &HostName, resource: &str) -> bool {
        self.hosts.contains(host) && glob_matches(&self.resource, resource, GlobUnit::Character)
    }

    /// Returns true if the rule covers this field of its resources.
    #[must_use]
    pub fn covers(&self, field: &str) -> bool {
        self.field
            .as_ref()
            .is_none_or(|glob| glob_matches(glob, field, GlobUnit::Character))
    }
}

/// Ignore rules of all files.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct IgnoreRules {
    /// Rules that apply today.
    pub active: Vec<IgnoreRule>,
    /// Expired rules: they are reported and no longer applied.
    pub expired: Vec<IgnoreRule>,
}

impl IgnoreRules {
    /// Returns the existing files of rules beside these inventories.
    #[must_use]
    pub fn beside(inventories: &[PathBuf]) -> Vec<PathBuf> {
        let folder = |path: &PathBuf| {
            if path.is_dir() {
                path.clone()
            } else {
                path.parent().map(Path::to_path_buf).unwrap_or_default()
            }
        };
        let files: IndexSet<PathBuf> = inventories
            .iter()
            .map(|path| folder(path).join(IGNORE_FILE))
            .collect();
        files.into_iter().filter(|file| file.exists()).collect()
    }

    /// Reads the rules of these files. `today` is `YYYY-MM-DD` in UTC.
    ///
    /// # Errors
    /// Every error in the files, each with its position.
    pub fn load(
        files: &[PathBuf],
        inventory: &Inventory,
        today: &str,
    ) -> Result<Self, Diagnostics> {
        let mut diagnostics = Diagnostics::default();
        let mut rules = Self::default();
        for file in files {
            match TomlDocument::read(file) {
                Ok(document) => rules.file(&document, inventory, today, &mut diagnostics),
                Err(errors) => diagnostics.extend(errors),
            }
        }
        diagnostics.into_result().map(|_| rules)
    }

    fn file(
        &mut self,
        document: &TomlDocument,
        inventory: &Inventory,
        today: &str,
        diagnostics: &mut Diagnostics,
    ) {
        let mut reader = FieldReader {
            source: &document.source,
            diagnostics,
        };
        for entry in document.root.as_table().unwrap_or_default() {
            if entry.key != "ignore" {
                reader.unknown_key(entry, "a file of ignore rules", &["ignore"]);
                continue;
            }
            for node in reader.list(&entry.node, "ignore").unwrap_or_default() {
                if let Some(rule) = rule(&mut reader, node, inventory) {
                    // A rule still applies on its last day.
                    if rule.expires.as_str() < today {
                        self.expired.push(rule);
                    } else {
                        self.active.push(rule);
                    }
                }
            }
        }
    }
}

fn rule(
    reader: &mut FieldReader<'_>,
    node: &TomlNode,
    inventory: &Inventory,
) -> Option<IgnoreRule> {
    let entries = reader.table(node, "ignore")?;
    reader.only_keys(entries, "an ignore rule", &KEYS);
    let required = |reader: &mut FieldReader<'_>, key: &str, hint: &str| {
        let entry = node.entry(key);
        if entry.is_none() {
            reader.error(
                &node.span,
                format!("an ignore rule needs `{key}`"),
                Some(hint.to_owned()),
            );
        }
        entry.cloned()
    };
    let hosts = required(reader, "hosts", "a host pattern, e.g. `all`")
        .and_then(|entry| hosts(reader, &entry, inventory));
    let resource = required(
        reader,
        "resource",
        "e.g. `file[/etc/motd]`; `*` matches any text",
    )
    .and_then(|entry| text(reader, &entry, "resource"));
    let field = match node.entry("field") {
        Some(entry) => Some(text(reader, entry, "field")?),
        None => None,
    };
    let reason = required(
        reader,
        "reason",
        "write why this drift is accepted, for later readers of the rule",
    )
    .and_then(|entry| text(reader, &entry, "reason"));
    let expires = required(
        reader,
        "expires",
        "the last day on which the rule applies, e.g. `expires = \"2026-12-31\"`",
    )
    .and_then(|entry| day(reader, &entry));
    let place = reader.place(&node.span).to_string();
    Some(IgnoreRule {
        hosts: hosts?,
        resource: resource?,
        field,
        reason: reason?,
        expires: expires?,
        place,
    })
}

fn text(reader: &mut FieldReader<'_>, entry: &TomlEntry, key: &str) -> Option<String> {
    let found = reader.string(&entry.node, key)?;
    if found.trim().is_empty() {
        reader.error(&entry.node.span, format!("`{key}` is empty"), None);
        return None;
    }
    Some(found.to_owned())
}

fn hosts(
    reader: &mut FieldReader<'_>,
    entry: &TomlEntry,
    inventory: &Inventory,
) -> Option<IndexSet<HostName>> {
    let pattern = reader.string(&entry.node, "hosts")?;
    match inventory.select(pattern) {
        Ok(hosts) => Some(hosts),
        Err(error) => {
            // The pattern begins after its opening quote.
            let start = entry.node.span.start + 1;
            let place = SourceSpan::new(
                reader.source,
                start + error.span.start..start + error.span.end,
            );
            reader.diagnostics.push(
                Diagnostic::error(error.message)
                    .at(place)
                    .maybe_hint(error.hint),
            );
            None
        }
    }
}

fn day(reader: &mut FieldReader<'_>, entry: &TomlEntry) -> Option<String> {
    let found = match &entry.node.value {
        TomlValue::String(text) => text.clone(),
        TomlValue::Datetime(date) => date.to_string(),
        _ => {
            reader.wrong_type(&entry.node, "expires", "a date such as \"2026-12-31\"");
            return None;
        }
    };
    let is_day =
        found.len() == 10 && humantime::parse_rfc3339(&format!("{found}T00:00:00Z")).is_ok();
    if !is_day {
        let hint = "write a date as YYYY-MM-DD, e.g. `2026-12-31`";
        reader.error(
            &entry.node.span,
            format!("`{found}` is not a date"),
            Some(hint.to_owned()),
        );
    }
    is_day.then_some(found)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn load(text: &str) -> Result<IgnoreRules, String> {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("site.toml"),
            "[hosts.a]\ngroups=['web']\n[hosts.b]\n",
        )
        .unwrap();
        std::fs::write(folder.path().join(IGNORE_FILE), text).unwrap();
        let files =
            IgnoreRules::beside(&[folder.path().join("site.toml"), folder.path().to_path_buf()]);
        assert_eq!(files.len(), 1, "one file, named once");
        // The file of rules lies in the inventory's folder, but is not part of the inventory.
        let inventory = Inventory::load(&[folder.path().to_path_buf()], &[]).unwrap();
        IgnoreRules::load(&files, &inventory, "2026-06-15").map_err(|errors| errors.to_string())
    }

    #[test]
    fn rules_apply_through_their_last_day() {
        let rule = |day: &str| {
            format!(
                "[[ignore]]\nhosts='web'\nresource='package[*]'\nfield='version'\nreason='r'\nexpires={day}\n"
            )
        };
        let rules =
            load(&[rule("'2026-06-15'"), rule("2026-06-14"), rule("2027-01-01")].concat()).unwrap();
        assert_eq!((rules.active.len(), rules.expired.len()), (2, 1));
        let rule = &rules.active[0];
        assert!(rule.is_about(&HostName::new("a"), "package[x]") && rule.covers("version"));
        assert!(!rule.is_about(&HostName::new("b"), "package[x]") && !rule.covers("held"));
        assert!(!rule.is_about(&HostName::new("a"), "file[x]"));
        assert!(rule.place.ends_with("ignore.toml:1:1"), "{}", rule.place);
    }

    #[test]
    fn every_error_has_its_position() {
        let errors = load(
            "[[ignore]]\nhosts = 'wbe'\nresorce = 'x'\nreason = ' '\nexpires = '2026-02-30'\n[[ignore]]\nhosts='all'\n[other]\n",
        )
        .unwrap_err();
        for expected in [
            "there is no group or host `wbe`",
            "ignore.toml:2:10",
            "unknown key `resorce`",
            "needs `resource`",
            "`reason` is empty",
            "`2026-02-30` is not a date",
            "ignore.toml:5:11",
            "needs `expires`",
            "unknown key `other`",
        ] {
            assert!(errors.contains(expected), "{expected} in:\n{errors}");
        }
    }
}
