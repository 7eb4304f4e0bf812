//! Reads a whole folder: the context that an image is built from. Entries are sorted by name, so
//! that the same folder always gives the same context.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::model::{InvalidField, TreeContent, TreeEntry};

/// Largest size of a folder, in bytes (256 MiB): it is held in memory while it is sent.
const LIMIT: u64 = 256 * 1024 * 1024;

/// Returns all entries below a folder, each folder before its entries.
pub(super) fn read(folder: &Path) -> Result<Vec<TreeEntry>, InvalidField> {
    let (mut entries, mut room) = (Vec::new(), LIMIT);
    walk(folder, "", &mut entries, &mut room)?;
    Ok(entries)
}

fn walk(
    folder: &Path,
    prefix: &str,
    entries: &mut Vec<TreeEntry>,
    room: &mut u64,
) -> Result<(), InvalidField> {
    let mut found = std::fs::read_dir(folder)
        .and_then(|found| found.collect::<Result<Vec<_>, _>>())
        .map_err(|error| unreadable(folder, &error))?;
    found.sort_by_key(std::fs::DirEntry::file_name);
    for entry in found {
        let place = entry.path();
        let Ok(name) = entry.file_name().into_string() else {
            return Err(InvalidField::new(
                "",
                format!("{} has a name that is not UTF-8", place.display()),
            ));
        };
        let path = format!("{prefix}{name}");
        let metadata = entry
            .metadata()
            .map_err(|error| unreadable(&place, &error))?;
        let executable = metadata.is_file() && metadata.permissions().mode() & 0o100 != 0;
        let content = if metadata.is_dir() {
            TreeContent::Folder
        } else if metadata.is_symlink() {
            let target = std::fs::read_link(&place).map_err(|error| unreadable(&place, &error))?;
            TreeContent::Link(target.to_string_lossy().into_owned())
        } else if metadata.is_file() {
            let content = file(&place, *room)?;
            *room = room.saturating_sub(content.len() as u64);
            TreeContent::File(content)
        } else {
            return Err(InvalidField::new(
                "",
                format!("{} is a device, socket or pipe", place.display()),
            ));
        };
        let is_folder = content == TreeContent::Folder;
        entries.push(TreeEntry {
            path: path.clone(),
            executable,
            content,
        });
        if is_folder {
            walk(&place, &format!("{path}/"), entries, room)?;
        }
    }
    Ok(())
}

/// Reads a file of at most `limit` bytes.
pub(super) fn file(path: &Path, limit: u64) -> Result<Vec<u8>, InvalidField> {
    let size = std::fs::metadata(path)
        .map_err(|error| unreadable(path, &error))?
        .len();
    if size > limit {
        let message = format!(
            "{} is {size} bytes large, but only {limit} bytes are left of the limit",
            path.display()
        );
        return Err(
            InvalidField::new("", message).hint("leave out files that the image does not need")
        );
    }
    std::fs::read(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &std::io::Error) -> InvalidField {
    InvalidField::new("", format!("cannot read {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn entries_are_read_in_order_with_links_and_modes() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("b")).unwrap();
        std::fs::write(at("b/run"), "x").unwrap();
        std::fs::set_permissions(at("b/run"), std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(at("a"), "1").unwrap();
        std::os::unix::fs::symlink("a", at("c")).unwrap();
        let entries = read(folder.path()).unwrap();
        let names: Vec<(&str, bool)> = entries
            .iter()
            .map(|entry| (entry.path.as_str(), entry.executable))
            .collect();
        assert_eq!(
            names,
            [("a", false), ("b", false), ("b/run", true), ("c", false)]
        );
        assert_eq!(entries[3].content, TreeContent::Link("a".into()));
        assert!(
            file(&at("a"), 0)
                .unwrap_err()
                .message
                .contains("only 0 bytes are left")
        );
    }
}
