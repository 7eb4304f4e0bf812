//! Reads the INI format of Ansible inventories without Ansible: hosts with `key=value`, `[group]`,
//! `[group:vars]`, `[group:children]`, and ranges such as `web[01:03]` (docs.ansible.com, "How to
//! build your inventory"). Syntax that needs Ansible's own code is refused.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::dynamic::{plain, settle};
use super::{GeneratedHost, GeneratedInventory};

enum IniSection {
    Hosts(Option<String>),
    Vars(String),
    Children(String),
}

/// Reads the text. An error is a line number, from 1, and a message.
pub(super) fn read(text: &str, about: &str) -> Result<GeneratedInventory, (usize, String)> {
    let mut written = GeneratedInventory {
        about: about.to_owned(),
        ..GeneratedInventory::default()
    };
    let mut hosts: IndexMap<String, (Vec<String>, Map<String, Value>)> = IndexMap::new();
    let mut group_vars: IndexMap<String, Map<String, Value>> = IndexMap::new();
    let mut section = IniSection::Hosts(None);
    for (index, line) in text.lines().enumerate() {
        let wrong = |why: String| (index + 1, why);
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let header = rest.split_once(']').map(|(header, _)| header);
            let header = header.ok_or_else(|| wrong(format!("`{line}` has no closing bracket")))?;
            let (group, kind) = header.split_once(':').unwrap_or((header, "hosts"));
            let is_own = group == "all" || group == "ungrouped";
            if !is_own {
                written.groups.entry(group.to_owned()).or_default();
            }
            section = match kind {
                "hosts" => IniSection::Hosts((!is_own).then(|| group.to_owned())),
                "vars" => IniSection::Vars(group.to_owned()),
                "children" => IniSection::Children(group.to_owned()),
                other => {
                    return Err(wrong(format!(
                        "`[{group}:{other}]` is not a section of an inventory"
                    )));
                }
            };
            continue;
        }
        match &section {
            IniSection::Hosts(group) => {
                let words = words(line).map_err(wrong)?;
                let Some((pattern, pairs)) = words.split_first() else {
                    continue;
                };
                // `web1:2222` is a host with a port. An IPv6 address has more than one colon.
                let (pattern, port) = match pattern.rsplit_once(':') {
                    Some((name, port)) if !name.contains(':') && !port.ends_with(']') => {
                        let number = port
                            .parse::<u16>()
                            .map_err(|_| wrong(format!("`{port}` is not a valid port")))?;
                        (name, Some(number))
                    }
                    _ => (pattern.as_str(), None),
                };
                for name in range(pattern).map_err(wrong)? {
                    let (groups, vars) = hosts.entry(name).or_default();
                    if let Some(port) = port {
                        vars.insert("ansible_port".into(), port.into());
                    }
                    groups.extend(
                        group
                            .iter()
                            .filter(|group| !groups.contains(group))
                            .cloned()
                            .collect::<Vec<_>>(),
                    );
                    for pair in pairs {
                        let (key, text) = pair
                            .split_once('=')
                            .ok_or_else(|| wrong(format!("`{pair}` is not key=value")))?;
                        vars.insert(key.to_owned(), value(text));
                    }
                }
            }
            IniSection::Vars(group) => {
                let (key, text) = line
                    .split_once('=')
                    .ok_or_else(|| wrong(format!("`{line}` is not key=value")))?;
                let text = text.trim().trim_matches(['"', '\'']);
                group_vars
                    .entry(group.clone())
                    .or_default()
                    .insert(key.trim().to_owned(), value(text));
            }
            IniSection::Children(group) => {
                let words = words(line).map_err(wrong)?;
                let [child] = words.as_slice() else {
                    return Err(wrong(format!("`{line}` is not the name of one group")));
                };
                written.groups.entry(child.clone()).or_default();
                if group != "all" {
                    written
                        .groups
                        .entry(group.clone())
                        .or_default()
                        .1
                        .push(child.clone());
                }
            }
        }
    }
    spread(&mut hosts, &mut group_vars, &mut written);
    Ok(written)
}

/// Gives groups their variables. A skep group cannot hold connection settings, so each host of the
/// group gets them.
fn spread(
    hosts: &mut IndexMap<String, (Vec<String>, Map<String, Value>)>,
    group_vars: &mut IndexMap<String, Map<String, Value>>,
    written: &mut GeneratedInventory,
) {
    let within = |groups: &[String],
                  wanted: &str,
                  all: &BTreeMap<String, (BTreeMap<String, Value>, Vec<String>)>| {
        let (mut next, mut seen) = (vec![wanted.to_owned()], Vec::new());
        while let Some(group) = next.pop() {
            if groups.contains(&group) {
                return true;
            }
            if !seen.contains(&group) {
                next.extend(
                    all.get(&group)
                        .map(|(_, children)| children.clone())
                        .unwrap_or_default(),
                );
                seen.push(group);
            }
        }
        wanted == "all"
    };
    // Groups come before `all` because the more specific group is the stronger one.
    group_vars.sort_by_cached_key(|name, _| name == "all");
    for (group, vars) in group_vars.iter() {
        let connection = vars.iter().filter(|(name, _)| name.starts_with("ansible_"));
        for (name, value) in connection {
            for (groups, own) in hosts
                .values_mut()
                .filter(|(groups, _)| within(groups, group, &written.groups))
            {
                let _ = groups;
                own.entry(name.clone()).or_insert_with(|| value.clone());
            }
        }
        let rest = plain(vars.clone().into_iter().collect());
        if group == "all" {
            written.vars.extend(rest);
        } else {
            written
                .groups
                .entry(group.clone())
                .or_default()
                .0
                .extend(rest);
        }
    }
    for (name, (groups, vars)) in std::mem::take(hosts) {
        let mut machine = GeneratedHost {
            groups,
            ..GeneratedHost::default()
        };
        settle(&mut machine, vars);
        written.hosts.push((name, machine));
    }
}

/// Converts a value as Ansible does: to a number or a boolean if it looks like one.
fn value(text: &str) -> Value {
    match text {
        "true" | "True" => true.into(),
        "false" | "False" => false.into(),
        _ => text.parse::<i64>().map_or_else(|_| text.into(), Into::into),
    }
}

/// Splits a line into words, without quotes, up to a comment.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote, mut inside) = (Vec::new(), String::new(), None, false);
    for letter in line.chars() {
        match (quote, letter) {
            (Some(mark), letter) if letter == mark => quote = None,
            (None, '"' | '\'') => (quote, inside) = (Some(letter), true),
            (None, '#') if !inside => break,
            (None, letter) if letter.is_whitespace() => {
                if inside {
                    words.push(std::mem::take(&mut word));
                }
                inside = false;
            }
            (_, letter) => {
                word.push(letter);
                inside = true;
            }
        }
    }
    if quote.is_some() {
        return Err("a quote is not closed".into());
    }
    if inside {
        words.push(word);
    }
    Ok(words)
}

/// Expands a range: `web[01:03]` means web01, web02, web03. A name may have one range.
fn range(pattern: &str) -> Result<Vec<String>, String> {
    let Some((before, rest)) = pattern.split_once('[') else {
        return Ok(vec![pattern.to_owned()]);
    };
    let refused = || {
        format!(
            "`{pattern}` needs Ansible itself; without Ansible, a name may have one range of numbers"
        )
    };
    let (inside, after) = rest.split_once(']').ok_or_else(refused)?;
    let (first, last) = inside.split_once(':').ok_or_else(refused)?;
    let number = |text: &str| text.parse::<u32>().map_err(|_| refused());
    let (from, to) = (number(first)?, number(last)?);
    if after.contains('[') || to < from || to - from > 10_000 {
        return Err(refused());
    }
    let width = first.len();
    Ok((from..=to)
        .map(|at| format!("{before}{at:0width$}{after}"))
        .collect())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const TEXT: &str = "lone ansible_host=10.0.0.9   # a comment\n\n[managers]\nm1 ansible_host=10.0.0.1 note='two words'\n\
        [workers]\nw[01:02] ansible_port=2222\n[swarm:children]\nmanagers\nworkers\n[swarm:vars]\nansible_user = ann\n\
        registry=\"m1:5000\"\n[all:vars]\nansible_user=bob\nansible_become=true\nsize=3\n";

    #[test]
    fn a_typical_file_is_read() {
        let read: toml::Table = read(TEXT, "x").unwrap().text().parse().unwrap();
        let host = |name: &str| read["hosts"][name].clone();
        assert_eq!(host("lone")["user"].as_str(), Some("bob"));
        assert_eq!(
            host("m1")["user"].as_str(),
            Some("ann"),
            "the more specific group is stronger"
        );
        assert_eq!(host("m1")["vars"]["note"].as_str(), Some("two words"));
        assert_eq!(
            (
                host("w02")["port"].as_integer(),
                host("w02")["become"].as_bool()
            ),
            (Some(2222), Some(true))
        );
        assert_eq!(
            read["groups"]["swarm"]["vars"]["registry"].as_str(),
            Some("m1:5000")
        );
        assert_eq!(read["vars"]["size"].as_integer(), Some(3));
    }

    #[test]
    fn unsupported_syntax_is_refused_with_its_line() {
        for (text, line) in [
            ("[a:what]\n", 1),
            ("\n[a\n", 2),
            ("\nw[a:c]\n", 2),
            ("a b\n", 1),
            ("a x='1\n", 1),
            ("[g:vars]\nx\n", 2),
            ("[g:children]\na b\n", 2),
        ] {
            assert_eq!(read(text, "x").unwrap_err().0, line, "{text}");
        }
    }
}
