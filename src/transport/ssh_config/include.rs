//! Finds the files of an `Include`: `~`, `*` and `?`, relative to the folder of the configuration.
//! Missing files are skipped, as in `ssh`.

use std::path::{Component, Path, PathBuf};

use crate::base::{GlobUnit, glob_matches};

/// Returns the files, sorted by name.
pub(super) fn files(pattern: &str, folder: &Path) -> Vec<PathBuf> {
    let home = std::env::home_dir().unwrap_or_default();
    let whole = match pattern.strip_prefix("~/") {
        Some(rest) => home.join(rest),
        None => folder.join(pattern),
    };
    let mut found = vec![PathBuf::new()];
    for part in whole.components() {
        let Component::Normal(name) = part else {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        };
        let name = name.to_string_lossy();
        if !name.contains(['*', '?']) {
            found.iter_mut().for_each(|path| path.push(&*name));
            continue;
        }
        let mut next: Vec<PathBuf> = found
            .iter()
            .flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten())
            .filter(|entry| {
                let entry = entry.file_name();
                // As in a shell, a star does not match a dot at the beginning.
                let hidden = entry.to_string_lossy().starts_with('.') && !name.starts_with('.');
                !hidden && glob_matches(&name, &entry.to_string_lossy(), GlobUnit::Byte)
            })
            .map(|entry| entry.path())
            .collect();
        next.sort();
        found = next;
    }
    found.retain(|path| path.is_file());
    found
}
