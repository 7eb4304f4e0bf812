//! JSON inventories: the output of an executable or of `ansible-inventory --list`. The format is
//! Ansible's (docs.ansible.com, "Developing dynamic inventory"): groups with `hosts`, `vars`,
//! `children`, or a plain list of hosts, and `_meta.hostvars`.

use std::path::Path;
use std::sync::Mutex;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::{AnsibleGroup, AnsibleInventory, AnsibleSource, config, convert};
use crate::inventory::external::{ConvertedInventory, ExternalInventoryError, program};

/// Number of `--host` queries that run at once.
const QUERIES: usize = 8;

/// A JSON inventory that was read.
pub(super) struct Listing {
    pub(super) inventory: AnsibleInventory,
    /// True if the output contains `_meta`. Otherwise the program is asked for each host.
    has_meta: bool,
}

/// Runs an executable with `--list`, as Ansible does, and reads its output.
pub(in crate::inventory::external) fn of_program(
    file: &Path,
) -> Result<ConvertedInventory, ExternalInventoryError> {
    let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_path_buf());
    let about_file = |error: ExternalInventoryError| ExternalInventoryError {
        why: format!("{}: {}", file.display(), error.why),
        ..error
    };
    let said = run(file, &whole, &["--list"])?;
    let mut listing = read(&said).map_err(about_file)?;
    if !listing.has_meta {
        ask_for_each_host(file, &whole, &mut listing.inventory)?;
    }
    let source = AnsibleSource {
        about: format!("The hosts that `{} --list` printed.", file.display()),
        path: whole,
        config: config::AnsibleConfig::default(),
    };
    Ok(convert::convert(listing.inventory, &source))
}

fn run(file: &Path, whole: &Path, arguments: &[&str]) -> Result<String, ExternalInventoryError> {
    let said = program::run(
        whole.as_os_str(),
        arguments,
        Path::new(""),
        "make it executable",
    )?;
    if said.success {
        return Ok(said.stdout);
    }
    let why = program::last_line(&said.stderr);
    Err(ExternalInventoryError::new(format!(
        "`{} {}` failed: {why}",
        file.display(),
        arguments.join(" ")
    ))
    .hint("run the command by hand"))
}

/// Asks a program that prints no `_meta` for the variables of each host, with `--host NAME`.
fn ask_for_each_host(
    file: &Path,
    whole: &Path,
    inventory: &mut AnsibleInventory,
) -> Result<(), ExternalInventoryError> {
    let names: Vec<String> = inventory.hosts.keys().cloned().collect();
    let rest = Mutex::new(names.into_iter());
    let ask = |host: &str| {
        let said = run(file, whole, &["--host", host])?;
        if said.trim().is_empty() {
            return Ok(Map::new());
        }
        serde_json::from_str::<Map<String, Value>>(&said).map_err(|error| {
            ExternalInventoryError::new(format!(
                "`{} --host {host}` did not print a JSON object: {error}",
                file.display()
            ))
        })
    };
    let answers = std::thread::scope(|scope| {
        let worker = || {
            let mut answers = Vec::new();
            loop {
                let next = rest.lock().ok().and_then(|mut rest| rest.next());
                let Some(host) = next else {
                    return Ok(answers);
                };
                let vars = ask(&host)?;
                answers.push((host, vars));
            }
        };
        let workers: Vec<_> = (0..QUERIES).map(|_| scope.spawn(worker)).collect();
        let stopped = || ExternalInventoryError::new("a query for a host's variables was not run");
        workers
            .into_iter()
            .map(|worker| worker.join().unwrap_or_else(|_| Err(stopped())))
            .collect::<Result<Vec<_>, ExternalInventoryError>>()
    })?;
    for (host, vars) in answers.into_iter().flatten() {
        inventory.hosts.insert(host, vars);
    }
    Ok(())
}

/// Reads a JSON inventory.
pub(super) fn read(text: &str) -> Result<Listing, ExternalInventoryError> {
    let wrong = |why: String| {
        ExternalInventoryError::new(format!("not a JSON inventory: {why}"))
            .hint("the program must print an object of groups: { \"managers\": { \"hosts\": [\"docker01\"] }, \"_meta\": { \"hostvars\": {} } }")
    };
    // The order of the groups decides the order of hosts that share no group.
    let groups: IndexMap<String, Value> =
        serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let mut inventory = AnsibleInventory::default();
    for name in in_order(&groups) {
        inventory
            .groups
            .insert(name.clone(), AnsibleGroup::default());
    }
    for (name, group) in groups.iter().filter(|(name, _)| *name != "_meta") {
        let read = read_group(name, group).map_err(wrong)?;
        inventory.groups.insert(name.clone(), read);
    }
    for group in inventory.groups.values() {
        for host in &group.hosts {
            inventory.hosts.entry(host.clone()).or_default();
        }
    }
    let meta = groups.get("_meta");
    let hostvars = meta.and_then(|meta| meta["hostvars"].as_object());
    for (host, vars) in hostvars.into_iter().flatten() {
        let vars = vars.as_object().cloned();
        let vars = vars.ok_or_else(|| wrong(format!("the variables of `{host}` are no object")))?;
        inventory.hosts.insert(host.clone(), vars);
    }
    Ok(Listing {
        inventory,
        has_meta: hostvars.is_some(),
    })
}

/// Returns all groups that are named as groups or as children, in the order of `all`: Ansible
/// prints the groups in the order of the alphabet, and children in the order of the inventory. A
/// group without hosts appears only as a child.
fn in_order(groups: &IndexMap<String, Value>) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut next: Vec<String> = groups
        .keys()
        .filter(|name| *name != "_meta" && *name != "all")
        .rev()
        .cloned()
        .collect();
    next.push("all".to_owned());
    while let Some(name) = next.pop() {
        if found.contains(&name) {
            continue;
        }
        let children = groups.get(&name).and_then(|group| group.get("children"));
        let children = children.and_then(Value::as_array).into_iter().flatten();
        let children: Vec<String> = children
            .filter_map(|child| child.as_str().map(str::to_owned))
            .collect();
        next.extend(children.into_iter().rev());
        found.push(name);
    }
    found
}

fn read_group(name: &str, group: &Value) -> Result<AnsibleGroup, String> {
    let names = |value: Option<&Value>, what: &str| -> Result<Vec<String>, String> {
        match value {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(Value::Array(items)) => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned))
                .collect::<Option<_>>()
                .ok_or_else(|| format!("{what} of `{name}` contain a value that is no text")),
            Some(_) => Err(format!("{what} of `{name}` are no list")),
        }
    };
    let entries = match group {
        Value::Array(_) => {
            return Ok(AnsibleGroup {
                hosts: names(Some(group), "the hosts")?,
                ..AnsibleGroup::default()
            });
        }
        Value::Object(entries) => entries,
        _ => {
            return Err(format!(
                "the group `{name}` is neither an object nor a list"
            ));
        }
    };
    let known = ["hosts", "children", "vars"];
    if let Some(key) = entries.keys().find(|key| !known.contains(&key.as_str())) {
        return Err(format!(
            "the group `{name}` has a key `{key}`; a group has hosts, children and vars"
        ));
    }
    let vars = match entries.get("vars") {
        None | Some(Value::Null) => Map::new(),
        Some(Value::Object(vars)) => vars.clone(),
        Some(_) => return Err(format!("the variables of `{name}` are no object")),
    };
    Ok(AnsibleGroup {
        hosts: names(entries.get("hosts"), "the hosts")?,
        children: names(entries.get("children"), "the children")?,
        vars,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn groups_are_in_the_order_of_all() {
        let json = r#"{"all":{"children":["ungrouped","managers","empty"]},"app":{"hosts":["b"]},
            "managers":{"hosts":["a","b"],"children":["app"]},"ungrouped":{"hosts":["c"]}}"#;
        let read = read(json).unwrap();
        assert!(!read.has_meta);
        let groups: Vec<&String> = read.inventory.groups.keys().collect();
        assert_eq!(groups, ["all", "ungrouped", "managers", "app", "empty"]);
        let hosts: Vec<&String> = read.inventory.hosts.keys().collect();
        assert_eq!(hosts, ["c", "a", "b"]);
    }

    #[test]
    fn output_of_another_form_is_refused() {
        for (json, why) in [
            ("[]", "not a JSON inventory"),
            (r#"{"g":{"hosts":"a"}}"#, "the hosts of `g` are no list"),
            (r#"{"g":{"hosts":[1]}}"#, "a value that is no text"),
            (r#"{"g":{"host":["a"]}}"#, "has a key `host`"),
            (r#"{"g":7}"#, "neither an object nor a list"),
            (r#"{"_meta":{"hostvars":{"a":1}}}"#, "are no object"),
        ] {
            let error = read(json).err().unwrap();
            assert!(error.why.contains(why), "{}", error.why);
        }
    }
}
