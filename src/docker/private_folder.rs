//! A folder that only this account can read, with a name that cannot be guessed. It is removed with
//! its value, and also when a second Ctrl-C ends the process: its content may be secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use tempfile::TempDir;

use crate::transport::TransportError;

/// Private folders of this process that exist now.
static THERE: LazyLock<Mutex<BTreeSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// A private folder; see the module.
pub struct PrivateFolder(TempDir);

impl PrivateFolder {
    /// Creates a folder below the account's runtime folder, which is in memory, or below the folder
    /// for temporary files if there is none.
    ///
    /// # Errors
    /// [`TransportError::Local`] when the folder cannot be created.
    pub fn new() -> Result<Self, TransportError> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_dir());
        let parent = runtime.unwrap_or_else(std::env::temp_dir);
        // The folder is created with this mode: a later change of the mode would leave time for
        // others to open it.
        let mode = std::fs::Permissions::from_mode(0o700);
        let made = tempfile::Builder::new()
            .prefix("skep-")
            .rand_bytes(16)
            .permissions(mode)
            .tempdir_in(&parent);
        let folder = made.map_err(|error| {
            let parent = parent.display();
            TransportError::Local(format!("cannot create a folder in {parent}: {error}"))
        })?;
        THERE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(folder.path().to_owned());
        Ok(Self(folder))
    }

    /// Path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes files and creates the parent folders in their names.
    ///
    /// # Errors
    /// [`TransportError::Local`] when a file cannot be written, or when its name points outside the
    /// folder.
    pub fn fill(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<(), TransportError> {
        for (name, content) in files {
            let inside = Path::new(name)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if !inside || name.is_empty() {
                return Err(TransportError::Local(format!(
                    "`{name}` points outside the folder of its stack"
                )));
            }
            let path = self.path().join(name);
            let trouble = |error| TransportError::Local(format!("{}: {error}", path.display()));
            std::fs::create_dir_all(path.parent().unwrap_or(self.path())).map_err(trouble)?;
            let mut options = std::fs::OpenOptions::new();
            let mut file = options
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&path)
                .map_err(trouble)?;
            file.write_all(content).map_err(trouble)?;
        }
        Ok(())
    }

    /// Removes every private folder of this process; called right before the process ends.
    pub fn remove_all() {
        for path in THERE.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // The process is about to end: an error cannot be reported any more.
            let _ = std::fs::remove_dir_all(path);
        }
    }
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        THERE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(self.path());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn folder_is_readable_only_by_the_account_and_is_removed() {
        let folder = PrivateFolder::new().unwrap();
        folder
            .fill(&[("web/compose.yml".to_owned(), b"x".to_vec())].into())
            .unwrap();
        let path = folder.path().to_owned();
        assert_eq!(
            std::fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o700
        );
        let file = path.join("web/compose.yml");
        assert_eq!(
            std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for name in ["../x", "/etc/x", "", "a/../../x"] {
            assert!(
                folder
                    .fill(&[(name.to_owned(), Vec::new())].into())
                    .is_err(),
                "{name}"
            );
        }
        drop(folder);
        assert!(!path.exists());
    }
}
