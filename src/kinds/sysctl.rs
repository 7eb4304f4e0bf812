//! `sysctl`: a kernel parameter, now and after the next boot. The shell writes the value to
//! /proc/sys, because bare hosts may lack sysctl(8); a file below /etc/sysctl.d keeps it.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

use super::{AbsolutePath, DesiredState};
use crate::base::path_script;
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, Operation,
    PathState, PathType, ProbeError, Query, Refusal, ResourceKind, ShellQuery, Step, WriteFile,
};

/// A kernel parameter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SysctlResource {
    /// Name of the parameter, e.g. `net.ipv4.ip_forward`.
    key: String,
    /// Value: text, a number, or true and false for 1 and 0. Several values are separated by
    /// spaces.
    value: Option<SysctlValue>,
    /// File that keeps the value; its other settings stay. Default
    /// `/etc/sysctl.d/60-skep-KEY.conf`.
    file: Option<AbsolutePath>,
    /// `"present"` (default) or `"absent"` (removed from the file; the running kernel keeps its
    /// value until the next boot).
    #[serde(default)]
    state: DesiredState,
}

/// A value in which each run of spaces and tabs is one space, because the kernel separates values
/// by tabs and people by spaces.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SysctlValue(String);

/// The parameter in the kernel and in its file.
#[derive(Debug)]
pub struct SysctlState {
    live: Option<String>,
    file: Option<PathState>,
}

/// Arguments: `$1` the file in /proc/sys, `$2` the value.
const SET: &str = r#"if [ ! -e "$1" ]; then
  printf 'this kernel has no %s; is its module loaded?\n' "$1" >&2
  exit 1
fi
if ! printf '%s\n' "$2" 2>/dev/null >"$1"; then
  printf 'the kernel does not take %s for %s\n' "$2" "$1" >&2
  exit 1
fi
"#;

const REMOVE: &str = "remove_file \"$1\"\n";

impl ResourceKind for SysctlResource {
    const NAME: &'static str = "sysctl";
    const IS_LOCAL: bool = true;
    type Observed = SysctlState;

    fn name(&self) -> String {
        self.key.clone()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        let part = |part: &str| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | ':' | '@'))
        };
        let parts: Vec<&str> = self.key.split(['.', '/']).collect();
        if parts.len() < 2
            || self.key.starts_with('-')
            || self.key.len() > 200
            || !parts.iter().all(|one| part(one))
        {
            return Err(InvalidField::new(
                "key",
                format!("{:?} is not the name of a kernel parameter", self.key),
            )
            .hint("write it as sysctl shows it, e.g. net.ipv4.ip_forward"));
        }
        match (self.state, &self.value) {
            (DesiredState::Present, None) => {
                Err(InvalidField::new("value", "a parameter needs a value")
                    .hint("add value = \"1\""))
            }
            (DesiredState::Absent, Some(_)) => Err(InvalidField::new(
                "value",
                "a parameter with state = \"absent\" has no value",
            )
            .hint("remove `value`, or the line `state = \"absent\"`")),
            _ => Ok(()),
        }
    }

    fn queries(&self) -> Vec<Query> {
        vec![
            Query::Shell(ShellQuery::Sysctl(self.key.clone())),
            Query::content(self.path()),
        ]
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let live = answers.sysctl(&self.key)?.clone();
        Ok(Observation::Known(SysctlState {
            live,
            file: answers.path(&self.path())?.cloned(),
        }))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        let path = self.path();
        let text = match &observed.file {
            None => None,
            Some(PathState {
                kind: PathType::File,
                content: Some(content),
                ..
            }) => String::from_utf8(content.clone()).ok(),
            Some(_) => None,
        };
        if observed.file.is_some() && text.is_none() {
            return Err(Refusal {
                why: format!("{path} is not a plain text file"),
                hint: "move it away, or name another `file`".into(),
            });
        }
        let Some(value) = &self.value else {
            return Ok(self.plan_absent(observed, text));
        };
        let live = observed.live.as_deref().map(normal);
        let kept = self.with_value(text.as_deref().unwrap_or_default(), &value.0);
        let mut change = Change::new(if text.is_none() {
            Action::Create
        } else {
            Action::Update
        });
        if live.as_ref() != Some(&value.0) {
            let arguments = [self.proc_path(), value.0.clone()];
            change = change
                .field(
                    "value",
                    live.map_or(DisplayValue::Absent, DisplayValue::Text),
                    DisplayValue::text(&value.0),
                )
                .step(Step::script(
                    format!("set {} to {}", self.key, value.0),
                    SET,
                    arguments,
                ));
        }
        if text.as_ref() != Some(&kept) {
            change = change
                .field(
                    &path,
                    text.map_or(DisplayValue::Absent, DisplayValue::Lines),
                    DisplayValue::Lines(kept.clone()),
                )
                .step(write(&path, observed.file.as_ref(), kept));
        }
        Ok((!change.fields.is_empty()).then_some(change))
    }
}

impl SysctlResource {
    fn path(&self) -> String {
        let name = || format!("/etc/sysctl.d/60-skep-{}.conf", self.key.replace('/', "-"));
        self.file.as_ref().map_or_else(name, ToString::to_string)
    }

    /// Returns the path in /proc/sys. Both dots and slashes separate the parts of a key; if the
    /// first separator is a slash, dots are part of names (sysctl.d(5)).
    fn proc_path(&self) -> String {
        let slashes = self
            .key
            .find(['.', '/'])
            .is_some_and(|at| self.key[at..].starts_with('/'));
        let swap = |one: char| match one {
            '.' if !slashes => '/',
            '/' if !slashes => '.',
            other => other,
        };
        format!(
            "/proc/sys/{}",
            self.key.chars().map(swap).collect::<String>()
        )
    }

    fn is_own(&self, line: &str) -> bool {
        let line = line.trim_start();
        let key = line
            .strip_prefix('-')
            .unwrap_or(line)
            .split('=')
            .next()
            .unwrap_or_default()
            .trim();
        !line.starts_with(['#', ';'])
            && (key == self.key || key.replace('/', ".") == self.key.replace('/', "."))
    }

    /// Returns the file with the value set once; all other lines stay byte for byte.
    fn with_value(&self, text: &str, value: &str) -> String {
        let setting = format!("{} = {value}", self.key);
        let right = |line: &str| {
            line.split_once('=')
                .is_some_and(|(_, after)| normal(after) == value)
        };
        let own: Vec<&str> = text.lines().filter(|line| self.is_own(line)).collect();
        if own.len() == 1 && right(own[0]) {
            return text.to_owned();
        }
        let mut result = self.without_value(text);
        if result.is_empty() {
            result.push_str("# Managed by skep.\n");
        } else if !result.ends_with('\n') {
            result.push('\n');
        }
        result + &setting + "\n"
    }

    fn without_value(&self, text: &str) -> String {
        text.split_inclusive('\n')
            .filter(|line| !self.is_own(line))
            .collect()
    }

    fn plan_absent(&self, observed: &SysctlState, text: Option<String>) -> Option<Change> {
        let (path, before) = (self.path(), text?);
        let rest = self.without_value(&before);
        let empty = rest
            .lines()
            .all(|line| line.trim().is_empty() || line.starts_with(['#', ';']));
        // The default file is removed as a whole; a named `file` only loses the setting.
        let goes = self.file.is_none() && empty;
        if rest == before && !goes {
            return None;
        }
        let change = Change::new(Action::Delete)
            .note("the running kernel keeps its value until the next boot");
        let shown = DisplayValue::Lines(before);
        Some(if goes {
            change
                .field(&path, shown, DisplayValue::Absent)
                .step(Step::script(
                    format!("remove {path}"),
                    path_script(REMOVE),
                    [path],
                ))
        } else {
            change
                .field(&path, shown, DisplayValue::Lines(rest.clone()))
                .step(write(&path, observed.file.as_ref(), rest))
        })
    }
}

fn write(path: &str, before: Option<&PathState>, content: String) -> Step {
    let (owner, group) = before.map_or((0, 0), |file| (file.uid, file.gid));
    Step {
        summary: format!("write {path}"),
        act: Operation::WriteFile(WriteFile {
            path: path.into(),
            content: content.into_bytes(),
            owner: owner.to_string(),
            group: group.to_string(),
            mode: before.map_or(0o644, |file| file.mode),
        }),
    }
}

fn normal(value: &str) -> String {
    value.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl<'de> Deserialize<'de> for SysctlValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl Visitor<'_> for ValueVisitor {
    type Value = SysctlValue;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value of a kernel parameter: text, a whole number, true or false")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<SysctlValue, E> {
        if normal(text).is_empty()
            || text.len() > 4000
            || text.chars().any(|one| one.is_control() && one != '\t')
        {
            return Err(E::custom(format!(
                "{text:?} is not the value of a kernel parameter: one line of text"
            )));
        }
        Ok(SysctlValue(normal(text)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<SysctlValue, E> {
        Ok(SysctlValue(number.to_string()))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<SysctlValue, E> {
        Ok(SysctlValue(u8::from(value).to_string()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial::{self, HOSTILE_NAMES, ScratchFolder};
    use super::*;
    use crate::model::{HostAnswers, QueryAnswer};

    const FILE: &str = "/etc/sysctl.d/60-skep-net.ipv4.ip_local_port_range.conf";
    const RANGE: &str = "key = 'net.ipv4.ip_local_port_range'\nvalue = '1024  65000'";
    const KEPT: &str = "# Managed by skep.\nnet.ipv4.ip_local_port_range = 1024 65000\n";

    fn host(live: Option<&str>, path: &str, file: Option<&str>) -> HostAnswers {
        let file = file.map_or(QueryAnswer::Path(None), trial::file_answer);
        let key = "net.ipv4.ip_local_port_range";
        HostAnswers::default()
            .with(
                Query::Shell(ShellQuery::Sysctl(key.into())),
                QueryAnswer::Sysctl(live.map(str::to_owned)),
            )
            .with(Query::content(path), file)
    }

    #[test]
    fn only_differences_are_planned() {
        let range: SysctlResource = trial::kind(RANGE);
        let change = trial::plan(&range, &host(Some("32768\t60999\n"), FILE, None)).unwrap();
        assert_eq!(
            trial::fields(&change),
            [
                "value: 32768 60999 => 1024 65000".to_owned(),
                format!("{FILE}: - => {KEPT}")
            ]
        );
        assert_eq!(
            trial::arguments(&change),
            [["/proc/sys/net/ipv4/ip_local_port_range", "1024 65000"]]
        );
        assert!(trial::plan(&range, &host(Some("1024\t65000"), FILE, Some(KEPT))).is_none());
        let rebooted = trial::plan(&range, &host(Some("32768\t60999"), FILE, Some(KEPT))).unwrap();
        assert_eq!(
            trial::fields(&rebooted),
            ["value: 32768 60999 => 1024 65000"]
        );
        let module = trial::plan(&range, &host(None, FILE, Some(KEPT))).unwrap();
        assert_eq!(trial::fields(&module), ["value: - => 1024 65000"]);
        trial::refusal(
            &range,
            &host(None, FILE, None).with(
                Query::content(FILE),
                trial::path_answer(PathType::Directory, 0),
            ),
        );
    }

    #[test]
    fn other_settings_of_the_file_stay() {
        let table = format!("{RANGE}\nfile = '/etc/sysctl.d/local.conf'");
        let shared: SysctlResource = trial::kind(&table);
        let at = |text| host(Some("1024 65000"), "/etc/sysctl.d/local.conf", Some(text));
        let change = trial::plan(
            &shared,
            &at("vm.swappiness=10\n-net/ipv4/ip_local_port_range=1 2\n# end"),
        )
        .unwrap();
        let Operation::WriteFile(file) = &change.steps[0].act else {
            panic!()
        };
        let after = String::from_utf8(file.content.clone()).unwrap();
        assert_eq!(
            after,
            "vm.swappiness=10\n# end\nnet.ipv4.ip_local_port_range = 1024 65000\n"
        );
        assert!(trial::plan(&shared, &at(Box::leak(after.into_boxed_str()))).is_none());
        assert!(
            trial::plan(&shared, &at("net.ipv4.ip_local_port_range=1024\t65000")).is_none(),
            "an equivalent notation"
        );
    }

    #[test]
    fn absent_parameter_is_removed_from_its_file() {
        let gone: SysctlResource =
            trial::kind("key = 'net.ipv4.ip_local_port_range'\nstate = 'absent'");
        assert!(trial::plan(&gone, &host(Some("1 2"), FILE, None)).is_none());
        let change = trial::plan(&gone, &host(Some("1 2"), FILE, Some(KEPT))).unwrap();
        assert_eq!(
            (change.action, trial::arguments(&change)),
            (Action::Delete, vec![vec![FILE.to_owned()]])
        );
        let mixed = format!("vm.swappiness=10\n{KEPT}");
        let change = trial::plan(&gone, &host(Some("1 2"), FILE, Some(&mixed))).unwrap();
        assert!(
            matches!(&change.steps[0].act, Operation::WriteFile(file) if file.content == b"vm.swappiness=10\n# Managed by skep.\n")
        );
    }

    #[test]
    fn keys_and_values_follow_the_manual() {
        let path = |key: &str| {
            trial::kind::<SysctlResource>(&format!("key = '{key}'\nvalue = true")).proc_path()
        };
        assert_eq!(
            path("net.ipv4.conf.eth0/100.forwarding"),
            "/proc/sys/net/ipv4/conf/eth0.100/forwarding"
        );
        assert_eq!(
            path("net/ipv4/conf/eth0.100/forwarding"),
            "/proc/sys/net/ipv4/conf/eth0.100/forwarding"
        );
        assert_eq!(
            trial::kind::<SysctlResource>("key = 'a.b'\nvalue = 0").value,
            Some(SysctlValue("0".into()))
        );
        assert_eq!(
            trial::kind::<SysctlResource>("key = 'a.b'\nvalue = true").value,
            Some(SysctlValue("1".into()))
        );
        for table in [
            "key = 'a.b'",
            "key = 'a'\nvalue = 1",
            "key = '-a.b'\nvalue = 1",
            "key = 'a..b'\nvalue = 1",
            "key = 'a/../b'\nvalue = 1",
            "key = 'a.$(id)'\nvalue = 1",
            "key = \"a.b\\n\"\nvalue = 1",
            "key = 'a.b'\nvalue = \"1\\nkernel.core_pattern = |/bin/sh\"",
            "key = 'a.b'\nvalue = ' '",
            "key = 'a.b'\nvalue = 1\nstate = 'absent'",
            "key = 'a.b'\nvalue = 1.5",
        ] {
            trial::invalid::<SysctlResource>(table);
        }
    }

    #[test]
    fn value_is_written_verbatim() {
        let scratch = ScratchFolder::new();
        let file = scratch.path("parameter");
        std::fs::write(&file, "old").unwrap();
        for value in HOSTILE_NAMES {
            trial::run(SET, &[file.clone(), (*value).to_owned()], b"", &[]).unwrap();
            assert_eq!(
                std::fs::read_to_string(&file).unwrap(),
                format!("{value}\n")
            );
        }
        let missing = trial::run(SET, &[scratch.path("missing"), "1".to_owned()], b"", &[]);
        assert!(missing.unwrap_err().contains("module"));
    }
}
