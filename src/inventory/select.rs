//! Selects hosts by patterns, with Ansible's syntax: `all`, a group, a host, `web*`, `a,b` or `a:b`
//! (union), `a:!b` (difference), `a:&b` (intersection), `a[0]`, `a[-1]`, `a[1:]`, `a[0:2]` (by
//! position, the last position included). Unions are applied first, then intersections, then
//! differences, whatever the order of the terms. Hosts are returned in the order of the inventory.

use std::ops::Range;

use indexmap::IndexSet;

use super::Inventory;
use crate::base::{GlobUnit, glob_matches};
use crate::document::nearest;
use crate::names::HostName;

/// Error in a host pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct PatternError {
    /// Description of the error.
    pub message: String,
    /// Suggestion for a fix.
    pub hint: Option<String>,
    /// Byte range of the error in the pattern.
    pub span: Range<usize>,
}

impl Inventory {
    /// Returns the hosts that a pattern selects.
    ///
    /// # Errors
    /// [`PatternError`] for a name that is neither a host nor a group, or a malformed pattern.
    pub fn select(&self, pattern: &str) -> Result<IndexSet<HostName>, PatternError> {
        let mut selected: IndexSet<HostName> = IndexSet::new();
        let (mut required, mut excluded, mut has_positive) = (Vec::new(), Vec::new(), false);
        for (offset, term) in terms(pattern) {
            match term.chars().next() {
                Some('!') => excluded.push(self.term(&term[1..], offset + 1)?),
                Some('&') => required.push(self.term(&term[1..], offset + 1)?),
                _ => {
                    has_positive = true;
                    selected.extend(self.term(term, offset)?);
                }
            }
        }
        if !has_positive {
            if required.is_empty() && excluded.is_empty() {
                return Err(error(
                    "the pattern is empty",
                    Some("e.g. `all`"),
                    0..pattern.len(),
                ));
            }
            selected.extend(self.hosts.keys().cloned());
        }
        selected.retain(|host| required.iter().all(|set| set.contains(host)));
        selected.retain(|host| !excluded.iter().any(|set| set.contains(host)));
        selected.sort_by_cached_key(|host| self.hosts.get_index_of(host));
        Ok(selected)
    }

    fn term(&self, term: &str, offset: usize) -> Result<IndexSet<HostName>, PatternError> {
        let span = offset..offset + term.len();
        let Some((name, subscript)) = term.split_once('[') else {
            return self.named(term, span);
        };
        let hosts = self.named(name, offset..offset + name.len())?;
        let positions = subscript
            .strip_suffix(']')
            .and_then(|inside| positions(inside, hosts.len()));
        let Some(positions) = positions else {
            return Err(error(
                format!("`[{subscript}` is not a valid position"),
                Some("e.g. `managers[0]` or `managers[1:]`"),
                span,
            ));
        };
        let is_single = !subscript.contains(':');
        let chosen: IndexSet<HostName> = positions
            .filter_map(|position| hosts.get_index(position).cloned())
            .collect();
        if is_single && chosen.is_empty() {
            let plural = if hosts.len() == 1 { "host" } else { "hosts" };
            let message = format!(
                "`{term}` is beyond the end: `{name}` has {} {plural}",
                hosts.len()
            );
            return Err(error(message, Some("positions start at 0"), span));
        }
        Ok(chosen)
    }

    fn named(&self, name: &str, span: Range<usize>) -> Result<IndexSet<HostName>, PatternError> {
        if name == "all" || name == "*" {
            return Ok(self.hosts.keys().cloned().collect());
        }
        if name.contains(['*', '?']) {
            let in_group = |groups: &[String]| {
                groups
                    .iter()
                    .any(|group| glob_matches(name, group, GlobUnit::Character))
            };
            let matches = self.hosts.iter().filter(|(host, entry)| {
                glob_matches(name, host.as_str(), GlobUnit::Character) || in_group(&entry.groups)
            });
            let found: IndexSet<HostName> = matches.map(|(host, _)| host.clone()).collect();
            if found.is_empty() {
                return Err(error(
                    format!("`{name}` matches no host and no group"),
                    None,
                    span,
                ));
            }
            return Ok(found);
        }
        if let Some((host, _)) = self.hosts.get_key_value(&HostName::new(name)) {
            return Ok(IndexSet::from([host.clone()]));
        }
        if self.groups.contains_key(name) {
            let members = self
                .hosts
                .iter()
                .filter(|(_, host)| host.groups.iter().any(|group| group == name));
            return Ok(members.map(|(host, _)| host.clone()).collect());
        }
        let known = self
            .groups
            .keys()
            .map(String::as_str)
            .chain(self.hosts.keys().map(HostName::as_str))
            .chain(["all"]);
        Err(PatternError {
            message: format!("there is no group or host `{name}`"),
            hint: Some(nearest(name, known).map_or_else(
                || format!("declare a group without hosts with [groups.{name}]"),
                |near| format!("did you mean `{near}`?"),
            )),
            span,
        })
    }
}

fn error(message: impl Into<String>, hint: Option<&str>, span: Range<usize>) -> PatternError {
    PatternError {
        message: message.into(),
        hint: hint.map(str::to_owned),
        span,
    }
}

/// Splits a pattern into terms with their offsets, at each `,` and `:` outside brackets.
fn terms(pattern: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut start, mut depth) = (0, 0_u32);
    for (offset, letter) in pattern.char_indices().chain([(pattern.len(), ',')]) {
        match letter {
            '[' => depth += 1,
            ']' => depth = depth.saturating_sub(1),
            ',' | ':' if depth == 0 || offset == pattern.len() => {
                let term = &pattern[start..offset];
                let blank = term.len() - term.trim_start().len();
                if !term.trim().is_empty() {
                    found.push((start + blank, term.trim()));
                }
                start = offset + letter.len_utf8();
            }
            _ => {}
        }
    }
    found
}

fn positions(inside: &str, length: usize) -> Option<Range<usize>> {
    let last = i64::try_from(length).ok()? - 1;
    let parse = |text: &str, default: i64| {
        if text.is_empty() {
            Some(default)
        } else {
            text.parse::<i64>().ok()
        }
    };
    let from_start = |position: i64| {
        if position < 0 {
            position + last + 1
        } else {
            position
        }
    };
    let (first, final_one) = match inside.split_once(':') {
        Some((first, final_one)) => (
            from_start(parse(first, 0)?),
            from_start(parse(final_one, last)?),
        ),
        None => {
            let position = from_start(inside.parse().ok()?);
            (position, position)
        }
    };
    let clamp = |position: i64| usize::try_from(position.clamp(0, last + 1)).ok();
    if first < 0 && final_one < 0 {
        return Some(0..0);
    }
    Some(clamp(first)?..clamp(final_one + 1)?)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn inventory() -> Inventory {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("i.toml");
        let text = "[hosts.m1]\ngroups=['managers']\n[hosts.m2]\ngroups=['managers','db']\n[hosts.m3]\ngroups=['managers']\n\
                    [hosts.web1]\ngroups=['workers']\n[hosts.web2]\ngroups=['workers','db']\n[groups.empty]\n\
                    [groups.swarm]\nchildren=['managers','workers']\n";
        std::fs::write(&path, text).unwrap();
        Inventory::load(&[path], &[]).unwrap()
    }

    fn selected(pattern: &str) -> String {
        let hosts = inventory().select(pattern).unwrap();
        hosts
            .iter()
            .map(HostName::as_str)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[test]
    fn patterns_select() {
        for (pattern, hosts) in [
            ("all", "m1 m2 m3 web1 web2"),
            ("*", "m1 m2 m3 web1 web2"),
            ("managers", "m1 m2 m3"),
            ("swarm", "m1 m2 m3 web1 web2"),
            ("web2", "web2"),
            ("web*", "web1 web2"),
            ("?1", "m1"),
            ("work*", "web1 web2"),
            ("web2,m1", "m1 web2"),
            ("web2:m1", "m1 web2"),
            (" web2 , m1 ", "m1 web2"),
            ("managers:!m2", "m1 m3"),
            ("!managers", "web1 web2"),
            ("managers:&db", "m2"),
            ("&db:managers", "m2"),
            ("!m1:managers,workers:&db", "m2 web2"),
            ("managers[0]", "m1"),
            ("managers[-1]", "m3"),
            ("managers[1:]", "m2 m3"),
            ("managers[0:1]", "m1 m2"),
            ("managers[:-2]", "m1 m2"),
            ("managers[5:]", ""),
            ("managers[1:]:workers[0]", "m2 m3 web1"),
            ("empty", ""),
        ] {
            assert_eq!(selected(pattern), hosts, "{pattern}");
        }
    }

    #[test]
    fn wrong_patterns_are_reported_with_place_and_hint() {
        for (pattern, message, span) in [
            ("manager", "there is no group or host `manager`", 0..7),
            ("db:!web3", "there is no group or host `web3`", 4..8),
            ("x*", "`x*` matches no host and no group", 0..2),
            (
                "managers[3]",
                "`managers[3]` is beyond the end: `managers` has 3 hosts",
                0..11,
            ),
            ("managers[x]", "`[x]` is not a valid position", 0..11),
            ("managers[1", "`[1` is not a valid position", 0..10),
            (
                "empty[0]",
                "`empty[0]` is beyond the end: `empty` has 0 hosts",
                0..8,
            ),
            (" ,", "the pattern is empty", 0..2),
        ] {
            let error = inventory().select(pattern).unwrap_err();
            assert_eq!(
                (error.message.as_str(), error.span),
                (message, span),
                "{pattern}"
            );
        }
        assert_eq!(
            inventory().select("manager").unwrap_err().hint.as_deref(),
            Some("did you mean `managers`?")
        );
    }
}
