//! The three-way merge of the last applied, the live and the wanted keys. A key that skep set and
//! no longer wants is removed, a key that a person set stays, and a key that a person changed
//! outside skep is kept and named in a note.

use super::document::{JsonObject, JsonValue};
use super::spelling::has_element;

/// Lists that are merged element by element, because several parties add to them. Every other key
/// is set as a whole.
const SHARED_LISTS: [&str; 2] = ["insecure-registries", "registry-mirrors"];

/// Keys that a running Engine takes from a reload, in every release from 20.10 on. The list is that
/// of Docker Engine's sources: `daemon/reload.go`, `reload_unix.go` and `reloadConfig` of its
/// command. A reload also stores `features`, but most features are evaluated only at the start.
const RELOADABLE: [&str; 17] = [
    "allow-nondistributable-artifacts",
    "authorization-plugins",
    "debug",
    "default-cgroupns-mode",
    "default-ipc-mode",
    "default-runtime",
    "default-shm-size",
    "insecure-registries",
    "labels",
    "live-restore",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "network-diagnostic-port",
    "registry-mirrors",
    "runtimes",
    "shutdown-timeout",
];

/// Networks of the host itself. Docker Engine trusts registries there without TLS if the file has
/// no `insecure-registries`; from 29.10 on, an empty list means that it trusts none.
const LOOPBACK: [&str; 2] = ["127.0.0.0/8", "::1/128"];

/// A key that differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyDifference {
    pub(super) key: String,
    pub(super) before: Option<JsonValue>,
    pub(super) after: Option<JsonValue>,
}

impl KeyDifference {
    /// Returns true if a reload is enough. A reload ignores a key that has vanished from the file,
    /// so the removal of a key needs a restart.
    pub(super) fn is_reloadable(&self) -> bool {
        self.after.is_some() && RELOADABLE.contains(&self.key.as_str())
    }
}

/// Result of the merge.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct MergeResult {
    /// Whole new document, in the order of the live document.
    pub(super) document: JsonObject,
    pub(super) differences: Vec<KeyDifference>,
    pub(super) notes: Vec<String>,
}

/// Merges the last applied, the live and the wanted keys.
pub(super) fn merge(last: &JsonObject, live: &JsonObject, wanted: &JsonObject) -> MergeResult {
    let mut merged = MergeResult {
        document: live.clone(),
        ..MergeResult::default()
    };
    for (key, value) in wanted {
        let is_shared = SHARED_LISTS.contains(&key.as_str());
        let after = match live.get(key) {
            // The elements of an empty list are all there.
            None if is_shared && value.elements().is_empty() => continue,
            Some(JsonValue::List(elements)) if is_shared => {
                shared_list(key, last.get(key), elements, value.elements())
            }
            _ => value.clone(),
        };
        if live.get(key) != Some(&after) {
            merged.set(key, live.get(key), Some(after));
        }
    }
    for (key, applied) in last.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        match live.get(key) {
            None => {}
            Some(JsonValue::List(elements)) if SHARED_LISTS.contains(&key.as_str()) => {
                let rest = shared_list(key, Some(applied), elements, &[]);
                if live.get(key) != Some(&rest) {
                    merged.set(key, live.get(key), Some(rest));
                }
            }
            // The record holds no passwords.
            Some(value) if value.masked(key) == applied.masked(key) => {
                merged.set(key, Some(value), None);
            }
            Some(value) => {
                let (applied, value) = (applied.masked(key), value.masked(key));
                merged.notes.push(format!(
                    "`{key}` is no longer wanted, but was changed outside skep from {applied} to {value}: it is kept"
                ));
            }
        }
    }
    merged
}

/// Returns the live elements that are wanted or foreign, in their order, then the missing wanted
/// elements. An empty list stays as the value, because a reload takes it, while a vanished key
/// needs a restart; an empty list of insecure registries becomes the networks of the host itself.
fn shared_list(
    key: &str,
    last: Option<&JsonValue>,
    live: &[JsonValue],
    wanted: &[JsonValue],
) -> JsonValue {
    let applied: Vec<JsonValue> = last
        .map(JsonValue::elements)
        .unwrap_or_default()
        .iter()
        .map(|element| element.masked(key))
        .collect();
    let mut list: Vec<JsonValue> = live
        .iter()
        .filter(|element| {
            has_element(key, wanted, element) || !has_element(key, &applied, &element.masked(key))
        })
        .cloned()
        .collect();
    for element in wanted {
        if !has_element(key, &list, element) {
            list.push(element.clone());
        }
    }
    // A list that somebody else has emptied stays empty.
    if key == "insecure-registries" && list.is_empty() && last.is_some() {
        list = LOOPBACK.map(JsonValue::text).into();
    }
    JsonValue::List(list)
}

impl MergeResult {
    fn set(&mut self, key: &str, before: Option<&JsonValue>, after: Option<JsonValue>) {
        match &after {
            Some(value) => {
                self.document.insert(key.into(), value.clone());
            }
            None => {
                self.document.shift_remove(key);
            }
        }
        self.differences.push(KeyDifference {
            key: key.into(),
            before: before.cloned(),
            after,
        });
    }
}
