//! State of a preview: the objects that the command believes it has created, and the answers to its
//! writes. A write of an unknown type is refused: the command must not be told that it succeeded if
//! its effect cannot be predicted.

use std::collections::BTreeSet;

use bytes::Bytes;
use hyper::{Response, StatusCode};
use serde_json::{Value, json};

use super::secret_versions::AliasedNames;
use super::{RecordedWrite, answer, message};

/// Types of the objects of a stack, as the first part of their paths.
pub(super) const SORTS: &[&str] = &["networks", "secrets", "configs", "services"];

/// Objects that do not exist and are shown to the command, and objects that exist and are hidden
/// from it.
#[derive(Default)]
pub(super) struct PlannedObjects {
    /// Type, and the object as a read shows it.
    pub(super) objects: Vec<(String, Value)>,
    /// IDs of objects that the command believes it has removed.
    pub(super) removed: BTreeSet<String>,
    /// External objects that do not exist.
    pub(super) missing: BTreeSet<String>,
    /// Objects that were shown under a different name.
    pub(super) aliases: AliasedNames,
    count: usize,
}

impl PlannedObjects {
    /// Returns the answer to a write that is not performed.
    pub(super) fn answer(&mut self, record: &RecordedWrite) -> Response<Bytes> {
        let path = record.path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match (record.method.as_str(), parts.as_slice()) {
            ("POST", [sort, "create"]) if SORTS.contains(sort) => {
                let id = self.add(sort, &record.body);
                answer(StatusCode::CREATED, &json!({ "Id": id, "ID": id }))
            }
            ("POST", [sort, _, "update"]) if SORTS.contains(sort) => {
                answer(StatusCode::OK, &json!({}))
            }
            ("DELETE", [sort, id]) if SORTS.contains(sort) => {
                self.removed.insert((*id).to_owned());
                answer(StatusCode::OK, &json!({}))
            }
            (method, _) => {
                let why = format!("skep's preview cannot predict the effect of {method} {path}");
                message(StatusCode::NOT_IMPLEMENTED, &why)
            }
        }
    }

    /// Adds a planned object and returns its ID.
    pub(super) fn add(&mut self, sort: &str, spec: &Value) -> String {
        self.count += 1;
        let id = format!("planned{:018}", self.count);
        let name = spec.get("Name").cloned().unwrap_or_default();
        let labels = spec.get("Labels").cloned().unwrap_or_default();
        let object = if sort == "networks" {
            json!({ "Id": id, "Name": name, "Scope": "swarm", "Driver": "overlay", "Labels": labels })
        } else {
            json!({ "ID": id, "Version": { "Index": 1 }, "Spec": { "Name": name, "Labels": labels } })
        };
        self.objects.push((sort.to_owned(), object));
        id
    }

    /// Returns the planned objects of a type.
    pub(super) fn of<'a>(&'a self, sort: &'a str) -> impl Iterator<Item = &'a Value> {
        self.objects
            .iter()
            .filter(move |(known, _)| known == sort)
            .map(|(_, object)| object)
    }
}

/// Returns the name of an object as a read shows it.
pub(super) fn name_of(object: &Value) -> &str {
    object
        .get("Name")
        .or_else(|| object.pointer("/Spec/Name"))
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Returns the ID of an object as a read shows it.
pub(super) fn id_of(object: &Value) -> &str {
    object
        .get("ID")
        .or_else(|| object.get("Id"))
        .and_then(Value::as_str)
        .unwrap_or_default()
}
