//! Reads the table of a host, and defines the merged host.

use indexmap::IndexMap;

use super::settings::{ConnectionSettings, KEYS, hint_for};
use super::{SshTarget, VariableMap, address};
use crate::diagnostic::SourceSpan;
use crate::document::{FieldReader, TomlEntry, did_you_mean};
use crate::names::HostName;

/// A host of the inventory.
#[derive(Debug, Clone)]
pub struct Host {
    /// Place of the host's name in its file.
    pub place: SourceSpan,
    /// Connection settings.
    pub target: SshTarget,
    /// Groups of the host, including inherited ones: parents before children, then in the order
    /// given.
    pub groups: Vec<String>,
    /// True if it is intended that no play selects the host.
    pub unmanaged: bool,
    /// True if the host's file allows breaking it on purpose (`disposable = true`).
    pub disposable: bool,
    /// Merged variables of the host, without those of playbooks.
    pub vars: VariableMap,
}

/// A host's table before it is merged with defaults and groups.
#[derive(Debug)]
pub(super) struct HostTable {
    pub(super) place: SourceSpan,
    pub(super) address: Option<String>,
    pub(super) groups: IndexMap<String, SourceSpan>,
    pub(super) unmanaged: bool,
    pub(super) disposable: bool,
    pub(super) not_running: Option<String>,
    pub(super) settings: ConnectionSettings,
    pub(super) vars: VariableMap,
}

/// Returns true if a host or group may have this name.
pub(super) fn is_host_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with('-')
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.'))
}

impl HostTable {
    /// Reads `[hosts.NAME]`.
    pub(super) fn read(
        reader: &mut FieldReader<'_>,
        entry: &TomlEntry,
    ) -> Option<(HostName, Self)> {
        let what = format!("[hosts.{}]", entry.key);
        if !is_host_name(&entry.key) {
            let hint = "letters, digits, `-`, `_` and `.`, not starting with `-`".to_owned();
            reader.error(
                &entry.key_span,
                format!("`{}` is not a valid host name", entry.key),
                Some(hint),
            );
            return None;
        }
        let mut host = Self {
            place: reader.place(&entry.key_span),
            address: None,
            groups: IndexMap::new(),
            unmanaged: false,
            disposable: false,
            not_running: None,
            settings: ConnectionSettings::default(),
            vars: VariableMap::default(),
        };
        for entry in reader.table(&entry.node, &what)? {
            host.take(reader, entry, &what);
        }
        if host.address.is_none() && entry.node.entry("address").is_none() {
            host.check_address(reader, &entry.key, &entry.key_span);
        }
        Some((HostName::new(&entry.key), host))
    }

    fn take(&mut self, reader: &mut FieldReader<'_>, entry: &TomlEntry, what: &str) {
        let node = &entry.node;
        match entry.key.as_str() {
            "address" => {
                if let Some(address) = reader.string(node, "address") {
                    self.check_address(reader, address, &node.span);
                }
            }
            "groups" => {
                for (group, span) in reader.strings(node, "groups").unwrap_or_default() {
                    check_group_name(reader, group, span);
                    self.groups.insert(group.to_owned(), reader.place(span));
                }
            }
            "unmanaged" => self.unmanaged = reader.boolean(node, "unmanaged").unwrap_or(false),
            "not_running" => {
                self.not_running = reader.string(node, "not_running").map(str::to_owned);
            }
            "vars" => {
                if let Some(entries) = reader.table(node, "vars") {
                    self.vars = VariableMap::read(reader, entries);
                }
            }
            key if self.settings.take(reader, entry) => {
                debug_assert!(KEYS.contains(&key), "{key} is missing in KEYS");
            }
            key => {
                let known = ["address", "groups", "vars", "unmanaged", "not_running"]
                    .iter()
                    .chain(KEYS)
                    .copied();
                let hint = hint_for(key)
                    .map(str::to_owned)
                    .or_else(|| did_you_mean(key, known));
                reader.error(
                    &entry.key_span,
                    format!("unknown key `{key}` in {what}"),
                    hint,
                );
            }
        }
    }

    fn check_address(
        &mut self,
        reader: &mut FieldReader<'_>,
        address: &str,
        span: &std::ops::Range<usize>,
    ) {
        if let Some(fault) = address::fault(address) {
            reader.error(
                span,
                format!("`{address}` is not an address"),
                Some(fault.into()),
            );
        }
        // Kept even if it is invalid, so that the host exists for later checks.
        self.address = Some(address.to_owned());
    }
}

/// Reports an invalid group name.
pub(super) fn check_group_name(
    reader: &mut FieldReader<'_>,
    name: &str,
    span: &std::ops::Range<usize>,
) {
    if name == "all" {
        reader.error(
            span,
            "every host is in the group `all`",
            Some("leave it out; variables of all hosts go to [vars]".into()),
        );
    } else if !is_host_name(name) {
        let hint = "letters, digits, `-`, `_` and `.`, not starting with `-`".to_owned();
        reader.error(
            span,
            format!("`{name}` is not a valid group name"),
            Some(hint),
        );
    }
}
