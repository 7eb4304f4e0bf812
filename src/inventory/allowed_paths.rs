//! Reads `allowed_paths`: folders beside those of the playbook from which its resources may read
//! files of this machine.

use std::path::{Path, PathBuf};

use super::settings::expand;
use crate::document::{FieldReader, TomlEntry};

/// Reads the list. A relative path starts at the folder of the inventory file. Each path must
/// exist, because a misspelled path would have no effect.
pub(super) fn read(reader: &mut FieldReader<'_>, entry: &TomlEntry) -> Vec<PathBuf> {
    let folder = reader.source.path().parent().map(Path::to_path_buf);
    let folder = folder.unwrap_or_default();
    let mut paths = Vec::new();
    for (text, span) in reader.strings(&entry.node, &entry.key).unwrap_or_default() {
        match std::fs::canonicalize(expand(text, &folder)) {
            Ok(path) => paths.push(path),
            Err(error) => reader.error(
                span,
                format!("`{text}` of `allowed_paths` cannot be used: {error}"),
                Some("name an existing file or folder, or remove it from the list".into()),
            ),
        }
    }
    paths
}
