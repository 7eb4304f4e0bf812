//! Reads an SSH configuration if the program `ssh` is not installed: `Host`, `Match` with every
//! condition that needs no program, `Include`, and every setting that skep follows. The first value
//! counts. A `Match` that only `ssh` can evaluate is named in a warning, and its block is skipped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::output::HostSettings;
use super::{TransportError, include, line};
use crate::base::{GlobUnit, glob_matches};
use crate::inventory::{SshTarget, local_user};

/// Maximum depth of includes, as in `ssh`.
const DEEPEST_INCLUDE: usize = 16;

/// Settings whose values add up over several lines.
const LISTS: &[&str] = &["identityfile", "certificatefile"];

/// Settings with several arguments. A second argument of any other setting that skep follows is an
/// error, as in `ssh`.
const SEVERAL: &[&str] = &["userknownhostsfile", "globalknownhostsfile"];

/// Settings of the files for a host.
pub(super) struct ParsedConfig {
    /// Settings as `ssh -G` would print them.
    pub printed: HostSettings,
    /// Warnings about conditions that skep cannot evaluate.
    pub unread: Vec<String>,
    /// True if a block that skep cannot evaluate contains `StrictHostKeyChecking ask`.
    pub may_ask: bool,
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
    let mut reader = ConfigReader {
        target,
        values: BTreeMap::new(),
        unread: Vec::new(),
        may_ask: false,
        ignored: Vec::new(),
    };
    for (file, folder) in files {
        match std::fs::read_to_string(&file) {
            Ok(text) => reader.text(&text, &file, &folder, 0)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound && given.is_none() => {}
            Err(error) => return Err(trouble(file.display().to_string(), error.to_string())),
        }
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
    values: BTreeMap<String, Vec<String>>,
    unread: Vec<String>,
    may_ask: bool,
    /// Patterns of `IgnoreUnknown`.
    ignored: Vec<String>,
}

impl ConfigReader<'_> {
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
            let asks = line.keyword == "stricthostkeychecking"
                && line
                    .arguments
                    .first()
                    .is_some_and(|word| word.eq_ignore_ascii_case("ask"));
            self.may_ask |= unclear && asks;
            if matches!(line.keyword.as_str(), "host" | "match") {
                unclear = false;
            }
            match line.keyword.as_str() {
                "host" => active = self.is_host(&line.arguments),
                "match" => {
                    active = match self.matches(&line.arguments) {
                        Ok(holds) => holds,
                        Err(what) => {
                            self.unread.push(format!(
                                "{place}: only the program `ssh` can evaluate `Match {what}`, and it is not installed: skep skips \
                                 the settings below; install openssh-client"
                            ));
                            unclear = true;
                            false
                        }
                    };
                }
                _ if !active => {}
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
                "ignoreunknown" => {
                    self.ignored
                        .extend(line.arguments[0].split(',').map(str::to_ascii_lowercase));
                }
                _ => self.setting(line, place)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, file: &PathBuf, folder: &Path, depth: usize) -> Result<(), TransportError> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(|error| trouble(file.display().to_string(), error.to_string()))?;
        self.text(&text, file, folder, depth)
    }

    fn setting(&mut self, line: line::ConfigLine, place: String) -> Result<(), TransportError> {
        let line::ConfigLine {
            keyword,
            arguments,
            rest,
        } = line;
        let keyword = match keyword.as_str() {
            "challengeresponseauthentication" | "skeyauthentication" => {
                "kbdinteractiveauthentication".to_owned()
            }
            _ => keyword,
        };
        let followed = super::overlay::is_read(&keyword);
        if !followed
            && self
                .ignored
                .iter()
                .any(|pattern| glob_matches(pattern, &keyword, GlobUnit::Byte))
        {
            return Ok(());
        }
        if followed && arguments.len() > 1 && !SEVERAL.contains(&keyword.as_str()) {
            return Err(trouble(
                place,
                format!("{keyword} has more than one argument"),
            ));
        }
        let value = if keyword == "proxycommand" {
            rest
        } else {
            arguments.join(" ")
        };
        let value = normal(&keyword, value).map_err(|why| trouble(place.clone(), why))?;
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

    fn is_host(&self, patterns: &[String]) -> bool {
        let mut found = false;
        for pattern in patterns {
            match pattern.strip_prefix('!') {
                Some(exception)
                    if glob_matches(exception, &self.target.address, GlobUnit::Byte) =>
                {
                    return false;
                }
                Some(_) => {}
                None => found |= glob_matches(pattern, &self.target.address, GlobUnit::Byte),
            }
        }
        found
    }

    /// Evaluates a `Match` line; the error is the condition that skep cannot evaluate.
    fn matches(&self, words: &[String]) -> Result<bool, String> {
        let mut holds = true;
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let (negated, name) = word
                .strip_prefix('!')
                .map_or((false, word.as_str()), |name| (true, name));
            let (name, given) = name
                .split_once('=')
                .map_or((name, None), |(name, value)| (name, Some(value)));
            let name = name.to_ascii_lowercase();
            let subject = match name.as_str() {
                "all" => {
                    holds &= !negated;
                    continue;
                }
                "host" => self.host_name(),
                "originalhost" => self.target.address.clone(),
                "user" => self.user(),
                "localuser" => local_user(),
                _ => return Err(words.fold(word.clone(), |all, next| format!("{all} {next}"))),
            };
            let Some(list) = given.or_else(|| words.next().map(String::as_str)) else {
                return Err(word.clone());
            };
            holds &= in_list(list, &subject) != negated;
        }
        Ok(holds)
    }

    fn host_name(&self) -> String {
        let original = &self.target.address;
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
        self.values
            .entry("serveralivecountmax".into())
            .or_insert_with(|| vec!["3".into()]);
        ParsedConfig {
            printed: HostSettings::from(self.values),
            unread: self.unread,
            may_ask: self.may_ask,
        }
    }
}

/// Replaces `%h` and `%%`, the tokens of `HostName`.
fn expanded(name: &str, host: &str) -> String {
    name.replace("%%", "\0")
        .replace("%h", host)
        .replace('\0', "%")
}

/// Matches a subject against a pattern list of `Match`, in which a matching negated pattern
/// decides.
fn in_list(list: &str, subject: &str) -> bool {
    let mut found = false;
    for pattern in list.split(',') {
        match pattern.strip_prefix('!') {
            Some(exception) if glob_matches(exception, subject, GlobUnit::Byte) => return false,
            Some(_) => {}
            None => found |= glob_matches(pattern, subject, GlobUnit::Byte),
        }
    }
    found
}

/// Returns a value in the form in which `ssh -G` prints it.
fn normal(keyword: &str, value: String) -> Result<String, String> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| format!("{keyword}: `{text}` is not a number"))
    };
    Ok(match keyword {
        "port" if !matches!(value.parse::<u16>(), Ok(1..)) => {
            return Err(format!("port: `{value}` is not a port"));
        }
        "connecttimeout" | "serveraliveinterval" if value != "none" => seconds(&value)
            .ok_or_else(|| format!("{keyword}: `{value}` is not a time"))?
            .to_string(),
        "serveralivecountmax" => number(&value)?.to_string(),
        "identitiesonly"
        | "hashknownhosts"
        | "pubkeyauthentication"
        | "passwordauthentication"
        | "kbdinteractiveauthentication" => match value.to_ascii_lowercase().as_str() {
            "yes" | "true" => "yes".into(),
            "no" | "false" => "no".into(),
            // Other values such as `PubkeyAuthentication unbound`.
            _ => value,
        },
        "stricthostkeychecking" | "addressfamily" => value.to_ascii_lowercase(),
        _ => value,
    })
}

/// Parses a time of `sshd_config(5)` into seconds: `90`, `1m30s`, `2h`.
fn seconds(text: &str) -> Option<u64> {
    let mut whole: u64 = 0;
    let mut number = String::new();
    for letter in text.chars() {
        let unit = match letter.to_ascii_lowercase() {
            '0'..='9' => {
                number.push(letter);
                continue;
            }
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86400,
            'w' => 604_800,
            _ => return None,
        };
        whole = whole.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        number.clear();
    }
    if number.is_empty() {
        return (!text.is_empty()).then_some(whole);
    }
    whole.checked_add(number.parse().ok()?)
}

#[cfg(any(test, fuzzing))]
impl ParsedConfig {
    /// Parses a text alone, without the files that it may include.
    pub(super) fn of_text(text: &str, target: &SshTarget) -> Result<Self, TransportError> {
        let mut reader = ConfigReader {
            target,
            values: BTreeMap::new(),
            unread: Vec::new(),
            may_ask: false,
            ignored: Vec::new(),
        };
        reader.text(
            text,
            Path::new("/config"),
            Path::new("/nowhere"),
            DEEPEST_INCLUDE,
        )?;
        Ok(reader.end())
    }
}
