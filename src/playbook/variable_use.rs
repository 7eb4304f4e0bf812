//! Variables that nothing uses. A mistyped `-e` would otherwise change nothing and say nothing.
//!
//! A variable counts as used if its name stands in a playbook of the run, or in a file that its
//! templates could include. Names are only searched as words, so a name that stands there for
//! another reason counts as used too.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::Playbook;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::document::nearest_hint;
use crate::inventory::{Inventory, VariableDecl};
use crate::names::short_list;

/// Variables that skep itself reads.
const READ_BY_SKEP: &[&str] = &["swarm_address"];
/// Largest file that is searched, in bytes (256 KiB). Templates are smaller.
const LARGEST_FILE: u64 = 256 * 1024;
/// Largest number of files that are searched.
const MOST_FILES: usize = 2000;
/// Number of folder levels that are searched.
const DEEPEST_FOLDER: usize = 4;
/// Number of variables that a warning names.
const NAMED_VARIABLES: usize = 5;

/// Returns the words of a text that can be names of variables, without those of comments.
pub(super) fn words_of(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split(|letter: char| !letter.is_alphanumeric() && letter != '_'))
        .filter(|word| !word.is_empty())
}

/// Reports `-e` with a name that nothing uses as an error, and such variables of the inventory as a
/// warning.
pub(super) fn check(inventory: &Inventory, playbook: &Playbook, diagnostics: &mut Diagnostics) {
    let candidates: IndexMap<&str, &VariableDecl> = inventory
        .hosts()
        .flat_map(|(_, host)| &host.vars.0)
        .map(|(name, var)| (name.as_str(), var))
        .collect();
    let mut used: HashSet<String> = READ_BY_SKEP.iter().map(|name| (*name).to_owned()).collect();
    for source in &playbook.sources {
        used.extend(words_of(source.text()).map(str::to_owned));
    }
    // A value of the inventory may be a template of other variables.
    for var in candidates.values().filter(|var| var.node.has_template()) {
        used.extend(words_of(var.place.text()).map(str::to_owned));
    }
    if candidates.keys().all(|name| used.contains(*name)) {
        return;
    }
    let playbooks: Vec<&Path> = playbook
        .sources
        .iter()
        .map(|source| source.path())
        .collect();
    let beside = words_beside(&playbooks, inventory.allowed_paths());
    used.extend(beside.in_templates);
    let known: Vec<String> = playbook
        .plays
        .iter()
        .flat_map(|play| play.vars.0.keys().cloned())
        .chain(candidates.keys().map(|name| (*name).to_owned()))
        .filter(|name| used.contains(name))
        .collect();
    let hint = |name: &str| nearest_hint(name, known.iter().map(String::as_str));
    for (name, var) in &inventory.extra().0 {
        if used.contains(name) {
            continue;
        }
        let message = format!("nothing uses the variable `{name}`");
        let hint = hint(name).unwrap_or_else(|| {
            "`-e` sets a variable that a playbook or a template uses; check the name".to_owned()
        });
        // A file of variables often serves several playbooks.
        let diagnostic = match var.place.source.path() == Path::new("-e") {
            true => Diagnostic::error(message),
            false => Diagnostic::warning(message),
        };
        diagnostics.push(diagnostic.at(var.place.clone()).hint(hint));
    }
    // An inventory often serves all playbooks of a folder.
    used.extend(beside.in_playbooks);
    let unused: Vec<(&str, &VariableDecl)> = candidates
        .into_iter()
        .filter(|(name, var)| {
            // Variables of other programs' inventories are for those programs too, and those of a
            // lab environment are for all playbooks.
            let source = &var.place.source;
            let is_own = source.path().extension() == Some("toml".as_ref())
                && !source
                    .text()
                    .lines()
                    .any(|line| line == "disposable = true");
            is_own && !used.contains(*name) && inventory.extra().get(name).is_none()
        })
        .collect();
    if let Some((first, var)) = unused.first() {
        let named: Vec<String> = unused.iter().map(|(name, _)| format!("`{name}`")).collect();
        let message = format!(
            "no playbook or template uses the inventory variable{} {}",
            if unused.len() == 1 { "" } else { "s" },
            short_list(named.iter().map(String::as_str), NAMED_VARIABLES)
        );
        let warning = Diagnostic::warning(message).at(var.place.clone());
        diagnostics.push(warning.maybe_hint(hint(first)));
    }
}

/// Words of the files beside the playbooks of a run.
#[derive(Default)]
struct WordsBeside {
    /// Words of the files that templates could include.
    in_templates: HashSet<String>,
    /// Words of other playbooks.
    in_playbooks: HashSet<String>,
}

/// Reads the files in `templates` and `files`, those beside the playbooks, and those that the
/// inventory allows. Only playbooks beside those of the run count as playbooks.
fn words_beside(playbooks: &[&Path], allowed: &[PathBuf]) -> WordsBeside {
    // Each with the levels to descend, and whether only the inventory names it.
    let mut folders: Vec<(PathBuf, usize, bool)> = Vec::new();
    for playbook in playbooks {
        let folder = playbook.parent().unwrap_or(Path::new(""));
        let folder = if folder.as_os_str().is_empty() {
            Path::new(".")
        } else {
            folder
        };
        folders.push((folder.to_path_buf(), 1, false));
        for beside in [folder.to_path_buf(), folder.join("..")] {
            let below =
                ["templates", "files"].map(|name| (beside.join(name), DEEPEST_FOLDER, false));
            folders.extend(below);
        }
    }
    folders.extend(
        allowed
            .iter()
            .map(|path| (path.clone(), DEEPEST_FOLDER, true)),
    );
    let (mut words, mut seen, mut files) = (WordsBeside::default(), HashSet::new(), 0);
    while let Some((path, levels, is_allowed)) = folders.pop() {
        let Ok(data) = std::fs::metadata(&path) else {
            continue;
        };
        if files >= MOST_FILES || !seen.insert((path.clone(), levels, is_allowed)) {
            continue;
        }
        if data.is_dir() {
            let entries = std::fs::read_dir(&path).into_iter().flatten().flatten();
            folders.extend(
                entries
                    .map(|entry| (entry.path(), levels.saturating_sub(1), is_allowed))
                    .filter(|(path, left, _)| *left > 0 || path.is_file()),
            );
            continue;
        }
        let is_toml = path.extension() == Some("toml".as_ref());
        if !data.is_file() || data.len() > LARGEST_FILE || (is_toml && is_allowed) {
            continue;
        }
        files += 1;
        let bytes = std::fs::read(&path).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        // An inventory beside the playbooks defines variables and uses none.
        if is_toml && text.lines().any(|line| line.starts_with("[hosts")) {
            continue;
        }
        let found = words_of(&text).map(str::to_owned);
        if is_toml {
            words.in_playbooks.extend(found);
        } else {
            words.in_templates.extend(found);
        }
    }
    words
}
