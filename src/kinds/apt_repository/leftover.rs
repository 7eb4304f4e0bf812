//! Finds older entries for the same repository: one-line lists and deb822 files of other names. Two
//! entries for one repository with different keys stop apt altogether ("Conflicting values set for
//! option Signed-By"). This file computes the edits and changes nothing on a host.

use std::collections::BTreeSet;

use crate::model::{AptSourceFile, Refusal};

/// Edit of a file below /etc/apt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SourceFileEdit {
    /// Path of the file.
    pub path: String,
    /// Current content.
    pub before: String,
    /// Content without the repository; `None` if the file has no other entry and is removed.
    pub after: Option<String>,
}

/// Identity of the repository whose other entries are searched for: its address and suite.
#[derive(Debug, Clone, Copy)]
pub(super) struct RepositoryIdentity<'a> {
    /// File that is to name the repository.
    pub file: &'a str,
    /// List file (`.list`) of the same name; superseded, whatever its content.
    pub list: &'a str,
    /// Address of the repository.
    pub uri: &'a str,
    /// Suite of the repository.
    pub suite: &'a str,
}

impl RepositoryIdentity<'_> {
    fn is(&self, uri: &str, suite: &str) -> bool {
        uri.trim_end_matches('/') == self.uri.trim_end_matches('/') && suite == self.suite
    }
}

/// Returns the edits that remove older entries, and the key files that only those entries name.
///
/// # Errors
/// [`Refusal`] when a paragraph names this repository together with others.
pub(super) fn find(
    files: &[AptSourceFile],
    wanted: RepositoryIdentity<'_>,
) -> Result<(Vec<SourceFileEdit>, Vec<String>), Refusal> {
    let (mut leftovers, mut orphans, mut used) = (Vec::new(), BTreeSet::new(), BTreeSet::new());
    for file in files.iter().filter(|file| file.path != wanted.file) {
        let after = if file.path == wanted.list {
            String::new()
        } else if file.path.ends_with(".list") {
            without_lines(&file.content, wanted)
        } else if file.path.ends_with(".sources") {
            without_paragraphs(file, wanted)?
        } else {
            continue;
        };
        // The keys of a paragraph that is disabled count: somebody may enable it again.
        used.extend(keys(&file.path, &after));
        if after != file.content {
            orphans.extend(keys(&file.path, &file.content));
            let goes = is_empty(&after) && file.path != "/etc/apt/sources.list";
            let (path, before) = (file.path.clone(), file.content.clone());
            leftovers.push(SourceFileEdit {
                path,
                before,
                after: (!goes).then_some(after),
            });
        }
    }
    let orphans = orphans
        .into_iter()
        .filter(|key| !used.contains(key) && may_remove(key))
        .collect();
    Ok((leftovers, orphans))
}

/// Returns true if only comments and empty lines are left.
fn is_empty(content: &str) -> bool {
    content
        .lines()
        .all(|line| line.trim().is_empty() || line.trim_start().starts_with('#'))
}

/// Comments out the repository's lines; all other lines stay byte for byte.
fn without_lines(content: &str, wanted: RepositoryIdentity<'_>) -> String {
    let keep = |line: &str| match one_line(line) {
        Some((uri, suite)) if wanted.is(uri, suite) => format!("# {line}"),
        _ => line.to_owned(),
    };
    content.split_inclusive('\n').map(keep).collect()
}

/// Returns address and suite of a line `deb [options] uri suite component...` (sources.list(5)).
fn one_line(line: &str) -> Option<(&str, &str)> {
    let line = line.split('#').next().unwrap_or_default().trim();
    let rest = line
        .strip_prefix("deb-src")
        .or_else(|| line.strip_prefix("deb"))?;
    let rest = rest.strip_prefix([' ', '\t', '['])?.trim_start();
    let rest = rest.split_once(']').map_or(rest, |(_, rest)| rest);
    let mut words = rest.split_whitespace();
    Some((words.next()?, words.next()?))
}

/// Returns the content without the repository's paragraphs (deb822(5)).
fn without_paragraphs(
    file: &AptSourceFile,
    wanted: RepositoryIdentity<'_>,
) -> Result<String, Refusal> {
    let mut kept = String::new();
    for paragraph in paragraphs(&file.content) {
        let (uris, suites) = (field(&paragraph, "URIs"), field(&paragraph, "Suites"));
        let named = uris
            .iter()
            .any(|uri| suites.iter().any(|suite| wanted.is(uri, suite)));
        let disabled = field(&paragraph, "Enabled")
            .first()
            .is_some_and(|word| is_no(word));
        if !named || disabled {
            kept.push_str(&paragraph);
        } else if uris.len() > 1 || suites.len() > 1 {
            return Err(Refusal {
                why: format!("{} names this repository together with others", file.path),
                hint: format!(
                    "remove {} {} from that file by hand",
                    wanted.uri, wanted.suite
                ),
            });
        }
    }
    Ok(kept)
}

/// Splits a file into paragraphs. Each keeps the empty lines that follow it, so that the joined
/// paragraphs are the whole file again.
fn paragraphs(content: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    let mut ended = false;
    for line in content.split_inclusive('\n') {
        let empty = line.trim().is_empty();
        if ended && !empty {
            paragraphs.push(String::new());
        }
        ended = empty;
        if let Some(last) = paragraphs.last_mut() {
            last.push_str(line);
        }
    }
    paragraphs
}

/// Returns the words of a field: on its own line and on following lines that begin with a space.
fn field(paragraph: &str, name: &str) -> Vec<String> {
    let (mut words, mut within) = (Vec::new(), false);
    for line in paragraph.lines().filter(|line| !line.starts_with('#')) {
        if line.starts_with([' ', '\t']) {
            words.extend(
                line.split_whitespace()
                    .filter(|_| within)
                    .map(str::to_owned),
            );
            continue;
        }
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        within = key.trim().eq_ignore_ascii_case(name);
        words.extend(
            value
                .split_whitespace()
                .filter(|_| within)
                .map(str::to_owned),
        );
    }
    words
}

/// Returns true for the words that apt takes for "no" (`StringToBool` of apt).
fn is_no(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    matches!(
        word.as_str(),
        "no" | "false" | "without" | "off" | "disable" | "0"
    )
}

/// Returns the key files that a source file names outside comments: with the field `Signed-By` of
/// deb822 files, which may continue on further lines and may also hold a key itself, or with the
/// option `signed-by` of one-line lists. Both take several values.
fn keys(path: &str, content: &str) -> Vec<String> {
    let values: Vec<String> = if path.ends_with(".sources") {
        let paragraphs = paragraphs(content);
        let fields = paragraphs.iter();
        fields
            .flat_map(|paragraph| field(paragraph, "Signed-By"))
            .collect()
    } else {
        content.lines().flat_map(signed_by_options).collect()
    };
    let values = values
        .iter()
        .flat_map(|value| value.split(','))
        .map(|value| value.trim_matches(['"', '\'']));
    values
        .filter(|value| value.starts_with('/'))
        .map(str::to_owned)
        .collect()
}

/// Returns the values of `signed-by` in the options of a line `deb [options] ...`.
fn signed_by_options(line: &str) -> Vec<String> {
    let line = line.split('#').next().unwrap_or_default();
    let options = line
        .split_once('[')
        .and_then(|(_, rest)| rest.split_once(']'));
    let options = options.map_or("", |(options, _)| options);
    // Apt also accepts spaces around the sign.
    let options = options
        .replace(" =", "=")
        .replace("= ", "=")
        .replace("+=", "=");
    options
        .split_whitespace()
        .filter_map(|option| option.split_once('='))
        .filter(|(name, _)| name.eq_ignore_ascii_case("signed-by"))
        .map(|(_, value)| value.to_owned())
        .collect()
}

/// Returns true for a key that an administrator installed, and never for a key of the distribution.
fn may_remove(key: &str) -> bool {
    let Some((folder, name)) = key.rsplit_once('/') else {
        return false;
    };
    let ours = matches!(
        folder,
        "/etc/apt/keyrings" | "/etc/apt/trusted.gpg.d" | "/usr/share/keyrings"
    );
    ours && !name.starts_with("debian-") && !name.starts_with("ubuntu-")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    fn wanted() -> RepositoryIdentity<'static> {
        RepositoryIdentity {
            file: "/etc/apt/sources.list.d/docker.sources",
            list: "/etc/apt/sources.list.d/docker.list",
            uri: "https://download.docker.com/linux/ubuntu",
            suite: "noble",
        }
    }

    fn after(path: &str, content: &str) -> (Vec<Option<String>>, Vec<String>) {
        let files = [AptSourceFile {
            path: path.into(),
            content: content.into(),
        }];
        let (leftovers, keys) = find(&files, wanted()).unwrap();
        (leftovers.into_iter().map(|one| one.after).collect(), keys)
    }

    const LINE: &str = "deb [arch=amd64 signed-by=/usr/share/keyrings/d.gpg] https://download.docker.com/linux/ubuntu/ noble stable\n";

    #[test]
    fn finds_entries_in_one_line_lists() {
        assert_eq!(
            after("/etc/apt/sources.list.d/x.list", LINE),
            (vec![None], vec!["/usr/share/keyrings/d.gpg".into()])
        );
        let archive = "deb http://archive.ubuntu.com/ubuntu noble main\n";
        let mixed = format!("{archive}{LINE}");
        let commented = (
            vec![Some(format!("{archive}# {LINE}"))],
            vec!["/usr/share/keyrings/d.gpg".into()],
        );
        assert_eq!(after("/etc/apt/sources.list", &mixed), commented);
        // The main file of apt is never removed, even if no entry is left in it.
        assert_eq!(
            after("/etc/apt/sources.list", LINE).0,
            [Some(format!("# {LINE}"))]
        );
        for other in [
            archive,
            &format!("# {LINE}"),
            &LINE.replace("noble", "jammy"),
            &LINE.replace("ubuntu", "debian"),
        ] {
            assert_eq!(
                after("/etc/apt/sources.list.d/x.list", other).0,
                [],
                "{other}"
            );
        }
        assert_eq!(
            after("/etc/apt/sources.list.d/docker.list", archive).0,
            [None],
            "the same name is superseded"
        );
    }

    #[test]
    fn finds_entries_in_deb822_files() {
        let ours = "Types: deb\nURIs: https://download.docker.com/linux/ubuntu\nSuites:\n noble\nComponents: stable\n\
                    Signed-By: /etc/apt/keyrings/old.gpg\n";
        let other = "Types: deb\nURIs: http://archive.ubuntu.com/ubuntu\nSuites: noble noble-updates\nComponents: main\n\
                     Signed-By: /usr/share/keyrings/ubuntu-archive-keyring.gpg\n";
        assert_eq!(
            after("/etc/apt/sources.list.d/x.sources", ours),
            (vec![None], vec!["/etc/apt/keyrings/old.gpg".into()])
        );
        assert_eq!(
            after(
                "/etc/apt/sources.list.d/x.sources",
                &format!("{ours}\n{other}")
            )
            .0,
            [Some(other.into())]
        );
        assert_eq!(
            after(
                "/etc/apt/sources.list.d/x.sources",
                &format!("Enabled: no\n{ours}")
            )
            .0,
            []
        );
        assert_eq!(
            after(wanted().file, ours).0,
            [],
            "the repository's own file is no leftover"
        );
        let shared = ours.replace(" noble", " noble jammy");
        let files = [AptSourceFile {
            path: "/etc/apt/sources.list.d/x.sources".into(),
            content: shared,
        }];
        assert!(
            find(&files, wanted())
                .unwrap_err()
                .why
                .contains("together with others")
        );
    }

    #[test]
    fn keeps_a_key_that_another_source_names() {
        let files = [
            AptSourceFile {
                path: "/etc/apt/sources.list.d/x.list".into(),
                content: LINE.into(),
            },
            AptSourceFile {
                path: "/etc/apt/sources.list.d/y.list".into(),
                content: LINE.replace("noble", "jammy"),
            },
        ];
        let (leftovers, keys) = find(&files, wanted()).unwrap();
        assert_eq!((leftovers.len(), keys), (1, Vec::new()));
    }

    #[test]
    fn keeps_a_key_that_another_source_names_in_any_form() {
        let key = "/usr/share/keyrings/d.gpg";
        let other = "Types: deb\nURIs: https://other\nSuites: x\nComponents: main\n";
        for (path, naming) in [
            ("y.sources", format!("{other}Signed-By: {key}\n")),
            ("y.sources", format!("{other}Signed-By:\n {key}\n")),
            (
                "y.sources",
                format!("{other}Signed-By: /etc/apt/keyrings/y.gpg\n # note\n  {key}\n"),
            ),
            (
                "y.sources",
                format!("{other}signed-by: /etc/apt/keyrings/y.gpg,{key}\n"),
            ),
            (
                "y.sources",
                format!("Enabled: no\n{other}Signed-By: {key}\n"),
            ),
            (
                "y.sources",
                format!("Types: deb\nURIs: a\nSuites: b\n\n\n{other}Signed-By: {key}\n"),
            ),
            (
                "y.list",
                format!("deb [arch=amd64 signed-by=/a.gpg,{key}] https://other x main\n"),
            ),
            (
                "y.list",
                format!("deb [ Signed-By = {key} ] https://other x main\n"),
            ),
        ] {
            let file = |name: &str, content: &str| AptSourceFile {
                path: format!("/etc/apt/sources.list.d/{name}"),
                content: content.into(),
            };
            let files = [file("x.list", LINE), file(path, &naming)];
            let (leftovers, keys) = find(&files, wanted()).unwrap();
            assert_eq!((leftovers.len(), keys), (1, Vec::new()), "{naming}");
        }
        // A key within the file is none of the key files.
        let embedded =
            format!("{other}Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n mQ==\n");
        assert!(keys("y.sources", &embedded).is_empty());
        assert!(keys("y.list", &format!("# deb [signed-by={key}] x y\n")).is_empty());
    }

    #[test]
    fn disabled_paragraph_is_left_alone_in_all_words_of_apt() {
        let ours = "Types: deb\nURIs: https://download.docker.com/linux/ubuntu\nSuites: noble jammy\nComponents: stable\n";
        for word in ["no", "False", "OFF", "without", "disable", "0"] {
            let content = format!("Enabled: {word}\n{ours}");
            assert_eq!(
                after("/etc/apt/sources.list.d/x.sources", &content).0,
                [],
                "{word}"
            );
        }
    }
}
