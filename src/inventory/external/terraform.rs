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

use super::truth::truth_of;
use super::{ExternalInventoryError, GeneratedHost, GeneratedInventory, key_path, program};

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
    let is_sensitive = |name: &str| {
        outputs
            .get(name)
            .is_some_and(|output| output["sensitive"] == Value::Bool(true))
    };
    let outputs_of = |name: &str| outputs.get(name).filter(|_| !is_sensitive(name));
    let (whole, hosts) = match (outputs_of("skep"), outputs_of("hosts")) {
        (Some(output), _) => (output["value"].clone(), output["value"]["hosts"].clone()),
        (None, Some(output)) => (Value::Null, output["value"].clone()),
        (None, None) => {
            if let Some(name) = ["skep", "hosts"]
                .into_iter()
                .find(|name| is_sensitive(name))
            {
                return Err(ExternalInventoryError::new(format!(
                    "the output `{name}` of Terraform in {} is marked sensitive, and an inventory holds no secrets",
                    folder.display()
                ))
                .hint(format!("remove `sensitive = true` from the output, or use `nonsensitive(...)` for its value; `{name}` needs no secret")));
            }
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
    for group in names("groups", &whole["groups"])? {
        written.groups.insert(group, Default::default());
    }
    for (name, host) in hosts {
        let host = machine(&name, &host, folder)?;
        written.hosts.push((name, host));
    }
    Ok(written)
}

fn machine(
    name: &str,
    host: &Value,
    folder: &Path,
) -> Result<GeneratedHost, ExternalInventoryError> {
    let mut machine = GeneratedHost::default();
    match host {
        Value::String(address) => machine.set("address", address.as_str()),
        Value::Object(entries) => {
            for (key, value) in entries.iter().filter(|(_, value)| !value.is_null()) {
                take(&mut machine, name, key, value, folder)?;
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

/// Reads an entry of a host. All values of a Terraform map have the same type, so numbers, booleans
/// and lists may arrive as text.
fn take(
    machine: &mut GeneratedHost,
    name: &str,
    key: &str,
    value: &Value,
    folder: &Path,
) -> Result<(), ExternalInventoryError> {
    let wrong = |wanted: &str| {
        ExternalInventoryError::new(format!(
            "`{key}` of Terraform's host `{name}` is not {wanted}"
        ))
    };
    match key {
        "port" => {
            let text = value.as_str().map(|text| text.trim().parse::<u16>().ok());
            let port = text.unwrap_or_else(|| value.as_u64().and_then(|port| port.try_into().ok()));
            machine.set(
                "port",
                port.filter(|port| *port > 0)
                    .ok_or_else(|| wrong("a port"))?,
            );
        }
        "become" => machine.set(
            "become",
            truth_of(value).ok_or_else(|| wrong("true or false"))?,
        ),
        "identity_file" | "known_hosts" => {
            let paths = names(key, value)?;
            let paths: Vec<String> = paths.iter().map(|path| key_path(path, &[folder])).collect();
            machine.set(
                if key == "known_hosts" {
                    "known_hosts"
                } else {
                    "identity_file"
                },
                paths,
            );
        }
        "groups" => machine.groups = names(key, value)?,
        "vars" => {
            let parsed = value
                .as_str()
                .and_then(|text| serde_json::from_str(text).ok());
            let vars: Value = parsed.unwrap_or_else(|| value.clone());
            let vars = vars.as_object().ok_or_else(|| wrong("a table"))?;
            machine.vars = vars.clone().into_iter().collect();
        }
        _ => {
            let Some(setting) = SETTINGS.iter().find(|setting| *setting == &key) else {
                return Err(ExternalInventoryError::new(format!(
                    "Terraform's host `{name}` has an unknown key `{key}`"
                ))
                .hint(format!("a host has groups, vars, {}", SETTINGS.join(", "))));
            };
            machine.set(setting, value.clone());
        }
    }
    Ok(())
}

/// Reads a list of names. A text is a list whose names are separated by commas or spaces, or the
/// JSON of a list.
fn names(key: &str, value: &Value) -> Result<Vec<String>, ExternalInventoryError> {
    let wrong = || {
        ExternalInventoryError::new(format!(
            "`{key}` in Terraform's output is not a list of texts"
        ))
    };
    match value {
        Value::Null => Ok(Vec::new()),
        Value::String(text) if text.trim_start().starts_with('[') => {
            serde_json::from_str(text).map_err(|_| wrong())
        }
        Value::String(text) => Ok(text
            .split(|letter: char| letter == ',' || letter.is_whitespace())
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()),
        Value::Array(items) => items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(wrong),
        _ => Err(wrong()),
    }
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
    fn values_of_a_map_of_texts_are_read_as_their_types() {
        let map = r#"{"hosts":{"sensitive":false,"type":["map",["map","string"]],"value":{"a":{"address":"b","port":"2222",
            "become":"true","groups":"managers, db","identity_file":"keys/id","vars":"{\"x\": 1}"}}}}"#;
        let text = read(map, Path::new("/infra")).unwrap().text();
        assert!(
            text.contains("port = 2222\n") && text.contains("become = true\n"),
            "{text}"
        );
        assert!(text.contains("groups = [\"managers\", \"db\"]"), "{text}");
        assert!(
            text.contains("identity_file = [\"/infra/keys/id\"]") && text.contains("x = 1"),
            "{text}"
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
                "is marked sensitive, and an inventory holds no secrets",
            ),
            (
                r#"{"other":{"sensitive":false,"value":{"a":"b"}}}"#,
                "there are only other outputs",
            ),
            (
                r#"{"hosts":{"sensitive":false,"value":{"a":{"become":"perhaps"}}}}"#,
                "`become` of Terraform's host `a` is not true or false",
            ),
            (
                r#"{"hosts":{"sensitive":false,"value":{"a":{"port":"x"}}}}"#,
                "is not a port",
            ),
            (
                r#"{"hosts":{"sensitive":false,"value":{"a":{"groups":[1]}}}}"#,
                "is not a list of texts",
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
