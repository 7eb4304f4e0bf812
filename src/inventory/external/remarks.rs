//! Remarks about settings and variables of an external inventory that are not followed as written.
//! A remark names the hosts, and its place is the line of the user's own file that mentions the
//! variable.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, SourceFile, SourceSpan, is_secret_key};
use crate::names::short_list;

/// Number of hosts that a remark names; the others are counted.
const NAMED_HOSTS: usize = 3;
/// Largest number of files that are searched for the place of a variable.
const SEARCHED_FILES: usize = 400;

/// Subject of a remark: its severity, the variable, the message without hosts, and the hint.
#[derive(Debug, PartialEq, Eq, Hash)]
struct RemarkKey {
    severity: Severity,
    variable: String,
    message: String,
    hint: Option<String>,
}

/// Remarks about one external inventory. Equal remarks about several hosts are one remark.
#[derive(Debug, Default)]
pub(in crate::inventory) struct ConversionRemarks {
    remarks: IndexMap<RemarkKey, IndexSet<String>>,
}

impl ConversionRemarks {
    /// Adds a note about a variable of a host. An empty host means the whole inventory.
    pub(super) fn note(&mut self, host: &str, variable: &str, message: String, hint: Option<&str>) {
        self.add(Severity::Note, host, variable, message, hint);
    }

    /// Adds a warning about a variable of a host. An empty host means the whole inventory.
    pub(super) fn warn(&mut self, host: &str, variable: &str, message: String, hint: Option<&str>) {
        self.add(Severity::Warning, host, variable, message, hint);
    }

    /// Adds an error about a variable of a host. An empty host means the whole inventory.
    pub(super) fn refuse(
        &mut self,
        host: &str,
        variable: &str,
        message: String,
        hint: Option<&str>,
    ) {
        self.add(Severity::Error, host, variable, message, hint);
    }

    fn add(
        &mut self,
        severity: Severity,
        host: &str,
        variable: &str,
        message: String,
        hint: Option<&str>,
    ) {
        let key = RemarkKey {
            severity,
            variable: variable.to_owned(),
            message,
            hint: hint.map(str::to_owned),
        };
        let hosts = self.remarks.entry(key).or_default();
        if !host.is_empty() {
            hosts.insert(host.to_owned());
        }
    }

    /// Returns the remarks as diagnostics. `argument` is the argument of `-i`; a variable that no
    /// file mentions has it as its place.
    pub(super) fn diagnostics(&self, argument: &Path, files: &UserFiles) -> Diagnostics {
        let mut diagnostics = Diagnostics::default();
        for (key, hosts) in &self.remarks {
            let message = match hosts_text(hosts) {
                Some(hosts) => format!("{hosts}: {}", key.message),
                None => key.message.clone(),
            };
            let diagnostic = match key.severity {
                Severity::Error => Diagnostic::error(message),
                Severity::Warning => Diagnostic::warning(message),
                Severity::Note => Diagnostic::note(message),
            };
            let first = hosts.first().map(String::as_str).unwrap_or_default();
            let place = files.find(&key.variable, first);
            let at = place.unwrap_or_else(|| SourceSpan::new(&SourceFile::new(argument, ""), 0..0));
            diagnostics.push(diagnostic.at(at).maybe_hint(key.hint.clone()));
        }
        diagnostics
    }
}

fn hosts_text(hosts: &IndexSet<String>) -> Option<String> {
    let hosts = hosts.iter().map(String::as_str);
    Some(short_list(hosts, NAMED_HOSTS)).filter(|text| !text.is_empty())
}

/// The user's own files, which are searched for the line that sets a variable.
#[derive(Debug, Default)]
pub(super) struct UserFiles {
    files: Vec<Arc<SourceFile>>,
}

impl UserFiles {
    /// Reads files and the files of folders. A file that cannot be read as text is left out: the
    /// files only serve to show places.
    pub(super) fn read(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut files = Vec::new();
        let mut next: Vec<PathBuf> = paths.into_iter().collect();
        next.reverse();
        while let Some(path) = next.pop() {
            if files.len() >= SEARCHED_FILES {
                break;
            }
            if path.is_dir() {
                let entries = std::fs::read_dir(&path).into_iter().flatten();
                let mut below: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
                below.sort_by(|one, other| other.cmp(one));
                next.extend(below);
            } else if let Ok(file) = SourceFile::read(&path) {
                files.push(SourceFile::new(&path, without_secrets(file.text())));
            }
        }
        Self { files }
    }

    /// Finds the line that mentions a word. A line that names the host too is better than others.
    pub(super) fn find(&self, word: &str, host: &str) -> Option<SourceSpan> {
        if word.is_empty() {
            return None;
        }
        let places = || {
            self.files.iter().flat_map(|file| {
                let found = file.text().match_indices(word);
                found
                    .filter(|(start, _)| is_whole_word(file.text(), *start, word.len()))
                    .map(|(start, _)| SourceSpan::new(file, start..start + word.len()))
            })
        };
        let names_host = |place: &SourceSpan| {
            let line = place.source.text().lines().nth(place.line() - 1);
            !host.is_empty() && line.is_some_and(|line| line.contains(host))
        };
        let of_host_file = |place: &SourceSpan| {
            place
                .source
                .path()
                .file_stem()
                .and_then(|stem| stem.to_str())
                == Some(host)
        };
        places()
            .find(|place| names_host(place) || of_host_file(place))
            .or_else(|| places().next())
    }
}

/// Replaces the rest of each line behind a name of a secret by asterisks, byte for byte. Ansible's
/// files have other forms than TOML, so nothing behind such a name is shown.
fn without_secrets(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        let mut names = line.split(|letter| !is_name(letter));
        let secret = names.find(|name| is_secret_variable(name));
        let end = secret.map(|name| name.as_ptr() as usize - line.as_ptr() as usize + name.len());
        let (before, after) = line.split_at(end.unwrap_or(line.len()));
        shown.push_str(before);
        for letter in after.chars() {
            match letter {
                '=' | ':' | '\n' | '\r' | ' ' | '\t' => shown.push(letter),
                _ => shown.extend(std::iter::repeat_n('*', letter.len_utf8())),
            }
        }
    }
    shown
}

/// Returns true if a variable is named like a secret. `ansible_ssh_private_key_file` is a path.
pub(super) fn is_secret_variable(name: &str) -> bool {
    is_secret_key(name) && !name.ends_with("_file")
}

/// Returns true if no letter of a name stands directly before or behind a word in a text.
fn is_whole_word(text: &str, start: usize, length: usize) -> bool {
    let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    !text[..start].ends_with(is_name) && !text[start + length..].starts_with(is_name)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn equal_remarks_name_their_hosts_and_the_line_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("hosts.ini");
        std::fs::write(&file, "m0 y_x=1\nm1 a=2\nm2 x=1\n").unwrap();
        let files = UserFiles::read([folder.path().to_path_buf()]);
        let mut remarks = ConversionRemarks::default();
        for host in ["m2", "m3", "m4", "m5", "m6"] {
            remarks.warn(host, "x", "`x` is odd".into(), None);
        }
        let found = remarks.diagnostics(Path::new("ansible:hosts.ini"), &files);
        let one = found.iter().next().unwrap();
        assert_eq!(one.message, "m2, m3, m4 and 2 others: `x` is odd");
        let place = one.place.as_ref().unwrap();
        assert_eq!((place.line(), place.column()), (3, 4));
        assert_eq!(files.find("none", ""), None);
    }

    #[test]
    fn secrets_of_other_formats_are_not_shown() {
        assert_eq!(
            without_secrets("a=1 ansible_ssh_pass=x y='z'\n  db_password: \"h\u{fc}\"\nb: 2\n"),
            "a=1 ansible_ssh_pass=* *=***\n  db_password: *****\nb: 2\n"
        );
    }
}
