//! The three-way merge of last applied, live and wanted: what skep set and no longer wants goes, what a person set
//! stays, and what a person changed behind skep's back is kept and named.

use super::document::{JsonObject, JsonValue};

/// Lists that are merged element by element, because several parties add to them; any other key is set whole.
const SHARED_LISTS: [&str; 2] = ["insecure-registries", "registry-mirrors"];

/// Keys that a running Engine takes from a reload (Docker's reference of dockerd, "Configuration reload behavior").
/// `live-restore`, `labels` and the others take effect without a container stopping.
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

/// One key that differs.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct KeyDifference {
    pub(super) key: String,
    pub(super) before: Option<JsonValue>,
    pub(super) after: Option<JsonValue>,
}

impl KeyDifference {
    /// Whether a reload is enough. A key that vanishes is no longer looked at by a reload, so that needs a restart.
    pub(super) fn is_reloadable(&self) -> bool {
        self.after.is_some() && RELOADABLE.contains(&self.key.as_str())
    }
}

/// What the merge came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct MergeResult {
    /// The whole new document, in the live one's order.
    pub(super) document: JsonObject,
    pub(super) differences: Vec<KeyDifference>,
    pub(super) notes: Vec<String>,
}

/// Merges.
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
                    // An empty list in place of no key: a reload takes it, while a vanished key needs a restart.
                    merged.set(key, live.get(key), Some(JsonValue::List(rest)));
                }
            }
            Some(value) if value == applied => merged.set(key, Some(value), None),
            Some(value) => merged.notes.push(format!(
                "`{key}` is no longer wanted, and was changed behind our back from {applied} to {value}: it is kept"
            )),
        }
    }
    merged
}

/// Live elements that are wanted or foreign, in their order, then the wanted ones that are missing.
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
