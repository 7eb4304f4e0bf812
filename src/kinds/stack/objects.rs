//! Networks, secrets and configs of a stack.

use serde_json::Value;

use super::LiveStack;
use super::whole_object::whole;
use crate::model::{Change, DeployPreview, DisplayValue, Refusal, STACK_LABEL, StackWrite};

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value
        .pointer(pointer)
        .and_then(Value::as_str)
        .unwrap_or_default()
}

/// Largest content of a secret that the Engine accepts, in bytes (swarmkit's
/// `ValidateSecretPayload`); [`MOST_CONFIG`] is that of a config (`MaxConfigSize`).
const MOST_SECRET: usize = 500 * 1024;
const MOST_CONFIG: usize = 1000 * 1024;

/// Refuses an object that is too large: the Engine would refuse it in the middle of the deploy,
/// after networks were created. A secret's size is known to within two bytes.
fn check_size(sort: &str, body: &Value, size: usize, most: usize) -> Result<(), Refusal> {
    if size <= most + 2 {
        return Ok(());
    }
    Err(Refusal {
        why: format!(
            "the {sort} {} has {} KiB; the swarm accepts at most {} KiB",
            text(body, "/Name"),
            size.div_ceil(1024),
            most / 1024
        ),
        hint: "put large content into an image or a volume, and keep only secrets or settings here"
            .into(),
    })
}

/// Adds the differences to the change.
pub(super) fn compare(
    stack: &str,
    live: &LiveStack,
    preview: &DeployPreview,
    change: &mut Change,
) -> Result<(), Refusal> {
    for write in &preview.writes {
        let path = write.path.split('?').next().unwrap_or_default();
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        match parts.as_slice() {
            ["networks", "create"] => network(stack, live, write, change)?,
            ["secrets", "create"] => {
                let length = write
                    .body
                    .get("DataLength")
                    .and_then(Value::as_u64)
                    .unwrap_or_default();
                check_size(
                    "secret",
                    &write.body,
                    usize::try_from(length).unwrap_or(usize::MAX) / 4 * 3,
                    MOST_SECRET,
                )?;
                whole(
                    change,
                    format!("secret {}", text(&write.body, "/Name")),
                    DisplayValue::Absent,
                    DisplayValue::Secret,
                );
            }
            ["configs", "create"] => {
                let size = decoded_size(text(&write.body, "/Data"));
                check_size("config", &write.body, size, MOST_CONFIG)?;
                let shown = DisplayValue::text(format!("{size} bytes"));
                whole(
                    change,
                    format!("config {}", text(&write.body, "/Name")),
                    DisplayValue::Absent,
                    shown,
                );
            }
            ["configs", id, "update"] => config(live, id, write)?,
            _ => {}
        }
    }
    Ok(())
}

fn network(
    stack: &str,
    live: &LiveStack,
    write: &StackWrite,
    change: &mut Change,
) -> Result<(), Refusal> {
    let name = text(&write.body, "/Name");
    if let Some(other) = live
        .networks
        .iter()
        .find(|network| text(network, "/Name") == name)
    {
        let owner = other
            .get("Labels")
            .and_then(|labels| labels.get(STACK_LABEL))
            .and_then(Value::as_str);
        let whose = match owner {
            Some(owner) => format!("belongs to the stack {owner}"),
            None => "belongs to no stack".into(),
        };
        return Err(Refusal {
            why: format!("the stack {stack} would create the network {name}, which already exists and {whose}"),
            hint: "choose another name, or let one stack create it and declare it as `external: true` in the others".into(),
        });
    }
    let driver = match text(&write.body, "/Driver") {
        "" => "overlay",
        driver => driver,
    };
    let mut words = vec![driver.to_owned()];
    let subnets = write
        .body
        .pointer("/IPAM/Config")
        .and_then(Value::as_array)
        .into_iter()
        .flatten();
    words.extend(
        subnets
            .map(|config| text(config, "/Subnet").to_owned())
            .filter(|subnet| !subnet.is_empty()),
    );
    for (key, word) in [("Attachable", "attachable"), ("Internal", "internal")] {
        if write.body.get(key) == Some(&Value::Bool(true)) {
            words.push(word.into());
        }
    }
    if write.body.pointer("/Options/encrypted").is_some() {
        words.push("encrypted".into());
    }
    whole(
        change,
        format!("network {name}"),
        DisplayValue::Absent,
        DisplayValue::text(words.join(", ")),
    );
    Ok(())
}

/// Checks the rewrite of a config. The command writes every config again, and the Engine accepts
/// this only when the content is the same.
fn config(live: &LiveStack, id: &str, write: &StackWrite) -> Result<(), Refusal> {
    let Some(there) = live.configs.iter().find(|config| text(config, "/ID") == id) else {
        return Ok(());
    };
    if text(there, "/Spec/Data") == text(&write.body, "/Data") {
        return Ok(());
    }
    let name = text(&write.body, "/Name");
    Err(Refusal {
        why: format!(
            "the content of the config {name} has changed, and an existing config cannot be changed"
        ),
        hint: format!(
            "give it a name that changes with its content, such as `name: {name}-v2` under its key in the compose file (a template can put a digest there)"
        ),
    })
}

/// Returns the number of bytes that a base64 text encodes (RFC 4648).
fn decoded_size(text: &str) -> usize {
    text.trim_end_matches('=').len() * 6 / 8
}

#[cfg(test)]
mod tests {
    use super::decoded_size;

    #[test]
    fn decoded_size_of_base64() {
        for (text, bytes) in [
            ("", 0),
            ("YQ==", 1),
            ("YWI=", 2),
            ("YWJj", 3),
            ("YWJjZA==", 4),
        ] {
            assert_eq!(decoded_size(text), bytes, "{text}");
        }
    }
}
