//! Comparable fields of a service's specification: in the words of a compose file, without order
//! where the order has no meaning, and without the values that the Engine fills in.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value};

use crate::kinds::stack::display;

/// Labels in which the command repeats values that the specification has anyway.
const OWN_LABELS: &[&str] = &["com.docker.stack.namespace", "com.docker.stack.image"];

/// A field of a specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SpecField {
    /// Value in words.
    pub(super) text: String,
    /// True if the value is not shown.
    pub(super) secret: bool,
    /// True if a change of the field replaces tasks.
    pub(super) restarts: bool,
    /// Part of the field that the service's summary line shows.
    pub(super) in_summary: SummaryPart,
}

/// Part of a field that the summary line of a service shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SummaryPart {
    /// The summary does not list the field.
    Nothing,
    /// The field's name.
    Name,
    /// The field's value.
    Value,
    /// The field's name and value.
    NameAndValue,
}

/// Fields of a specification by name.
pub(super) type SpecFields = BTreeMap<String, SpecField>;

/// Splits a specification into fields. `networks` maps the network IDs that live services use to
/// names.
pub(super) fn parts(specification: &Value, networks: &HashMap<&str, &str>) -> SpecFields {
    let mut taken = SpecReader {
        rest: specification.clone(),
        parts: SpecFields::new(),
    };
    taken.names_and_labels();
    taken.mode();
    taken.environment();
    taken.lists(networks);
    taken.placement();
    taken.resources();
    for (path, field) in [
        ("/TaskTemplate/ContainerSpec/Args", "command"),
        ("/TaskTemplate/ContainerSpec/Command", "entrypoint"),
    ] {
        let list = taken.take(path);
        if list.as_array().is_some_and(|list| !list.is_empty()) {
            taken.put(field, display::words(&list), true);
        }
    }
    taken.remainder();
    taken.parts
}

struct SpecReader {
    rest: Value,
    parts: SpecFields,
}

impl SpecReader {
    fn take(&mut self, pointer: &str) -> Value {
        self.rest
            .pointer_mut(pointer)
            .map(Value::take)
            .unwrap_or_default()
    }

    fn put(&mut self, field: impl Into<String>, text: impl Into<String>, restarts: bool) {
        self.put_in_summary(field, text, restarts, SummaryPart::Nothing);
    }

    fn put_in_summary(
        &mut self,
        field: impl Into<String>,
        text: impl Into<String>,
        restarts: bool,
        in_summary: SummaryPart,
    ) {
        self.parts.insert(
            field.into(),
            SpecField {
                text: text.into(),
                secret: false,
                restarts,
                in_summary,
            },
        );
    }

    fn names_and_labels(&mut self) {
        self.take("/Name");
        let image = self.take("/TaskTemplate/ContainerSpec/Image");
        self.put("image", image.as_str().unwrap_or_default(), true);
        // The counter rises when a person forces an update; a compose file cannot declare it.
        self.take("/TaskTemplate/ForceUpdate");
        for (pointer, word, restarts) in [
            ("/Labels", "label", false),
            (
                "/TaskTemplate/ContainerSpec/Labels",
                "container label",
                true,
            ),
        ] {
            let Value::Object(labels) = self.take(pointer) else {
                continue;
            };
            for (key, value) in labels
                .into_iter()
                .filter(|(key, _)| !OWN_LABELS.contains(&key.as_str()))
            {
                self.put(
                    format!("{word} {key}"),
                    value.as_str().unwrap_or_default(),
                    restarts,
                );
            }
        }
    }

    fn mode(&mut self) {
        let Value::Object(mode) = self.take("/Mode") else {
            return;
        };
        for (key, value) in mode {
            match key.as_str() {
                "Replicated" => {
                    let replicas = value.get("Replicas").and_then(Value::as_u64).unwrap_or(1);
                    self.put("replicas", replicas.to_string(), false);
                }
                "Global" => self.put("mode", "global", false),
                _ => {
                    self.put("mode", key, false);
                    self.flatten("", "mode", value, false);
                }
            }
        }
    }

    fn environment(&mut self) {
        let Value::Array(list) = self.take("/TaskTemplate/ContainerSpec/Env") else {
            return;
        };
        for entry in list.iter().filter_map(Value::as_str) {
            let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
            // A value may be a password, and it often is.
            let part = SpecField {
                text: value.to_owned(),
                secret: true,
                restarts: true,
                in_summary: SummaryPart::Nothing,
            };
            self.parts.insert(format!("environment {key}"), part);
        }
    }

    fn lists(&mut self, networks: &HashMap<&str, &str>) {
        for port in self.list("/EndpointSpec/Ports") {
            let words = display::port(&port);
            self.put_in_summary(
                format!("port {}", words.split(' ').next().unwrap_or_default()),
                words,
                true,
                SummaryPart::Value,
            );
        }
        for mount in self.list("/TaskTemplate/ContainerSpec/Mounts") {
            let target = mount
                .get("Target")
                .and_then(Value::as_str)
                .unwrap_or_default();
            self.put_in_summary(
                format!("mount {target}"),
                display::mount(&mount),
                true,
                SummaryPart::Name,
            );
        }
        for (pointer, word) in [
            ("/TaskTemplate/ContainerSpec/Secrets", "secret"),
            ("/TaskTemplate/ContainerSpec/Configs", "config"),
        ] {
            for reference in self.list(pointer) {
                let key = if word == "secret" {
                    "SecretName"
                } else {
                    "ConfigName"
                };
                let name = reference
                    .get(key)
                    .and_then(Value::as_str)
                    .unwrap_or_default();
                self.put_in_summary(
                    format!("{word} {name}"),
                    display::file(&reference),
                    true,
                    SummaryPart::Name,
                );
            }
        }
        // Very old clients put networks beside the template.
        let attached = [self.list("/TaskTemplate/Networks"), self.list("/Networks")].concat();
        for network in attached {
            let target = network
                .get("Target")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let name = networks.get(target).copied().unwrap_or(target);
            let mut aliases: Vec<&str> = network
                .get("Aliases")
                .and_then(Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            aliases.sort_unstable();
            let text = if aliases.is_empty() {
                "attached".to_owned()
            } else {
                format!("as {}", aliases.join(", "))
            };
            self.put(format!("network {name}"), text, true);
        }
    }

    fn list(&mut self, pointer: &str) -> Vec<Value> {
        match self.take(pointer) {
            Value::Array(list) => list,
            _ => Vec::new(),
        }
    }

    /// Reads the placement. A change replaces no tasks that fit the new placement; the swarm
    /// replaces only the others.
    fn placement(&mut self) {
        let mut constraints: Vec<String> = self
            .list("/TaskTemplate/Placement/Constraints")
            .iter()
            .filter_map(Value::as_str)
            .map(|text| text.split_whitespace().collect::<String>())
            .collect();
        constraints.sort_unstable();
        if !constraints.is_empty() {
            self.put_in_summary(
                "constraints",
                constraints.join(", "),
                false,
                SummaryPart::NameAndValue,
            );
        }
        // Platforms of the image come from the registry when the image is resolved, not from the
        // compose file.
        self.take("/TaskTemplate/Placement/Platforms");
        let rest = self.take("/TaskTemplate/Placement");
        self.flatten("", "placement", rest, false);
    }

    /// Reads the limits and reservations, all of which the summary shows.
    fn resources(&mut self) {
        let mut resources = Self {
            rest: Value::Null,
            parts: SpecFields::new(),
        };
        let value = self.take("/TaskTemplate/Resources");
        resources.flatten("Resources", "resources", value, true);
        for field in resources.parts.values_mut() {
            field.in_summary = SummaryPart::NameAndValue;
        }
        self.parts.append(&mut resources.parts);
    }

    /// Reads all other fields, by their own names.
    fn remainder(&mut self) {
        let Value::Object(mut rest) = self.rest.take() else {
            return;
        };
        let task = rest.remove("TaskTemplate");
        let container = task
            .as_ref()
            .and_then(|task| task.get("ContainerSpec"))
            .cloned();
        for (key, value) in rest {
            let restarts = key == "EndpointSpec";
            self.flatten(&key, &words_of(&key), value, restarts);
        }
        for (key, value) in into_object(task)
            .into_iter()
            .filter(|(key, _)| key != "ContainerSpec")
        {
            self.flatten(&key, &words_of(&key), value, true);
        }
        for (key, value) in into_object(container) {
            self.flatten(&key, &words_of(&key), value, true);
        }
    }

    fn flatten(&mut self, key: &str, field: &str, value: Value, restarts: bool) {
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let inner = format!("{field} {}", words_of(&key));
                    self.flatten(&key, &inner, value, restarts);
                }
            }
            Value::Array(mut list) => {
                if list.is_empty() {
                    return;
                }
                // Ulimits, hosts and capabilities are sets in all but name. Lists with a
                // significant order (a health check's command) are lists of words that only a
                // person changes.
                if !matches!(key, "Test" | "Nameservers" | "Search") {
                    list.sort_by_key(Value::to_string);
                }
                self.put(field, display::words(&Value::Array(list)), restarts);
            }
            value if is_default(field, &value) => {}
            value => self.put(field, display::value(key, &value), restarts),
        }
    }
}

fn into_object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}

/// Returns true for a value that the Engine fills in when it is not declared, or leaves out when it
/// is declared.
fn is_default(field: &str, value: &Value) -> bool {
    let filled_in = match field {
        "isolation" => "default",
        "runtime" => "container",
        "endpoint mode" => "vip",
        "restart condition" => "any",
        "update failure action" | "rollback failure action" => "pause",
        "update order" | "rollback order" => "stop-first",
        _ => "",
    };
    match value {
        Value::Null | Value::Bool(false) => true,
        // A parallelism of 0 means all tasks at once, and is not a default.
        Value::Number(number) => number.as_f64() == Some(0.0) && !field.ends_with("parallelism"),
        Value::String(text) => text == filled_in || text.is_empty(),
        _ => false,
    }
}

/// Formats `StopGracePeriod` as `stop grace period`; names for which a compose file has a shorter
/// word use that word.
fn words_of(key: &str) -> String {
    let known = match key {
        "EndpointSpec" => "endpoint",
        "RestartPolicy" => "restart",
        "UpdateConfig" => "update",
        "RollbackConfig" => "rollback",
        "DNSConfig" => "dns",
        "NanoCPUs" => "cpus",
        "MemoryBytes" => "memory",
        "LogDriver" => "logging",
        "TTY" => "tty",
        _ => "",
    };
    if !known.is_empty() {
        return known.to_owned();
    }
    let mut words = String::new();
    let mut in_capitals = true;
    for character in key.chars() {
        if character.is_uppercase() && !in_capitals {
            words.push(' ');
        }
        in_capitals = character.is_uppercase();
        words.extend(character.to_lowercase());
    }
    words
}
