//! Adds planned objects to the Engine's answers to reads: the command then finds the objects that
//! it believes it has created. In a preview, missing external objects are replaced by placeholders
//! and recorded, so all of them can be named at once.

use std::collections::BTreeSet;

use bytes::Bytes;
use hyper::{Response, StatusCode, header};
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::answer;
use super::secret_versions::newest;
use crate::docker::proxy::planned_objects::{PlannedObjects, SORTS, id_of, name_of};

/// Label in which the command keeps an image as written in the compose file.
const IMAGE_LABEL: &str = "com.docker.stack.image";

/// Returns the answer for the command.
pub(super) fn overlay_planned(
    planned: &mut PlannedObjects,
    preview: bool,
    path: &str,
    found: Response<Bytes>,
) -> Response<Bytes> {
    let (plain, query) = path.split_once('?').unwrap_or((path, ""));
    let parts: Vec<&str> = plain.trim_start_matches('/').split('/').collect();
    match parts.as_slice() {
        [sort] if SORTS.contains(sort) && found.status().is_success() => {
            let Ok(Value::Array(mut list)) = serde_json::from_slice(found.body()) else {
                return found;
            };
            if *sort == "services" {
                list.iter_mut().for_each(forget_foreign_image);
            }
            if matches!(*sort, "secrets" | "configs") {
                add_newest_versions(planned, query, &mut list);
            }
            if preview {
                complete(planned, sort, query, &mut list);
            }
            replaced(found, &Value::Array(list))
        }
        [sort, name]
            if preview && SORTS.contains(sort) && found.status() == StatusCode::NOT_FOUND =>
        {
            let name = percent_decode_str(name).decode_utf8_lossy().into_owned();
            let known = planned
                .of(sort)
                .find(|object| name_of(object) == name || id_of(object) == name)
                .cloned();
            match known {
                Some(object) => answer(StatusCode::OK, &object),
                // The command reads a network by its name only if it is external; secrets and
                // configs of its own it reads first and creates if they are missing.
                None if *sort == "networks" => {
                    answer(StatusCode::OK, &make_placeholder(planned, sort, &name))
                }
                None => found,
            }
        }
        _ => found,
    }
}

/// Adds the newest version of each requested name that no object has.
fn add_newest_versions(planned: &mut PlannedObjects, query: &str, list: &mut Vec<Value>) {
    for name in names(query) {
        if !list.iter().any(|object| name_of(object) == name) {
            list.extend(newest(&mut planned.aliases, list, &name));
        }
    }
}

fn complete(planned: &mut PlannedObjects, sort: &str, query: &str, list: &mut Vec<Value>) {
    list.retain(|object| !planned.removed.contains(id_of(object)));
    let asked = names(query);
    for name in &asked {
        if list.iter().any(|object| name_of(object) == name) {
            continue;
        }
        let known = planned
            .of(sort)
            .find(|object| name_of(object) == name)
            .cloned();
        list.push(match known {
            Some(object) => object,
            None if matches!(sort, "secrets" | "configs") => make_placeholder(planned, sort, name),
            None => continue,
        });
    }
    if asked.is_empty() {
        list.extend(planned.of(sort).cloned());
    }
}

fn make_placeholder(planned: &mut PlannedObjects, sort: &str, name: &str) -> Value {
    planned
        .missing
        .insert(format!("{} {name}", sort.trim_end_matches('s')));
    planned.add(sort, &serde_json::json!({ "Name": name }));
    planned.of(sort).last().cloned().unwrap_or_default()
}

/// Returns the names in the filters of a list: `{"name":{"a":true}}`, or `{"name":["a"]}` from old
/// clients.
fn names(query: &str) -> BTreeSet<String> {
    let filters = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("filters="))
        .unwrap_or_default();
    let text = percent_decode_str(&filters.replace('+', " "))
        .decode_utf8_lossy()
        .into_owned();
    let filters: Value = serde_json::from_str(&text).unwrap_or_default();
    match filters.get("name") {
        Some(Value::Object(map)) => map.keys().cloned().collect(),
        Some(Value::Array(list)) => list
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
        _ => BTreeSet::new(),
    }
}

/// Removes the image label of a service whose image was changed by another client. The command
/// treats the image as unchanged if the label matches the compose file, regardless of the image
/// that the service really runs.
fn forget_foreign_image(service: &mut Value) {
    let runs = service
        .pointer("/Spec/TaskTemplate/ContainerSpec/Image")
        .and_then(Value::as_str)
        .map(str::to_owned);
    let Some(labels) = service
        .pointer_mut("/Spec/Labels")
        .and_then(Value::as_object_mut)
    else {
        return;
    };
    let said = labels.get(IMAGE_LABEL).and_then(Value::as_str);
    if let (Some(runs), Some(said)) = (runs, said)
        && runs != said
        && runs.split('@').next() != Some(said)
    {
        labels.remove(IMAGE_LABEL);
    }
}

fn replaced(mut found: Response<Bytes>, body: &Value) -> Response<Bytes> {
    *found.body_mut() = Bytes::from(body.to_string());
    found.headers_mut().remove(header::CONTENT_LENGTH);
    found
}
