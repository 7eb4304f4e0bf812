//! JSON inventories: the output of an executable or of `ansible-inventory --list`. The format is
//! Ansible's (docs.ansible.com, "Developing dynamic inventory"): groups with `hosts`, `vars`,
//! `children`, or a plain list of hosts, and `_meta.hostvars`. Ansible's connection variables
//! become settings.

use std::collections::BTreeMap;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{ExternalInventoryError, GeneratedHost, GeneratedInventory, program};
use crate::diagnostic::is_secret_key;

/// Runs an executable with `--list`, as Ansible does, and reads its output.
pub(super) fn of_program(file: &Path) -> Result<GeneratedInventory, ExternalInventoryError> {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let said = program::run(
        whole.as_os_str(),
        &["--list"],
        Path::new(""),
        "make it executable",
    )?;
    if !said.success {
        let why = program::last_line(&said.stderr);
        return Err(ExternalInventoryError::new(format!(
            "`{} --list` failed: {why}",
            file.display()
        ))
        .hint("run the command by hand"));
    }
    read(
        &said.stdout,
        &format!("The hosts that `{} --list` printed.", file.display()),
    )
    .map_err(|error| ExternalInventoryError {
        why: format!("{}: {}", file.display(), error.why),
        ..error
    })
}

/// Reads a JSON inventory.
pub(super) fn read(text: &str, about: &str) -> Result<GeneratedInventory, ExternalInventoryError> {
    let groups: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
        ExternalInventoryError::new(format!("not a JSON inventory: {error}"))
            .hint("the program must print an object of groups: { \"managers\": { \"hosts\": [\"docker01\"] }, \"_meta\": { \"hostvars\": {} } }")
    })?;
    let mut written = GeneratedInventory {
        about: about.to_owned(),
        ..GeneratedInventory::default()
    };
    let mut hosts: IndexMap<String, GeneratedHost> = IndexMap::new();
    let variables = groups
        .get("_meta")
        .and_then(|meta| meta["hostvars"].as_object())
        .cloned()
        .unwrap_or_default();
    // `all` and `ungrouped` are built-in groups of Ansible; skep has its own `all`.
    let own = ["_meta", "all", "ungrouped"];
    for (name, group) in &groups {
        let list = group.as_array().or_else(|| group["hosts"].as_array());
        for host in list.into_iter().flatten().filter_map(Value::as_str) {
            let machine = hosts.entry(host.to_owned()).or_default();
            if !own.contains(&name.as_str()) {
                machine.groups.push(name.clone());
            }
        }
        let vars: BTreeMap<String, Value> = group["vars"]
            .as_object()
            .cloned()
            .unwrap_or_default()
            .into_iter()
            .collect();
        if own.contains(&name.as_str()) {
            written.vars.extend(plain(vars));
            continue;
        }
        let children: Vec<String> = group["children"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect();
        for child in &children {
            written.groups.entry(child.clone()).or_default();
        }
        written.groups.insert(name.clone(), (plain(vars), children));
    }
    for (name, vars) in variables {
        let vars = vars.as_object().cloned().unwrap_or_default();
        settle(hosts.entry(name).or_default(), vars);
    }
    written.hosts = hosts.into_iter().collect();
    Ok(written)
}

/// Turns Ansible's connection variables into settings; all other variables stay variables.
pub(super) fn settle(machine: &mut GeneratedHost, vars: Map<String, Value>) {
    for (name, value) in vars {
        let setting = match name.as_str() {
            "ansible_host" | "ansible_ssh_host" => "address",
            "ansible_port" | "ansible_ssh_port" => "port",
            "ansible_user" | "ansible_ssh_user" => "user",
            "ansible_ssh_private_key_file" | "ansible_private_key_file" => "identity_file",
            "ansible_become" => "become",
            "ansible_become_user" => "become_user",
            _ => {
                machine.vars.extend(plain(BTreeMap::from([(name, value)])));
                continue;
            }
        };
        let value = match (setting, &value) {
            ("port", Value::String(text)) => text.parse::<u16>().map_or(value.clone(), Into::into),
            ("become", Value::String(text)) => {
                matches!(text.to_lowercase().as_str(), "true" | "yes" | "1").into()
            }
            _ => value,
        };
        machine.set(setting, value);
    }
}

/// Removes variables that only Ansible uses, and secrets: an inventory holds no secrets.
pub(super) fn plain(vars: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    vars.into_iter()
        .filter(|(name, _)| !name.starts_with("ansible_") && !is_secret_key(name))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn groups_hosts_and_settings() {
        let json = r#"{"_meta":{"hostvars":{"a":{"ansible_host":"10.0.0.1","ansible_port":"2222","ansible_user":"ann",
            "ansible_become":"yes","swarm_address":"10.1.0.1","db_password":"x","ansible_connection":"ssh"},"b":{}}},
            "all":{"children":["ungrouped","managers"],"vars":{"registry":"a:5000"}},"ungrouped":{"hosts":["c"]},
            "managers":{"hosts":["a"],"vars":{"size":3}},"swarm":{"children":["managers","workers"]},"workers":["b"]}"#;
        let text = read(json, "x").unwrap().text();
        let read: toml::Table = text.parse().unwrap();
        assert_eq!(read["hosts"]["a"]["port"].as_integer(), Some(2222));
        assert_eq!(read["hosts"]["a"]["become"].as_bool(), Some(true));
        assert_eq!(
            read["hosts"]["a"]["vars"].as_table().unwrap().len(),
            1,
            "{text}"
        );
        assert_eq!(read["hosts"]["b"]["groups"].to_string(), "[\"workers\"]");
        assert!(read["hosts"].get("c").is_some() && read["hosts"]["c"].get("groups").is_none());
        assert_eq!(
            read["groups"]["swarm"]["children"].to_string(),
            "[\"managers\", \"workers\"]"
        );
        assert_eq!(
            read["groups"]["managers"]["vars"]["size"].as_integer(),
            Some(3)
        );
        assert_eq!(read["vars"]["registry"].as_str(), Some("a:5000"));
    }

    #[test]
    fn output_that_is_not_json_is_reported() {
        assert!(
            read("[]", "x")
                .unwrap_err()
                .why
                .starts_with("not a JSON inventory")
        );
    }
}
