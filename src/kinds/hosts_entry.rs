//! `hosts_entry`: an address and its names in /etc/hosts. A name has one address of each family,
//! and is removed from other lines, including the host's own `127.0.1.1` line. All other lines stay
//! byte for byte.

use std::net::IpAddr;

use serde::Deserialize;

use super::DesiredState;
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, Operation,
    PathState, PathType, ProbeError, Query, Refusal, ResourceKind, Step, WriteFile,
};

/// Names of an address in /etc/hosts.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostsEntryResource {
    /// IPv4 or IPv6 address.
    address: IpAddr,
    /// Names; the canonical name comes first.
    names: Vec<String>,
    /// `"present"` (default) or `"absent"` (removes the names from the address).
    #[serde(default)]
    state: DesiredState,
}

const PATH: &str = "/etc/hosts";

impl ResourceKind for HostsEntryResource {
    const NAME: &'static str = "hosts_entry";
    const IS_LOCAL: bool = true;
    type Observed = Option<PathState>;

    fn name(&self) -> String {
        format!("{} {}", self.address, self.names.join(" "))
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        if self.names.is_empty() {
            return Err(InvalidField::new("names", "an entry has at least one name")
                .hint("write names = [\"docker01\"]"));
        }
        for name in &self.names {
            if !is_host_name(name) {
                return Err(InvalidField::new("names", format!("{name:?} is not a host name"))
                    .hint("use letters, digits, \"-\" and \".\"; each part has 1 to 63 characters and no \"-\" at its ends"));
            }
            if name.eq_ignore_ascii_case("localhost") && !self.address.is_loopback() {
                return Err(InvalidField::new(
                    "names",
                    format!("localhost must be a loopback address, not {}", self.address),
                ));
            }
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        vec![Query::content(PATH)]
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        Ok(Observation::Known(answers.path(PATH)?.cloned()))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        if observed
            .as_ref()
            .is_some_and(|path| path.kind != PathType::File || path.content.is_none())
        {
            return Err(Refusal {
                why: format!("{PATH} is not a readable regular file"),
                hint: "check the file: it is usually a short text file owned by root".into(),
            });
        }
        let content = observed
            .as_ref()
            .and_then(|file| file.content.clone())
            .unwrap_or_default();
        let Ok(before) = String::from_utf8(content) else {
            return Err(Refusal {
                why: format!("{PATH} is not UTF-8 text"),
                hint: "correct it by hand".into(),
            });
        };
        let after = match self.state {
            DesiredState::Present => self.with_names(&before),
            DesiredState::Absent => self.without_names(&before, |address| address == self.address),
        };
        if after == before {
            return Ok(None);
        }
        let action = match (self.state, observed) {
            (DesiredState::Absent, _) => Action::Delete,
            (DesiredState::Present, None) => Action::Create,
            (DesiredState::Present, Some(_)) => Action::Update,
        };
        let shown = if observed.is_some() {
            DisplayValue::Lines(before)
        } else {
            DisplayValue::Absent
        };
        let mut change = Change::new(action).field(PATH, shown, DisplayValue::Lines(after.clone()));
        if is_cloud_init_file(&after) {
            change = change.note(
                "cloud-init writes this file again at each boot (manage_etc_hosts): set `manage_etc_hosts: false` for cloud-init, or add the entry to /etc/cloud/templates",
            );
        }
        Ok(Some(change.step(write(observed.as_ref(), after))))
    }
}

/// Returns true if the comments at the top of the file say that cloud-init writes it at each boot
/// (templates/hosts.debian.tmpl of cloud-init).
fn is_cloud_init_file(text: &str) -> bool {
    let mut comments = text.lines().filter(|line| line.starts_with('#'));
    comments.any(|line| line.contains("manage_etc_hosts") && line.contains("True"))
}

fn write(before: Option<&PathState>, content: String) -> Step {
    let (owner, group) = before.map_or((0, 0), |file| (file.uid, file.gid));
    Step {
        summary: format!("write {PATH}"),
        act: Operation::WriteFile(WriteFile {
            path: PATH.into(),
            content: content.into_bytes(),
            owner: owner.to_string(),
            group: group.to_string(),
            mode: before.map_or(0o644, |file| file.mode),
        }),
    }
}

impl HostsEntryResource {
    /// Returns the entry of one name, for kinds that need an entry beside their own work.
    pub(super) fn of(address: IpAddr, name: &str) -> Self {
        Self {
            address,
            names: vec![name.to_owned()],
            state: DesiredState::Present,
        }
    }

    /// Returns the entry of one name with state absent.
    pub(super) fn without(address: IpAddr, name: &str) -> Self {
        Self {
            state: DesiredState::Absent,
            ..Self::of(address, name)
        }
    }

    /// Returns the text in which every name belongs to the address, and to no other address of its
    /// family.
    fn with_names(&self, text: &str) -> String {
        let text = self.without_names(text, |address| {
            address != self.address && address.is_ipv4() == self.address.is_ipv4()
        });
        let own = |line: &str| parse(line).is_some_and(|(address, _)| address == self.address);
        let there: Vec<&str> = text
            .lines()
            .filter(|line| own(line))
            .filter_map(|line| parse(line).map(|one| one.1))
            .flatten()
            .collect();
        let missing: Vec<&str> = self
            .names
            .iter()
            .map(String::as_str)
            .filter(|name| !contains(&there, name))
            .collect();
        let text = self.with_canonical_first(&text, own);
        if missing.is_empty() {
            return text;
        }
        // The names join the first line of the address, because the resolver shows the first name
        // of a line as the canonical name.
        let mut joined = false;
        let mut result = String::new();
        for line in text.split_inclusive('\n') {
            if own(line) && !joined {
                joined = true;
                let (entry, comment) = split_comment(line);
                let (entry, space) = entry.split_at(entry.trim_end().len());
                result.push_str(&format!("{entry} {}{space}{comment}", missing.join(" ")));
            } else {
                result.push_str(line);
            }
        }
        if !joined {
            if !result.is_empty() && !result.ends_with('\n') {
                result.push('\n');
            }
            result.push_str(&format!("{}\t{}\n", self.address, missing.join(" ")));
        }
        result
    }

    /// Returns the text in which the canonical name precedes the other names of the entry on its
    /// line: the resolver shows the first name of a line as the canonical name. Names that the
    /// entry does not have keep their places.
    fn with_canonical_first(&self, text: &str, own: impl Fn(&str) -> bool) -> String {
        let wanted: Vec<&str> = self.names.iter().map(String::as_str).collect();
        let ordered = |line: &str| {
            let (_, names) = parse(line).filter(|_| own(line))?;
            let first = names.iter().position(|name| contains(&wanted, name))?;
            let canonical = names
                .iter()
                .position(|name| name.eq_ignore_ascii_case(wanted[0]))?;
            if canonical <= first {
                return None;
            }
            let mut names = names;
            let name = names.remove(canonical);
            names.insert(first, name);
            let (entry, comment) = split_comment(line);
            let word = entry.split_whitespace().next()?;
            let space = &entry[entry.trim_end().len()..];
            Some(format!("{word}\t{}{space}{comment}", names.join(" ")))
        };
        text.split_inclusive('\n')
            .map(|line| ordered(line).unwrap_or_else(|| line.to_owned()))
            .collect()
    }

    /// Returns the text in which no line of the selected addresses has any of the names.
    fn without_names(&self, text: &str, of: impl Fn(IpAddr) -> bool) -> String {
        let mut result = String::new();
        for line in text.split_inclusive('\n') {
            let Some((address, names)) = parse(line).filter(|(address, _)| of(*address)) else {
                result.push_str(line);
                continue;
            };
            let wanted: Vec<&str> = self.names.iter().map(String::as_str).collect();
            let kept: Vec<&str> = names
                .iter()
                .copied()
                .filter(|name| !contains(&wanted, name))
                .collect();
            if kept.len() == names.len() {
                result.push_str(line);
            } else if !kept.is_empty() {
                let (entry, comment) = split_comment(line);
                let word = entry
                    .split_whitespace()
                    .next()
                    .map_or_else(|| address.to_string(), str::to_owned);
                let space = &entry[entry.trim_end().len()..];
                result.push_str(&format!("{word}\t{}{space}{comment}", kept.join(" ")));
            }
        }
        result
    }
}

/// Compares names without regard to case (hosts(5) leaves that to the resolver, and DNS does so).
fn contains(names: &[&str], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

fn split_comment(line: &str) -> (&str, &str) {
    line.find('#').map_or((line, ""), |at| line.split_at(at))
}

/// Returns address and names of a line; `None` for empty lines, comments and unreadable lines.
fn parse(line: &str) -> Option<(IpAddr, Vec<&str>)> {
    let mut words = split_comment(line).0.split_whitespace();
    let address = words.next()?.parse().ok()?;
    Some((address, words.collect()))
}

/// Returns true for a host name by RFC 1123, 2.1; underscores are allowed, because they are in use.
pub(super) fn is_host_name(name: &str) -> bool {
    let part = |part: &str| {
        let signs = part
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || matches!(one, '-' | '_'));
        (1..=63).contains(&part.len()) && signs && !part.starts_with('-') && !part.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(part) && name.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial;
    use super::*;
    use crate::model::{HostAnswers, QueryAnswer};

    const DEBIAN: &str = "127.0.0.1\tlocalhost\n127.0.1.1\tdocker01.lan docker01 # installer\n\n# IPv6\n::1  localhost ip6-localhost\n";

    fn after(table: &str, before: &str) -> Option<String> {
        let entry: HostsEntryResource = trial::kind(table);
        let plan = |text: &str| {
            trial::plan(
                &entry,
                &HostAnswers::default().with(Query::content(PATH), trial::file_answer(text)),
            )
        };
        let change = plan(before)?;
        let Operation::WriteFile(file) = &change.steps[0].act else {
            panic!()
        };
        let after = String::from_utf8(file.content.clone()).unwrap();
        assert!(plan(&after).is_none(), "after the steps the plan is empty");
        Some(after)
    }

    const ENTRY: &str = "address = '192.168.56.11'\nnames = ['docker01', 'registry']";

    #[test]
    fn moves_names_to_their_address_and_keeps_other_lines() {
        let wanted = DEBIAN.replace("docker01.lan docker01 #", "docker01.lan #")
            + "192.168.56.11\tdocker01 registry\n";
        assert_eq!(after(ENTRY, DEBIAN).unwrap(), wanted);
        assert_eq!(after(ENTRY, &wanted), None);
        assert_eq!(
            after(ENTRY, "").unwrap(),
            "192.168.56.11\tdocker01 registry\n"
        );
        assert_eq!(
            after(ENTRY, "1.2.3.4 x").unwrap(),
            "1.2.3.4 x\n192.168.56.11\tdocker01 registry\n"
        );
    }

    #[test]
    fn adds_names_to_the_line_of_their_address() {
        let before = "192.168.56.11   db  DOCKER01 # kept\n10.0.0.9 registry\n";
        assert_eq!(
            after(ENTRY, before).unwrap(),
            "192.168.56.11   db  DOCKER01 registry # kept\n"
        );
        assert_eq!(
            after(ENTRY, "192.168.56.11 docker01\n192.168.56.11 registry\n"),
            None
        );
    }

    #[test]
    fn the_canonical_name_precedes_the_others() {
        assert_eq!(
            after(ENTRY, "192.168.56.11 db registry  docker01 # kept\n").unwrap(),
            "192.168.56.11\tdb docker01 registry # kept\n"
        );
        assert_eq!(after(ENTRY, "192.168.56.11 docker01 db registry\n"), None);
    }

    #[test]
    fn a_file_that_cloud_init_writes_again_is_named() {
        let entry: HostsEntryResource = trial::kind(ENTRY);
        let notes = |head: &str| {
            let text = format!("{head}127.0.0.1 localhost\n");
            let answers =
                HostAnswers::default().with(Query::content(PATH), trial::file_answer(&text));
            trial::plan(&entry, &answers).unwrap().notes
        };
        let head = "# Your system has configured 'manage_etc_hosts' as True.\n# more\n";
        assert!(notes(head)[0].contains("cloud-init"), "{:?}", notes(head));
        assert!(notes("# manage_etc_hosts\n").is_empty());
    }

    #[test]
    fn keeps_the_other_address_family() {
        assert_eq!(
            after("address = '127.0.0.1'\nnames = ['localhost']", DEBIAN),
            None
        );
        let six = after("address = 'fd00::1'\nnames = ['docker01']", DEBIAN).unwrap();
        assert_eq!(six, format!("{DEBIAN}fd00::1\tdocker01\n"));
    }

    #[test]
    fn absent_removes_names() {
        let gone =
            |names: &str| format!("address = '127.0.1.1'\nnames = {names}\nstate = 'absent'");
        assert_eq!(
            after(&gone("['docker01']"), DEBIAN).unwrap(),
            DEBIAN.replace("lan docker01 #", "lan #")
        );
        let line = "127.0.1.1\tdocker01.lan docker01 # installer\n";
        assert_eq!(
            after(&gone("['docker01', 'docker01.lan']"), DEBIAN).unwrap(),
            DEBIAN.replace(line, "")
        );
        assert_eq!(after(&gone("['other']"), DEBIAN), None);
    }

    #[test]
    fn keeps_owner_and_mode_and_refuses_unreadable_files() {
        let entry: HostsEntryResource = trial::kind(ENTRY);
        let at = |answer| HostAnswers::default().with(Query::content(PATH), answer);
        let odd = PathState {
            mode: 0o664,
            gid: 50,
            content: Some(Vec::new()),
            ..trial::path_state(PathType::File, 0)
        };
        let change = trial::plan(&entry, &at(QueryAnswer::Path(Some(odd)))).unwrap();
        let Operation::WriteFile(file) = &change.steps[0].act else {
            panic!()
        };
        assert_eq!((file.mode, file.group.as_str()), (0o664, "50"));
        assert_eq!(
            trial::plan(&entry, &at(QueryAnswer::Path(None)))
                .unwrap()
                .action,
            Action::Create
        );
        trial::refusal(&entry, &at(trial::path_answer(PathType::Symlink, 0o777)));
        let binary = PathState {
            content: Some(vec![0xff]),
            ..trial::path_state(PathType::File, 0o644)
        };
        trial::refusal(&entry, &at(QueryAnswer::Path(Some(binary))));
    }

    #[test]
    fn bad_input_is_refused() {
        for (address, name) in [
            ("1.2.3", "a"),
            ("", "a"),
            ("1.2.3.4", ""),
            ("1.2.3.4", "-a"),
            ("1.2.3.4", "a b"),
            ("1.2.3.4", "a\n6.6.6.6 bank.example"),
            ("1.2.3.4", "$(id)"),
            ("1.2.3.4", "a#"),
            ("1.2.3.4", "5.6.7.8"),
            ("1.2.3.4", "localhost"),
        ] {
            trial::invalid::<HostsEntryResource>(&format!(
                "address = '{address}'\nnames = [{}]",
                trial::quoted(name)
            ));
        }
        trial::invalid::<HostsEntryResource>("address = '1.2.3.4'\nnames = []");
    }
}
