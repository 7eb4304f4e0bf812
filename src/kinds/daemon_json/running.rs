//! Compares the wanted keys with the configuration that a running Engine shows in `/info`. A file
//! can be right while the Engine still runs with an older version: the file was edited, or its
//! reload was lost.

use serde_json::Value;

use super::document::{JsonObject, JsonValue};
use super::merge::KeyDifference;
use super::spelling;

/// Returns the wanted keys that the running Engine does not show; `info` is its `/info`.
pub(super) fn missing(wanted: &JsonObject, info: &Value) -> Vec<KeyDifference> {
    let mut differences = Vec::new();
    if let Some(registries) = wanted.get("insecure-registries") {
        let known: Vec<&JsonValue> = registries
            .elements()
            .iter()
            .filter(|registry| {
                registry
                    .as_text()
                    .is_some_and(|name| is_insecure(info, name))
            })
            .collect();
        differences.extend(difference("insecure-registries", registries, &known));
    }
    if let Some(mirrors) = wanted.get("registry-mirrors") {
        let known: Vec<&JsonValue> = mirrors
            .elements()
            .iter()
            .filter(|mirror| mirror.as_text().is_some_and(|url| is_mirror(info, url)))
            .collect();
        differences.extend(difference("registry-mirrors", mirrors, &known));
    }
    let live = info
        .get("LoggingDriver")
        .and_then(Value::as_str)
        .filter(|driver| !driver.is_empty());
    if let (Some(driver), Some(live)) = (wanted.get("log-driver"), live)
        && driver.as_text() != Some(live)
    {
        differences.push(KeyDifference {
            key: "log-driver".into(),
            before: Some(JsonValue::text(live)),
            after: Some(driver.clone()),
        });
    }
    differences
}

fn difference(key: &str, wanted: &JsonValue, known: &[&JsonValue]) -> Option<KeyDifference> {
    (known.len() != wanted.elements().len()).then(|| KeyDifference {
        key: key.into(),
        before: Some(JsonValue::List(
            known.iter().map(|element| (*element).clone()).collect(),
        )),
        after: Some(wanted.clone()),
    })
}

/// Returns true if the Engine treats the registry as insecure. Names contain slashes and tildes,
/// which a JSON pointer would misread. The Engine lists networks apart from single registries.
fn is_insecure(info: &Value, name: &str) -> bool {
    let Some(config) = info
        .get("RegistryConfig")
        .filter(|config| config.is_object())
    else {
        return true;
    };
    let single = config
        .get("IndexConfigs")
        .and_then(|indexes| indexes.get(spelling::registry_name(name)));
    let networks = config
        .get("InsecureRegistryCIDRs")
        .and_then(Value::as_array);
    single
        .and_then(|index| index.get("Secure"))
        .and_then(Value::as_bool)
        == Some(false)
        || networks.is_some_and(|networks| {
            networks
                .iter()
                .filter_map(Value::as_str)
                .any(|network| spelling::is_same_registry(network, name))
        })
}

/// Returns true if the Engine uses the mirror.
fn is_mirror(info: &Value, url: &str) -> bool {
    let Some(config) = info
        .get("RegistryConfig")
        .filter(|config| config.is_object())
    else {
        return true;
    };
    let mirrors = config.get("Mirrors").and_then(Value::as_array);
    mirrors.is_some_and(|mirrors| {
        mirrors
            .iter()
            .filter_map(Value::as_str)
            .any(|live| spelling::is_same_mirror(live, url))
    })
}
