//! Writes hosts as the text of a skep inventory, for external sources and `skep inventory --toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

/// An inventory to be written.
#[derive(Debug, Default)]
pub(in crate::inventory) struct GeneratedInventory {
    /// Lines of a comment at the top.
    pub(in crate::inventory) about: String,
    /// True if the machines may be broken on purpose.
    pub(in crate::inventory) disposable: bool,
    /// Files and folders that resources may read beside those of the playbook.
    pub(in crate::inventory) allowed_paths: Vec<String>,
    /// Variables of all hosts.
    pub(in crate::inventory) vars: BTreeMap<String, Value>,
    /// Groups with their variables and children. A group without either is listed so that it exists
    /// even if it has no hosts.
    pub(in crate::inventory) groups: BTreeMap<String, (BTreeMap<String, Value>, Vec<String>)>,
    /// Hosts, in order.
    pub(in crate::inventory) hosts: Vec<(String, GeneratedHost)>,
}

/// Table of one host: settings by the inventory's keys, groups and variables.
#[derive(Debug, Default)]
pub(in crate::inventory) struct GeneratedHost {
    pub(in crate::inventory) settings: Vec<(&'static str, Value)>,
    pub(in crate::inventory) groups: Vec<String>,
    pub(in crate::inventory) vars: BTreeMap<String, Value>,
}

impl GeneratedHost {
    /// Sets a setting.
    pub(in crate::inventory) fn set(&mut self, key: &'static str, value: impl Into<Value>) {
        self.remove(key);
        self.settings.push((key, value.into()));
    }

    /// Sets a setting that has no value yet.
    pub(super) fn set_if_absent(&mut self, key: &'static str, value: impl Into<Value>) {
        if self.setting(key).is_none() {
            self.set(key, value);
        }
    }

    /// Returns the value of a setting.
    pub(super) fn setting(&self, key: &str) -> Option<&Value> {
        let found = self.settings.iter().find(|(setting, _)| *setting == key);
        found.map(|(_, value)| value)
    }

    /// Removes a setting.
    pub(super) fn remove(&mut self, key: &str) {
        self.settings.retain(|(setting, _)| *setting != key);
    }
}

impl GeneratedInventory {
    /// Returns the text of the inventory file.
    pub(in crate::inventory) fn text(&self) -> String {
        let mut text = String::new();
        for line in self.about.lines() {
            let _ = writeln!(text, "# {line}");
        }
        if self.disposable {
            text.push_str("disposable = true\n");
        }
        if !self.allowed_paths.is_empty() {
            let paths = self.allowed_paths.iter().map(|path| path.as_str().into());
            let _ = writeln!(
                text,
                "allowed_paths = {}",
                toml(&Value::Array(paths.collect()))
            );
        }
        if !self.vars.is_empty() {
            text.push_str("\n[vars]\n");
            lines(&mut text, &self.vars);
        }
        for (group, (vars, children)) in &self.groups {
            let _ = writeln!(text, "\n[groups.{}]", key(group));
            if !children.is_empty() {
                let children: Vec<Value> =
                    children.iter().map(|child| child.as_str().into()).collect();
                let _ = writeln!(text, "children = {}", toml(&Value::Array(children)));
            }
            if !vars.is_empty() {
                let _ = writeln!(text, "[groups.{}.vars]", key(group));
                lines(&mut text, vars);
            }
        }
        for (name, machine) in &self.hosts {
            let _ = writeln!(text, "\n[hosts.{}]", key(name));
            for (setting, value) in &machine.settings {
                let _ = writeln!(text, "{setting} = {}", toml(value));
            }
            if !machine.groups.is_empty() {
                let groups: Vec<Value> = machine
                    .groups
                    .iter()
                    .map(|group| group.as_str().into())
                    .collect();
                let _ = writeln!(text, "groups = {}", toml(&Value::Array(groups)));
            }
            if !machine.vars.is_empty() {
                let _ = writeln!(text, "[hosts.{}.vars]", key(name));
                lines(&mut text, &machine.vars);
            }
        }
        text
    }
}

fn lines(text: &mut String, vars: &BTreeMap<String, Value>) {
    for (name, value) in vars {
        // TOML has no null: a variable without a value is left out.
        if !value.is_null() {
            let _ = writeln!(text, "{} = {}", key(name), toml(value));
        }
    }
}

fn key(name: &str) -> String {
    let bare = !name.is_empty()
        && name
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_'));
    if bare { name.to_owned() } else { string(name) }
}

fn toml(value: &Value) -> String {
    match value {
        Value::Null => "\"\"".into(),
        Value::Bool(boolean) => boolean.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => string(text),
        Value::Array(items) => {
            let items: Vec<String> = items
                .iter()
                .filter(|item| !item.is_null())
                .map(toml)
                .collect();
            format!("[{}]", items.join(", "))
        }
        Value::Object(entries) => {
            let entries = entries.iter().filter(|(_, value)| !value.is_null());
            let entries: Vec<String> = entries
                .map(|(name, value)| format!("{} = {}", key(name), toml(value)))
                .collect();
            if entries.is_empty() {
                "{}".into()
            } else {
                format!("{{ {} }}", entries.join(", "))
            }
        }
    }
}

fn string(text: &str) -> String {
    // Always on one line; the toml library would write a text with line breaks as a multi-line
    // string.
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for letter in text.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            letter if letter.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(letter));
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    #[test]
    fn the_written_text_reads_back_with_the_same_values() {
        let hostile = "a \"quoted\" \\ text\nof two lines\u{7}";
        let mut machine = GeneratedHost {
            groups: vec!["a.b".into()],
            ..GeneratedHost::default()
        };
        machine.set("address", "10.0.0.1");
        machine.set("port", 2222);
        machine.vars.insert(
            "deep".into(),
            json!({ "list": [1, "x", { "y": true }], "nothing": null }),
        );
        machine.vars.insert("text".into(), hostile.into());
        let written = GeneratedInventory {
            allowed_paths: Vec::new(),
            about: "one\ntwo".into(),
            disposable: true,
            vars: BTreeMap::from([("empty".into(), json!({})), ("none".into(), Value::Null)]),
            groups: BTreeMap::from([(
                "all.of".into(),
                (
                    BTreeMap::from([("v".into(), json!(1.5))]),
                    vec!["a.b".into()],
                ),
            )]),
            hosts: vec![("web.1".into(), machine)],
        };
        let text = written.text();
        assert!(text.starts_with("# one\n# two\n"));
        let read: toml::Table = text.parse().unwrap();
        let read = serde_json::to_value(read).unwrap();
        assert_eq!(read["hosts"]["web.1"]["vars"]["text"], hostile);
        assert_eq!(
            read["hosts"]["web.1"]["vars"]["deep"],
            json!({ "list": [1, "x", { "y": true }] })
        );
        assert_eq!(read["hosts"]["web.1"]["port"], 2222);
        assert_eq!(
            read["groups"]["all.of"],
            json!({ "children": ["a.b"], "vars": { "v": 1.5 } })
        );
        assert_eq!(read["vars"], json!({ "empty": {} }));
        assert_eq!(read["disposable"], true);
    }
}
