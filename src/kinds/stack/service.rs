//! Services of a stack: creations, changes field by field, and removals; lists the services that
//! restart and the services that only scale.

use std::collections::{BTreeSet, HashMap};

use serde_json::Value;

use super::LiveStack;
use super::specification::{SpecField, SpecFields, SummaryPart, parts};
use super::whole_object::whole;
use crate::model::{Change, DeployPreview, DisplayValue, FieldChange};

fn name_of(specification: &Value) -> &str {
    specification
        .get("Name")
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Adds the differences to the change.
pub(super) fn compare(
    stack: &str,
    live: &LiveStack,
    preview: &DeployPreview,
    prune: bool,
    change: &mut Change,
) {
    let text = |value: &'_ Value, key: &str| {
        value
            .get(key)
            .and_then(Value::as_str)
            .map(str::to_owned)
            .unwrap_or_default()
    };
    let named: Vec<(String, String)> = live
        .networks
        .iter()
        .map(|network| (text(network, "Id"), text(network, "Name")))
        .collect();
    let networks: HashMap<&str, &str> = named
        .iter()
        .map(|(id, name)| (id.as_str(), name.as_str()))
        .collect();
    let mine: Vec<&Value> = live.own_services(stack).collect();
    let mut wanted = BTreeSet::new();
    let (mut restarts, mut stays) = (Vec::new(), Vec::new());
    for write in preview
        .writes
        .iter()
        .filter(|write| write.method == "POST" && write.path.starts_with("/services/"))
    {
        let name = name_of(&write.body);
        wanted.insert(name);
        let after = parts(&write.body, &networks);
        let there = mine
            .iter()
            .filter_map(|service| service.get("Spec"))
            .find(|spec| name_of(spec) == name);
        let Some(there) = there else {
            whole(
                change,
                format!("service {name}"),
                DisplayValue::Absent,
                DisplayValue::text(summary(&after)),
            );
            continue;
        };
        let fields = difference(name, &parts(there, &networks), &after);
        if fields.is_empty() {
            continue;
        }
        let list = if fields.iter().any(|(_, restarts)| *restarts) {
            &mut restarts
        } else {
            &mut stays
        };
        list.push(name.to_owned());
        change
            .fields
            .extend(fields.into_iter().map(|(field, _)| field));
    }
    let gone = mine
        .iter()
        .filter_map(|service| service.get("Spec"))
        .filter(|spec| !wanted.contains(name_of(spec)));
    let mut kept = Vec::new();
    for spec in gone {
        if prune {
            whole(
                change,
                format!("service {}", name_of(spec)),
                DisplayValue::text(summary(&parts(spec, &networks))),
                DisplayValue::Absent,
            );
        } else {
            kept.push(name_of(spec).to_owned());
        }
    }
    for (names, words) in [
        (restarts, "tasks are replaced"),
        (stays, "running tasks are not replaced"),
        (
            kept,
            "no longer in the compose files, but kept: `prune = true` would remove it",
        ),
    ] {
        if !names.is_empty() {
            change.notes.push(format!("{}: {words}", names.join(", ")));
        }
    }
}

/// Describes a service in one line.
fn summary(parts: &SpecFields) -> String {
    let mut words = Vec::new();
    if let Some(image) = parts.get("image") {
        words.push(image.text.clone());
    }
    match (parts.get("replicas"), parts.get("mode")) {
        (Some(replicas), _) if replicas.text == "1" => words.push("1 replica".into()),
        (Some(replicas), _) => words.push(format!("{} replicas", replicas.text)),
        (None, Some(mode)) => words.push(mode.text.clone()),
        (None, None) => {}
    }
    for (field, part) in parts {
        match part.in_summary {
            SummaryPart::Nothing => {}
            SummaryPart::Name => words.push(field.clone()),
            SummaryPart::Value => words.push(part.text.clone()),
            SummaryPart::NameAndValue => words.push(format!("{field} {}", part.text)),
        }
    }
    words.join(", ")
}

/// Returns the different fields, each with true if its change replaces tasks.
fn difference(service: &str, before: &SpecFields, after: &SpecFields) -> Vec<(FieldChange, bool)> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let mut fields = Vec::new();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let same = match (old, new) {
            (Some(old), Some(new)) if name == "image" => same_image(&old.text, &new.text),
            (old, new) => old.map(|part| &part.text) == new.map(|part| &part.text),
        };
        if same {
            continue;
        }
        let shown = |part: Option<&SpecField>| match part {
            None => DisplayValue::Absent,
            Some(SpecField { secret: true, .. }) => DisplayValue::Secret,
            Some(part) => DisplayValue::text(&part.text),
        };
        let restarts =
            old.is_some_and(|part| part.restarts) || new.is_some_and(|part| part.restarts);
        fields.push((
            FieldChange {
                field: format!("{service} {name}"),
                before: shown(old),
                after: shown(new),
            },
            restarts,
        ));
    }
    fields
}

/// Returns true if the images are the same. An image without a digest equals the image that the
/// swarm pinned it to.
fn same_image(live: &str, wanted: &str) -> bool {
    let tagged = |image: &str| {
        let last = image.rsplit('/').next().unwrap_or_default();
        if last.contains(':') || image.contains('@') {
            image.to_owned()
        } else {
            format!("{image}:latest")
        }
    };
    live == wanted
        || (!wanted.contains('@') && live.split('@').next().map(tagged) == Some(tagged(wanted)))
}
