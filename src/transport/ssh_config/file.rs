//! Reads an SSH configuration if the program `ssh` is not installed: `Host`, `Match` with every
//! condition that needs no program, `Include`, and every setting that skep follows. The first value
//! counts. A line that `ssh` would refuse is an error. A `Match` that only `ssh` can evaluate is
//! named in a warning, and its block is skipped, unless the block says how a host is reached or
//! which keys are trusted.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::keywords::{self, ValueForm};
use super::match_line::{self, MatchResult, MatchSubjects};
use super::output::HostSettings;
use super::{TransportError, include, line};
use crate::base::{GlobUnit, glob_matches};
use crate::inventory::{SshTarget, local_user};

/// Maximum depth of includes, as in `ssh`.
const DEEPEST_INCLUDE: usize = 16;

/// Settings whose values add up over several lines.
const LISTS: &[&str] = &["identityfile", "certificatefile"];

/// Settings that must not be skipped: without them, skep could reach another machine, or trust
/// more keys, than the writer of the configuration demands.
const NEVER_SKIPPED: &[&str] = &[
    "globalknownhostsfile",
    "hostkeyalias",
    "include",
    "knownhostscommand",
    "proxycommand",
    "proxyjump",
    "revokedhostkeys",
    "stricthostkeychecking",
    "userknownhostsfile",
];

/// Settings of the files for a host.
pub(super) struct ParsedConfig {
    /// Settings as `ssh -G` would print them.
    pub printed: HostSettings,
    /// Warnings about conditions that skep cannot evaluate.
    pub unread: Vec<String>,
    /// True if a block that skep cannot evaluate contains `StrictHostKeyChecking ask`.
    pub may_ask: bool,
    /// Reasons why only `ssh` can read the files safely.
    pub unsafe_parts: Vec<(String, String)>,
}

/// Strictness of the reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConfigCheck {
    /// Lines that `ssh` would refuse are errors.
    AsSsh,
    /// `ssh` has already checked the files, and may have keywords that skep does not know.
    DoneBySsh,
}

impl ParsedConfig {
    /// Returns true if the files contain `StrictHostKeyChecking ask` for the host. `ssh -G` cannot
    /// tell: it prints the same word if no file contains the setting.
    pub(super) fn asks_about_host_keys(&self) -> bool {
        self.may_ask || self.printed.first("stricthostkeychecking") == Some("ask")
    }
}

/// Reads the given file, as with `-F`, or the user's and the system's files.
///
/// # Errors
/// [`TransportError::Settings`] with file and line, for lines that `ssh` would refuse too.
pub(super) fn read(
    target: &SshTarget,
    given: Option<&Path>,
    check: ConfigCheck,
) -> Result<ParsedConfig, TransportError> {
    let user = std::env::home_dir().unwrap_or_default().join(".ssh");
    let usual = [
        (user.join("config"), user.clone()),
        ("/etc/ssh/ssh_config".into(), "/etc/ssh".into()),
    ];
    let files = match given {
        Some(file) => vec![(file.to_path_buf(), user)],
        None => usual.to_vec(),
    };
    let mut reader = ConfigReader::new(target, check);
    reader.pass(&files, given.is_none())?;
    // `ssh` reads the files again with the final name of the host.
    if reader.wants_final || reader.canonicalizes() {
        reader.begin_final_pass();
        reader.pass(&files, given.is_none())?;
    }
    Ok(reader.end())
}

fn trouble(place: String, why: String) -> TransportError {
    TransportError::Settings {
        setting: "the SSH configuration".into(),
        place: place.into(),
        why,
    }
}

struct ConfigReader<'a> {
    target: &'a SshTarget,
    check: ConfigCheck,
    /// Name that `Host` matches: the host's address, and its final name in the second pass.
    name: String,
    is_final: bool,
    /// True if a condition `final` asks for a second pass.
    wants_final: bool,
    values: BTreeMap<String, Vec<String>>,
    unread: Vec<String>,
    may_ask: bool,
    unsafe_parts: Vec<(String, String)>,
    /// Patterns of `IgnoreUnknown`.
    ignored: Vec<String>,
}

impl<'a> ConfigReader<'a> {
    fn new(target: &'a SshTarget, check: ConfigCheck) -> Self {
        Self {
            target,
            check,
            name: target.address.clone(),
            is_final: false,
            wants_final: false,
            values: BTreeMap::new(),
            unread: Vec::new(),
            may_ask: false,
            unsafe_parts: Vec::new(),
            ignored: Vec::new(),
        }
    }

    fn pass(
        &mut self,
        files: &[(PathBuf, PathBuf)],
        may_be_missing: bool,
    ) -> Result<(), TransportError> {
        for (file, folder) in files {
            match std::fs::read(file) {
                Ok(bytes) => self.text(&text_of(&bytes), file, folder, 0)?,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound && may_be_missing => {}
                Err(error) => return Err(trouble(file.display().to_string(), error.to_string())),
            }
        }
        Ok(())
    }

    fn begin_final_pass(&mut self) {
        self.name = self.host_name().to_lowercase();
        self.values
            .insert("hostname".into(), vec![self.name.clone()]);
        self.is_final = true;
    }

    /// Returns true if `ssh` reads the files again because of `CanonicalizeHostname`. A name that
    /// would have to be looked up in the DNS is left to `ssh`.
    fn canonicalizes(&mut self) -> bool {
        let first = |keyword: &str| {
            let values = self.values.get(keyword).and_then(|values| values.first());
            values.cloned().unwrap_or_default()
        };
        let mode = first("canonicalizehostname").to_lowercase();
        if ["", "no", "false"].contains(&mode.as_str()) {
            return false;
        }
        let is_proxied = ["proxyjump", "proxycommand"]
            .iter()
            .any(|keyword| !["", "none"].contains(&first(keyword).as_str()));
        let name = self.host_name();
        let is_address = name.parse::<std::net::IpAddr>().is_ok();
        let dots = name.matches('.').count();
        let most_dots = first("canonicalizemaxdots").parse().unwrap_or(1);
        let has_rules = ["canonicaldomains", "canonicalizepermittedcnames"]
            .iter()
            .any(|keyword| !["", "none"].contains(&first(keyword).as_str()));
        if has_rules && !is_address && dots <= most_dots && (!is_proxied || mode == "always") {
            self.unsafe_parts.push((
                "CanonicalizeHostname".into(),
                "only the program `ssh` looks names up in the DNS for it, and `ssh` is not installed".into(),
            ));
        }
        true
    }

    fn text(
        &mut self,
        text: &str,
        file: &Path,
        folder: &Path,
        depth: usize,
    ) -> Result<(), TransportError> {
        let (mut active, mut unclear) = (true, false);
        for (index, text) in text.lines().enumerate() {
            let place = format!("{}:{}", file.display(), index + 1);
            let Some(line) = line::parse(text).map_err(|why| trouble(place.clone(), why))? else {
                continue;
            };
            if line.arguments.is_empty() && line.rest.is_empty() {
                return Err(trouble(place, format!("{} has no argument", line.keyword)));
            }
            if unclear {
                self.skipped(&line, &place);
            }
            match line.keyword.as_str() {
                "host" => {
                    active = match_line::is_host(&line.arguments, &self.name);
                    unclear = false;
                }
                "match" => {
                    let result = self.matches(&line.arguments);
                    let result = result.map_err(|why| trouble(place.clone(), why))?;
                    (active, unclear) = match result {
                        MatchResult::Known(holds) => (holds, false),
                        MatchResult::Unknown(what) => {
                            self.unread.push(format!(
                                "{place}: only the program `ssh` can evaluate `Match {what}`, and it is not installed: skep skips \
                                 the settings below; install openssh-client"
                            ));
                            (false, true)
                        }
                    };
                }
                "include" if !active => {}
                "include" if depth == DEEPEST_INCLUDE => {
                    return Err(trouble(place, "files include each other too deeply".into()));
                }
                "include" => {
                    for file in line
                        .arguments
                        .iter()
                        .flat_map(|pattern| include::files(pattern, folder))
                    {
                        self.file(&file, folder, depth + 1)?;
                    }
                }
                "ignoreunknown" if active => {
                    self.ignored
                        .extend(line.arguments[0].split(',').map(str::to_ascii_lowercase));
                }
                _ => self.setting(line, place, active)?,
            }
        }
        Ok(())
    }

    /// Notes a line of a block that skep cannot evaluate.
    fn skipped(&mut self, line: &line::ConfigLine, place: &str) {
        let keyword = keywords::present_name(&line.keyword);
        let value = line
            .arguments
            .first()
            .map(String::as_str)
            .unwrap_or_default();
        self.may_ask |= keyword == "stricthostkeychecking" && value.eq_ignore_ascii_case("ask");
        if NEVER_SKIPPED.contains(&keyword) {
            self.unsafe_parts.push((
                place.to_owned(),
                format!("only the program `ssh` can tell whether this {keyword} holds for the host, and `ssh` is not installed"),
            ));
        }
    }

    fn file(&mut self, file: &PathBuf, folder: &Path, depth: usize) -> Result<(), TransportError> {
        let bytes = std::fs::read(file);
        let bytes =
            bytes.map_err(|error| trouble(file.display().to_string(), error.to_string()))?;
        self.text(&text_of(&bytes), file, folder, depth)
    }

    /// Checks a setting, and takes its value if the block holds for the host. `ssh` checks the
    /// lines of every block.
    fn setting(
        &mut self,
        line: line::ConfigLine,
        place: String,
        active: bool,
    ) -> Result<(), TransportError> {
        let line::ConfigLine {
            keyword,
            arguments,
            rest,
        } = line;
        let keyword = keywords::present_name(&keyword).to_owned();
        let is_strict = self.check == ConfigCheck::AsSsh;
        match keywords::form(&keyword) {
            Some(ValueForm::Unread) => return Ok(()),
            Some(form) if is_strict => keywords::check(&keyword, form, &arguments)
                .map_err(|why| trouble(place.clone(), why))?,
            None if is_strict => {
                let is_ignored = self
                    .ignored
                    .iter()
                    .any(|pattern| glob_matches(pattern, &keyword, GlobUnit::Byte));
                return match is_ignored {
                    true => Ok(()),
                    false => Err(trouble(
                        place,
                        format!("`{keyword}` is not an option of ssh"),
                    )),
                };
            }
            _ => {}
        }
        if !active {
            return Ok(());
        }
        let is_rest = keywords::form(&keyword) == Some(ValueForm::Rest);
        let value = if is_rest { rest } else { arguments.join(" ") };
        if value.contains('\u{fffd}') {
            return Err(trouble(
                place,
                format!("the value of {keyword} is not UTF-8"),
            ));
        }
        let value = keywords::normal(&keyword, value);
        // Of ProxyJump and ProxyCommand, the setting that is named first counts.
        let proxied = ["proxyjump", "proxycommand"];
        let taken = proxied.contains(&keyword.as_str())
            && proxied.iter().any(|one| self.values.contains_key(*one));
        let values = self.values.entry(keyword.clone()).or_default();
        let adds = LISTS.contains(&keyword.as_str()) && !values.contains(&value);
        if adds || values.is_empty() && !taken {
            values.push(value);
        }
        Ok(())
    }

    /// Evaluates a `Match` line.
    fn matches(&mut self, words: &[String]) -> Result<MatchResult, String> {
        let tag = self.values.get("tag").and_then(|values| values.first());
        let subjects = MatchSubjects {
            host: self.host_name().to_lowercase(),
            original_host: self.target.address.to_lowercase(),
            user: self.user(),
            local_user: local_user(),
            tag: tag.cloned().unwrap_or_default(),
            is_final: self.is_final,
        };
        self.wants_final |= match_line::asks_for_final_pass(words);
        match_line::evaluate(words, &subjects)
    }

    fn host_name(&self) -> String {
        let original = &self.name;
        let set = self
            .values
            .get("hostname")
            .and_then(|values| values.first());
        set.map_or_else(|| original.clone(), |name| expanded(name, original))
    }

    fn user(&self) -> String {
        if self.target.is_given("user") {
            return self.target.user.clone();
        }
        self.values
            .get("user")
            .and_then(|values| values.first())
            .cloned()
            .unwrap_or_else(local_user)
    }

    fn end(mut self) -> ParsedConfig {
        let name = self.host_name();
        if let Some(values) = self.values.get_mut("hostname") {
            *values = vec![name];
        }
        self.values.retain(|_, values| !values.is_empty());
        // A file that sets one of the two leaves the other at its default.
        let known_hosts = [
            (
                "userknownhostsfile",
                "~/.ssh/known_hosts ~/.ssh/known_hosts2",
            ),
            (
                "globalknownhostsfile",
                "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2",
            ),
        ];
        if known_hosts
            .iter()
            .any(|(keyword, _)| self.values.contains_key(*keyword))
        {
            for (keyword, files) in known_hosts {
                self.values
                    .entry(keyword.into())
                    .or_insert_with(|| vec![files.into()]);
            }
        }
        self.values
            .entry("serveralivecountmax".into())
            .or_insert_with(|| vec!["3".into()]);
        ParsedConfig {
            printed: HostSettings::from(self.values),
            unread: self.unread,
            may_ask: self.may_ask,
            unsafe_parts: self.unsafe_parts,
        }
    }
}

/// Returns the text of a file. Bytes that are not UTF-8 are allowed in comments and in settings
/// that skep does not follow.
fn text_of(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Replaces `%h` and `%%`, the tokens of `HostName`.
fn expanded(name: &str, host: &str) -> String {
    name.replace("%%", "\0")
        .replace("%h", host)
        .replace('\0', "%")
}

#[cfg(any(test, fuzzing))]
impl ParsedConfig {
    /// Parses a text alone, without the files that it may include.
    pub(super) fn of_text(text: &str, target: &SshTarget) -> Result<Self, TransportError> {
        let mut reader = ConfigReader::new(target, ConfigCheck::AsSsh);
        reader.text(
            text,
            Path::new("/config"),
            Path::new("/nowhere"),
            DEEPEST_INCLUDE,
        )?;
        Ok(reader.end())
    }
}
