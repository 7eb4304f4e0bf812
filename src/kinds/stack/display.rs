//! Formats values of a service's specification in the words of a compose file.

use std::time::Duration;

use serde_json::Value;

use crate::model::STACK_LABEL;

/// Formats a number of nanoseconds.
fn time(nanoseconds: u64) -> String {
    humantime::format_duration(Duration::from_nanos(nanoseconds)).to_string()
}

/// Formats a number of bytes in the largest unit that divides it.
pub(super) fn bytes(count: u64) -> String {
    for (unit, size) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if count > 0 && count.is_multiple_of(size) {
            return format!("{} {unit}", count / size);
        }
    }
    format!("{count} bytes")
}

/// Formats a value for people, by its key.
pub(super) fn value(key: &str, value: &Value) -> String {
    match (key, value, value.as_u64()) {
        (
            "Delay" | "Monitor" | "Window" | "StopGracePeriod" | "Interval" | "Timeout"
            | "StartPeriod" | "StartInterval",
            _,
            Some(number),
        ) => time(number),
        ("MemoryBytes", _, Some(number)) => bytes(number),
        #[expect(
            clippy::cast_precision_loss,
            reason = "a number of processors has few digits"
        )]
        ("NanoCPUs", _, Some(number)) => format!("{}", number as f64 / 1e9),
        (_, Value::String(text), _) => text.clone(),
        (_, other, _) => other.to_string(),
    }
}

/// Formats a list of words as a person would type it.
pub(super) fn words(list: &Value) -> String {
    let words = list.as_array().into_iter().flatten().map(|word| {
        let text = word
            .as_str()
            .map_or_else(|| word.to_string(), str::to_owned);
        let plain =
            |character: char| character.is_alphanumeric() || "-_./:=@%+,".contains(character);
        if !text.is_empty() && text.chars().all(plain) {
            text
        } else {
            format!("{text:?}")
        }
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Formats a port as `8080->80/tcp`, with the mode if it is not that of the routing mesh.
pub(super) fn port(port: &Value) -> String {
    let number = |key: &str| port.get(key).and_then(Value::as_u64).unwrap_or_default();
    let protocol = port
        .get("Protocol")
        .and_then(Value::as_str)
        .unwrap_or("tcp");
    let published = match number("PublishedPort") {
        0 => "(chosen by the swarm)".to_owned(),
        published => published.to_string(),
    };
    let mode = match port.get("PublishMode").and_then(Value::as_str) {
        Some("host") => " on the node itself",
        _ => "",
    };
    format!("{published}->{}/{protocol}{mode}", number("TargetPort"))
}

/// Formats a mount as `volume web_data` or `bind /srv read-only`, with all further options.
pub(super) fn mount(mount: &Value) -> String {
    let text = |key: &str| mount.get(key).and_then(Value::as_str).unwrap_or_default();
    let mut words = vec![
        if text("Type").is_empty() {
            "bind"
        } else {
            text("Type")
        }
        .to_owned(),
    ];
    if !text("Source").is_empty() {
        words.push(text("Source").to_owned());
    }
    if mount.get("ReadOnly") == Some(&Value::Bool(true)) {
        words.push("read-only".into());
    }
    for (key, value) in mount.as_object().into_iter().flatten() {
        let mut value = value.clone();
        if let Some(labels) = value.get_mut("Labels").and_then(Value::as_object_mut) {
            labels.remove(STACK_LABEL);
        }
        let empty = |value: &Value| value.as_object().is_some_and(serde_json::Map::is_empty);
        let plain = value
            .as_object()
            .is_none_or(|options| options.values().all(empty));
        if key.ends_with("Options") && !plain {
            words.push(value.to_string());
        }
    }
    words.join(" ")
}

/// Formats the place of a secret or config in the container: `/run/secrets/x 0:0 0444`.
pub(super) fn file(reference: &Value) -> String {
    let Some(file) = reference.get("File") else {
        return "not a file".into();
    };
    let text = |key: &str| file.get(key).and_then(Value::as_str).unwrap_or_default();
    let or_zero = |text: &str| {
        if text.is_empty() {
            "0".to_owned()
        } else {
            text.to_owned()
        }
    };
    let mode = file.get("Mode").and_then(Value::as_u64).unwrap_or_default();
    format!(
        "{} {}:{} {mode:04o}",
        text("Name"),
        or_zero(text("UID")),
        or_zero(text("GID"))
    )
}
