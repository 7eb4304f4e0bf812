//! Reads the INI format of Ansible inventories without Ansible: hosts with `key=value`, `[group]`,
//! `[group:vars]`, `[group:children]`, and ranges such as `web[01:03]` (docs.ansible.com, "How to
//! build your inventory"). Syntax that needs Ansible's own code is refused.

use indexmap::IndexMap;
use serde_json::{Map, Value};

use super::python_literal::value;
use super::{AnsibleGroup, AnsibleInventory};

enum IniSection {
    Hosts(String),
    Vars(String),
    Children(String),
}

/// Reads the text. An error is a line number, from 1, and a message.
pub(super) fn read(text: &str) -> Result<AnsibleInventory, (usize, String)> {
    let mut inventory = AnsibleInventory::default();
    let mut section = IniSection::Hosts("ungrouped".to_owned());
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        take(&mut inventory, &mut section, line).map_err(|why| (index + 1, why))?;
    }
    // `ungrouped` has only the hosts that are in no other group.
    let grouped: Vec<String> = inventory
        .groups
        .iter()
        .filter(|(name, _)| *name != "ungrouped" && *name != "all")
        .flat_map(|(_, group)| group.hosts.clone())
        .collect();
    if let Some(group) = inventory.groups.get_mut("ungrouped") {
        group.hosts.retain(|host| !grouped.contains(host));
    }
    Ok(inventory)
}

fn take(
    inventory: &mut AnsibleInventory,
    section: &mut IniSection,
    line: &str,
) -> Result<(), String> {
    if let Some(header) = header(line)? {
        let (group, kind) = header.split_once(':').unwrap_or((header, "hosts"));
        inventory.groups.entry(group.to_owned()).or_default();
        *section = match kind {
            "hosts" => IniSection::Hosts(group.to_owned()),
            "vars" => IniSection::Vars(group.to_owned()),
            "children" => IniSection::Children(group.to_owned()),
            other => {
                return Err(format!(
                    "`[{group}:{other}]` is not a section of an inventory"
                ));
            }
        };
        return Ok(());
    }
    match section {
        IniSection::Hosts(group) => {
            let group = inventory.groups.entry(group.clone()).or_default();
            hosts(group, &mut inventory.hosts, line)
        }
        IniSection::Vars(group) => {
            let (key, text) = line
                .split_once('=')
                .ok_or_else(|| format!("`{line}` is not key=value"))?;
            let group = inventory.groups.entry(group.clone()).or_default();
            group.vars.insert(key.trim().to_owned(), value(text)?);
            Ok(())
        }
        IniSection::Children(group) => {
            let words = words(line)?;
            let [child] = words.as_slice() else {
                return Err(format!("`{line}` is not the name of one group"));
            };
            inventory.groups.entry(child.clone()).or_default();
            let group = inventory.groups.entry(group.clone()).or_default();
            group.children.push(child.clone());
            Ok(())
        }
    }
}

/// Returns the content of a section's header, or `None` if the line is none. `[2001:db8::1]:22`
/// is a host: text other than a comment follows its bracket.
fn header(line: &str) -> Result<Option<&str>, String> {
    let Some(rest) = line.strip_prefix('[') else {
        return Ok(None);
    };
    let (header, after) = rest
        .split_once(']')
        .ok_or_else(|| format!("`{line}` has no closing bracket"))?;
    let after = after.trim();
    let is_header = after.is_empty() || after.starts_with('#');
    Ok((is_header && header.parse::<std::net::Ipv6Addr>().is_err()).then_some(header))
}

/// Reads a line of a group's hosts: a name or a range of names, and variables.
fn hosts(
    group: &mut AnsibleGroup,
    hosts: &mut IndexMap<String, Map<String, Value>>,
    line: &str,
) -> Result<(), String> {
    let words = words(line)?;
    let Some((pattern, pairs)) = words.split_first() else {
        return Ok(());
    };
    let (pattern, port) = split_port(pattern)?;
    for name in range(pattern)? {
        if !group.hosts.contains(&name) {
            group.hosts.push(name.clone());
        }
        let vars = hosts.entry(name).or_default();
        if let Some(port) = port {
            vars.insert("ansible_port".into(), port.into());
        }
        for pair in pairs {
            let (key, text) = pair
                .split_once('=')
                .ok_or_else(|| format!("`{pair}` is not key=value"))?;
            vars.insert(key.to_owned(), value(text)?);
        }
    }
    Ok(())
}

/// Splits `web1:2222` and `[2001:db8::1]:2222`. An IPv6 address without brackets has no port.
fn split_port(pattern: &str) -> Result<(&str, Option<u16>), String> {
    let number = |port: &str| {
        port.parse::<u16>()
            .map(Some)
            .map_err(|_| format!("`{port}` is not a valid port"))
    };
    let bracketed = pattern
        .strip_prefix('[')
        .and_then(|rest| rest.split_once(']'))
        .filter(|(address, _)| address.parse::<std::net::Ipv6Addr>().is_ok());
    if let Some((address, after)) = bracketed {
        return match after.strip_prefix(':') {
            Some(port) => Ok((address, number(port)?)),
            None if after.is_empty() => Ok((address, None)),
            None => Err(format!("`{pattern}` is not a host")),
        };
    }
    match pattern.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') && !port.ends_with(']') => {
            Ok((name, number(port)?))
        }
        _ => Ok((pattern, None)),
    }
}

/// Splits a line into words as Python's `shlex` does: without quotes and backslashes, up to a
/// comment, which may begin inside a word.
fn words(line: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote, mut inside) = (Vec::new(), String::new(), None, false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(mark), letter) if letter == mark => quote = None,
            (None, '"' | '\'') => (quote, inside) = (Some(letter), true),
            (None, '\\') => {
                word.push(letters.next().ok_or("a backslash ends the line")?);
                inside = true;
            }
            (Some('"'), '\\') if matches!(letters.peek(), Some('"' | '\\')) => {
                word.extend(letters.next());
            }
            (None, '#') => break,
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
        let read = read(TEXT).unwrap();
        let hosts: Vec<&String> = read.hosts.keys().collect();
        assert_eq!(hosts, ["lone", "m1", "w01", "w02"]);
        assert_eq!(read.hosts["m1"]["note"], "two words");
        assert_eq!(read.hosts["w02"]["ansible_port"], 2222);
        assert_eq!(read.groups["swarm"].children, ["managers", "workers"]);
        assert_eq!(read.groups["swarm"].vars["registry"], "m1:5000");
        assert_eq!(read.groups["all"].vars["ansible_become"], "true");
        assert_eq!(read.groups["ungrouped"].hosts, ["lone"]);
    }

    #[test]
    fn addresses_with_ports_are_hosts() {
        let read =
            read("[m] # managers\n[2001:db8::1]:2222\n2001:db8::2\nann@10.0.0.7\n[n]\n").unwrap();
        let hosts: Vec<&String> = read.hosts.keys().collect();
        assert_eq!(hosts, ["2001:db8::1", "2001:db8::2", "ann@10.0.0.7"]);
        assert_eq!(read.hosts["2001:db8::1"]["ansible_port"], 2222);
        assert!(read.groups.contains_key("n"));
    }

    /// The words are those of `ansible-inventory` 2.14.
    #[test]
    fn lines_are_split_as_python_splits_them() {
        assert_eq!(words("m1 note=a#b x=c").unwrap(), ["m1", "note=a"]);
        assert_eq!(
            words(r#"m1 x=c\ d y="q\"r" z='a\b'"#).unwrap(),
            ["m1", "x=c d", "y=q\"r", r"z=a\b"]
        );
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
            assert_eq!(read(text).unwrap_err().0, line, "{text}");
        }
    }
}
