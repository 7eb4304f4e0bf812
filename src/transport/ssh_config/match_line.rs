//! The lines `Host` and `Match` of an SSH configuration.

use crate::base::{GlobUnit, glob_matches};

/// Conditions of `Match` that need `ssh` itself.
const ONLY_SSH: &[&str] = &["exec", "localnetwork", "command", "version", "sessiontype"];

/// Values that the conditions of `Match` compare.
pub(super) struct MatchSubjects {
    /// Present name of the host, in lower case.
    pub(super) host: String,
    /// Name of the host before any `HostName`, in lower case.
    pub(super) original_host: String,
    pub(super) user: String,
    pub(super) local_user: String,
    pub(super) tag: String,
    /// True in the second pass over the files.
    pub(super) is_final: bool,
}

/// Result of evaluating a `Match` line.
pub(super) enum MatchResult {
    Known(bool),
    /// Only `ssh` can evaluate the line, which is given.
    Unknown(String),
}

/// Returns true if the patterns of a `Host` line match a name.
pub(super) fn is_host(patterns: &[String], name: &str) -> bool {
    let mut found = false;
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(exception) if glob_matches(exception, name, GlobUnit::Byte) => return false,
            Some(_) => {}
            None => found |= glob_matches(pattern, name, GlobUnit::Byte),
        }
    }
    found
}

/// Returns true if a condition `final` asks for a second pass over the files.
pub(super) fn asks_for_final_pass(words: &[String]) -> bool {
    let mut words = words.iter().map(|word| word.trim_start_matches('!'));
    words.any(|word| word.eq_ignore_ascii_case("final"))
}

/// Evaluates a `Match` line. A condition that only `ssh` can evaluate does not matter if another
/// one does not hold.
///
/// # Errors
/// The reason for which `ssh` would refuse the line.
pub(super) fn evaluate(words: &[String], subjects: &MatchSubjects) -> Result<MatchResult, String> {
    let (mut holds, mut is_unknown) = (true, false);
    let mut rest = words.iter();
    while let Some(word) = rest.next() {
        let (negated, name) = word
            .strip_prefix('!')
            .map_or((false, word.as_str()), |name| (true, name));
        let (name, given) = name
            .split_once('=')
            .map_or((name, None), |(name, value)| (name, Some(value)));
        let name = name.to_ascii_lowercase();
        let subject = match name.as_str() {
            "all" if !negated && may_precede_all(words) => continue,
            "all" => return Err("`all` cannot be combined with other conditions of Match".into()),
            "canonical" | "final" => {
                holds &= subjects.is_final != negated;
                continue;
            }
            "host" => &subjects.host,
            "originalhost" => &subjects.original_host,
            "user" => &subjects.user,
            "localuser" => &subjects.local_user,
            "tagged" => &subjects.tag,
            other if ONLY_SSH.contains(&other) => {
                is_unknown = true;
                if given.is_none() && rest.next().is_none() {
                    return Err(format!("the condition {other} of Match has no argument"));
                }
                continue;
            }
            other => return Err(format!("`{other}` is not a condition of Match")),
        };
        let Some(list) = given.or_else(|| rest.next().map(String::as_str)) else {
            return Err(format!("the condition {name} of Match has no argument"));
        };
        // Host names have no case.
        let list = match name.as_str() {
            "host" | "originalhost" => list.to_lowercase(),
            _ => list.to_owned(),
        };
        holds &= in_list(&list, subject) != negated;
    }
    Ok(if is_unknown && holds {
        MatchResult::Unknown(words.join(" "))
    } else {
        MatchResult::Known(holds)
    })
}

/// Returns true if a line has no condition beside `all`, `canonical` and `final`.
fn may_precede_all(words: &[String]) -> bool {
    let plain = words.iter().map(|word| word.trim_start_matches('!'));
    let others = plain.filter(|word| {
        let word = word.to_ascii_lowercase();
        !["canonical", "final"].contains(&word.as_str())
    });
    others.count() == 1
}

/// Matches a subject against a pattern list, in which a matching negated pattern decides.
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
