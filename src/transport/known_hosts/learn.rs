//! Stores a new host key: one line, appended once, under the file's lock. A new file gets mode
//! 0600.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use russh::keys::PublicKey;

use super::TransportError;

fn trouble(path: &Path, error: &impl std::fmt::Display) -> TransportError {
    TransportError::KnownHosts {
        path: path.to_path_buf(),
        why: error.to_string(),
    }
}

/// Opens the file and waits for its lock; creates a missing file, and its folder with mode 0700.
/// Dropping the file unlocks it.
pub(super) fn open_locked(path: &Path) -> Result<File, TransportError> {
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|error| trouble(path, &error))?;
    }
    let file = OpenOptions::new()
        .read(true)
        .append(true)
        .create(true)
        .mode(0o600)
        .open(path);
    let file = file.map_err(|error| trouble(path, &error))?;
    file.lock().map_err(|error| trouble(path, &error))?;
    Ok(file)
}

/// Returns the whole text of the locked file.
pub(super) fn text(file: &mut File, path: &Path) -> Result<String, TransportError> {
    let mut bytes = Vec::new();
    file.rewind()
        .and_then(|()| file.read_to_end(&mut bytes))
        .map_err(|error| trouble(path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Appends a line in one write; a line end precedes it if the last line has none.
pub(super) fn append(
    file: &mut File,
    path: &Path,
    name: &str,
    key: &PublicKey,
) -> Result<(), TransportError> {
    let mut key = key.clone();
    key.set_comment("");
    let key = key.to_openssh().map_err(|error| trouble(path, &error))?;
    let before = text(file, path)?;
    let gap = if before.is_empty() || before.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    let line = format!("{gap}{name} {}\n", key.trim_end());
    file.write_all(line.as_bytes())
        .map_err(|error| trouble(path, &error))?;
    // Generated configurations often name /dev/null, which cannot be synced.
    let is_file = file.metadata().is_ok_and(|data| data.is_file());
    if is_file {
        file.sync_data().map_err(|error| trouble(path, &error))
    } else {
        Ok(())
    }
}
