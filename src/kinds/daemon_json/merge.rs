//! The three-way merge of the last applied, the live and the wanted keys. A key that skep set and
//! no longer wants is removed, a key that a person set stays, and a key that a person changed
//! outside skep is kept and named in a note.

use super::document::{JsonObject, JsonValue};

/// Lists that are merged element by element, because several parties add to them. Every other key
/// is set as a whole.
const SHARED_LISTS: [&str; 2] = ["insecure-registries", "registry-mirrors"];

/// Keys that a running Engine takes from a reload (Docker's reference of dockerd, "Configuration
/// reload behavior"). `live-restore`, `labels` and the others take effect without stopping a
/// container.
const RELOADABLE: [&str; 14] = [
    "allow-nondistributable-artifacts",
    "authorization-plugins",
    "debug",
    "default-runtime",
    "features",
    "insecure-registries",
    "labels",
    "live-restore",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "registry-mirrors",
    "runtimes",
    "shutdown-timeout",
];

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
        let after = match live.get(key) {
            Some(JsonValue::List(elements)) if SHARED_LISTS.contains(&key.as_str()) => {
                JsonValue::List(merge_list(last.get(key), elements, value.elements()))
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
                let rest = merge_list(Some(applied), elements, &[]);
                if rest.len() != elements.len() {
                    // An empty list stays as the value: a reload takes it, while a vanished key
                    // needs a restart.
                    merged.set(key, live.get(key), Some(JsonValue::List(rest)));
                }
            }
            Some(value) if value == applied => merged.set(key, Some(value), None),
            Some(value) => merged.notes.push(format!(
                "`{key}` is no longer wanted, but was changed outside skep from {applied} to {value}: it is kept"
            )),
        }
    }
    merged
}

/// Returns the live elements that are wanted or foreign, in their order, then the missing wanted
/// elements.
fn merge_list(
    last: Option<&JsonValue>,
    live: &[JsonValue],
    wanted: &[JsonValue],
) -> Vec<JsonValue> {
    let applied = last.map(JsonValue::elements).unwrap_or_default();
    let mut list: Vec<JsonValue> = live
        .iter()
        .filter(|element| wanted.contains(element) || !applied.contains(element))
        .cloned()
        .collect();
    for element in wanted {
        if !list.contains(element) {
            list.push(element.clone());
        }
    }
    list
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
