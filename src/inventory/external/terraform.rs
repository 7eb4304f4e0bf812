//! `-i terraform:DIR`: reads hosts from the outputs of a Terraform (or OpenTofu) folder with
//! `terraform output -json` (developer.hashicorp.com/terraform/cli/commands/output: each output is
//! `{ "sensitive", "type", "value" }`).
//!
//! The output `skep` is read: a table of `hosts`, and optionally `groups` and `vars`. If there is
//! no output `skep`, the output `hosts` is read, whose values are addresses or tables. An output
//! that is marked sensitive is not used: an inventory holds no secrets.

use std::ffi::OsStr;
use std::path::Path;

use serde_json::{Map, Value};

use super::{ExternalInventoryError, GeneratedHost, GeneratedInventory, program};

const SHAPE: &str = "write `output \"skep\" { value = { hosts = { docker01 = { address = ..., groups = [\"managers\"] } } } }`";
/// Keys of a host that are connection settings, as in an inventory file.
const SETTINGS: &[&str] = &[
    "address",
    "port",
    "user",
    "become",
    "identity_file",
    "proxy_jump",
    "host_keys",
    "known_hosts",
];

/// Queries `terraform`, or `tofu` if only that is installed.
pub(super) fn inventory(folder: &Path) -> Result<GeneratedInventory, ExternalInventoryError> {
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let install =
        "install Terraform or OpenTofu, or keep the hosts in a file: `skep inventory --toml`";
    let ask = |name: &str| {
        program::run(
            OsStr::new(name),
            &["output", "-json", "-no-color"],
            folder,
            install,
        )
    };
    let said = match ask("terraform") {
        Err(error) if error.not_installed => ask("tofu").map_err(|_| error)?,
        said => said?,
    };
    if !said.success {
        let why = error(&said.stderr);
        return Err(ExternalInventoryError::new(format!(
            "`terraform output -json` failed in {}: {why}",
            folder.display()
        ))
        .hint("run the command there by hand; `terraform init` may be needed first"));
    }
    read(&said.stdout, folder)
}

/// Returns the message of an error, which Terraform draws into a box.
fn error(text: &str) -> &str {
    let mut lines = text.lines().map(|line| {
        line.trim_matches(|letter: char| letter.is_whitespace() || "╷│╵".contains(letter))
    });
    lines
        .find_map(|line| line.strip_prefix("Error: "))
        .unwrap_or_else(|| program::last_line(text))
}

fn read(text: &str, folder: &Path) -> Result<GeneratedInventory, ExternalInventoryError> {
    let outputs: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        ExternalInventoryError::new(format!(
            "`terraform output -json` did not print valid JSON: {error}"
        ))
    })?;
    let outputs_of = |name: &str| {
        outputs
            .get(name)
            .filter(|output| output["sensitive"] != Value::Bool(true))
    };
    let (whole, hosts) = match (outputs_of("skep"), outputs_of("hosts")) {
        (Some(output), _) => (output["value"].clone(), output["value"]["hosts"].clone()),
        (None, Some(output)) => (Value::Null, output["value"].clone()),
        (None, None) => {
            let why = if outputs.is_empty() {
                "there are no outputs (was `terraform apply` run?)"
            } else {
                "there are only other outputs"
            };
            let message = format!(
                "Terraform in {} has no output `skep` or `hosts`: {why}",
                folder.display()
            );
            return Err(ExternalInventoryError::new(message).hint(SHAPE));
        }
    };
    let Value::Object(hosts) = hosts else {
        return Err(
            ExternalInventoryError::new("Terraform's output is not a table of hosts").hint(SHAPE),
        );
    };
    let about = format!(
        "The hosts of Terraform in {}, as they were when this was written.",
        folder.display()
    );
    let mut written = GeneratedInventory {
        about,
        disposable: whole["disposable"] == Value::Bool(true),
        ..GeneratedInventory::default()
    };
    if let Some(vars) = whole["vars"].as_object() {
        written.vars = vars.clone().into_iter().collect();
    }
    for group in whole["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        written.groups.insert(group.to_owned(), Default::default());
    }
    for (name, host) in hosts {
        written.hosts.push((name.clone(), machine(&name, &host)?));
    }
    Ok(written)
}

fn machine(name: &str, host: &Value) -> Result<GeneratedHost, ExternalInventoryError> {
    let mut machine = GeneratedHost::default();
    match host {
        Value::String(address) => machine.set("address", address.as_str()),
        Value::Object(entries) => {
            for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                match SETTINGS.iter().find(|setting| *setting == key) {
                    // All values of a Terraform map have the same type, so numbers may arrive as
                    // text.
                    Some(&"port") => {
                        let number = value
                            .as_str()
                            .and_then(|text| text.parse::<u16>().ok())
                            .map(Value::from);
                        machine.set("port", number.unwrap_or_else(|| value.clone()));
                    }
                    Some(setting) => machine.set(setting, value.clone()),
                    None if key == "groups" => {
                        let groups = value.as_array().into_iter().flatten();
                        machine.groups = groups
                            .filter_map(Value::as_str)
                            .map(str::to_owned)
                            .collect();
                    }
                    None if key == "vars" => {
                        machine.vars = value
                            .as_object()
                            .cloned()
                            .unwrap_or_default()
                            .into_iter()
                            .collect();
                    }
                    None => {
                        return Err(ExternalInventoryError::new(format!(
                            "Terraform's host `{name}` has an unknown key `{key}`"
                        ))
                        .hint(format!("a host has groups, vars, {}", SETTINGS.join(", "))));
                    }
                }
            }
        }
        _ => {
            return Err(ExternalInventoryError::new(format!(
                "Terraform's host `{name}` is neither an address nor a table"
            ))
            .hint(SHAPE));
        }
    }
    Ok(machine)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn both_outputs_are_read() {
        let whole = r#"{"skep":{"sensitive":false,"type":["object",{}],"value":{"vars":{"registry":"a:5000"},"groups":["db"],
            "hosts":{"a":{"address":"10.0.0.1","port":"2222","groups":["managers"],"user":null,
            "vars":{"swarm_address":"10.1.0.1"}}}}}}"#;
        let text = read(whole, Path::new("x")).unwrap().text();
        assert!(
            text.contains(
                "[hosts.a]\naddress = \"10.0.0.1\"\nport = 2222\ngroups = [\"managers\"]"
            ),
            "{text}"
        );
        assert!(
            text.contains("[groups.db]") && text.contains("registry = \"a:5000\""),
            "{text}"
        );
        let plain =
            r#"{"hosts":{"sensitive":false,"type":["map","string"],"value":{"a":"10.0.0.1"}}}"#;
        assert!(
            read(plain, Path::new("x"))
                .unwrap()
                .text()
                .contains("[hosts.a]\naddress = \"10.0.0.1\"")
        );
    }

    #[test]
    fn the_message_of_a_boxed_error_is_extracted() {
        let boxed = "╷\n│ Error: Unclosed configuration block\n│ \n│   on main.tf line 1:\n╵\n\n";
        assert_eq!(error(boxed), "Unclosed configuration block");
        assert_eq!(
            error("\nError: No state file\n\nIt is needed.\n"),
            "No state file"
        );
        assert_eq!(error("killed\n"), "killed");
    }

    #[test]
    fn wrong_outputs_are_reported_in_one_sentence() {
        for (text, why) in [
            (
                "{}",
                "has no output `skep` or `hosts`: there are no outputs (was `terraform apply` run?)",
            ),
            (
                r#"{"hosts":{"sensitive":true,"value":{"a":"b"}}}"#,
                "there are only other outputs",
            ),
            (
                r#"{"hosts":{"sensitive":false,"value":["a"]}}"#,
                "not a table of hosts",
            ),
            (
                r#"{"hosts":{"sensitive":false,"value":{"a":{"adress":"b"}}}}"#,
                "unknown key `adress`",
            ),
            (
                r#"{"hosts":{"sensitive":false,"value":{"a":7}}}"#,
                "neither an address nor a table",
            ),
            ("no json", "did not print valid JSON"),
        ] {
            let said = read(text, Path::new("x")).unwrap_err().why;
            assert!(said.contains(why), "{said}");
        }
    }
}
