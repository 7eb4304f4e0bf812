//! Writes a file of a report: atomically like [`crate::base::write_whole_file`], but through links,
//! and an existing file keeps its permission bits. On any error the old file stays.

use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::base::write_whole_file;

/// Error of a file that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {why}", path.display())]
pub struct WriteError {
    /// Path of the file.
    pub path: PathBuf,
    /// Error of the operating system.
    pub why: std::io::Error,
}

/// Writes a file with these permission bits; an existing file keeps its own bits. A link is
/// followed, and a target that is not a regular file (`/dev/stdout`, a pipe) is written to
/// directly.
///
/// # Errors
/// [`WriteError`]; the old file is then unchanged.
pub fn write_whole(path: &Path, content: &[u8], mode: u32) -> Result<(), WriteError> {
    replace(path, content, mode).map_err(|why| WriteError {
        path: path.to_path_buf(),
        why,
    })
}

fn replace(path: &Path, content: &[u8], mode: u32) -> std::io::Result<()> {
    let mut mode = mode;
    let mut target = path.to_path_buf();
    if let Ok(metadata) = std::fs::metadata(path) {
        if !metadata.is_file() {
            return std::fs::OpenOptions::new()
                .write(true)
                .open(path)?
                .write_all(content);
        }
        mode = metadata.permissions().mode() & 0o7777;
        target = std::fs::canonicalize(path)?;
    }
    write_whole_file(&target, content, mode)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn files_are_replaced_atomically_and_links_are_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write_whole(&file, b"one", 0o644).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        write_whole(&link, b"two", 0o644).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), b"two");
        assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o640
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            2,
            "no temporary file is left"
        );
    }

    #[test]
    fn errors_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_whole(&folder.path().join("no/such/file"), b"", 0o644)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no/such/file") && error.contains("No such file"),
            "{error}"
        );
        assert!(write_whole(folder.path(), b"", 0o644).is_err(), "a folder");
    }
}
