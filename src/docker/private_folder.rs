//! A folder that only this account can look into, with a name that nobody can guess. It goes with its value, and also when the
//! process is ended by a second Ctrl-C: what is in it may be secret.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Component, Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};

use tempfile::TempDir;

use crate::transport::TransportError;

/// Folders that are there now.
static THERE: LazyLock<Mutex<BTreeSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// See the module.
pub struct PrivateFolder(TempDir);

impl PrivateFolder {
    /// Makes one below the account's runtime folder, which is in memory, or else the folder for temporary files.
    ///
    /// # Errors
    /// [`TransportError::Local`] when there is no place for it.
    pub fn new() -> Result<Self, TransportError> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_dir());
        let parent = runtime.unwrap_or_else(std::env::temp_dir);
        // Made with this mode, not given it later: nobody can be in it by then.
        let mode = std::fs::Permissions::from_mode(0o700);
        let made = tempfile::Builder::new()
            .prefix("skep-")
            .rand_bytes(16)
            .permissions(mode)
            .tempdir_in(&parent);
        let folder = made.map_err(|error| {
            TransportError::Local(format!("no folder in {}: {error}", parent.display()))
        })?;
        THERE
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(folder.path().to_owned());
        Ok(Self(folder))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes files, with the folders of their names.
    ///
    /// # Errors
    /// [`TransportError::Local`] when one cannot be written, or when a name leads out of the folder.
    pub fn fill(&self, files: &BTreeMap<String, Vec<u8>>) -> Result<(), TransportError> {
        for (name, content) in files {
            let inside = Path::new(name)
                .components()
                .all(|part| matches!(part, Component::Normal(_)));
            if !inside || name.is_empty() {
                return Err(TransportError::Local(format!(
                    "`{name}` leads out of the folder of its stack"
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

    /// Removes every folder of this process that is still there; for a process that is about to end.
    pub fn remove_all() {
        for path in THERE.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            // Nobody is left to be told.
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
    fn only_the_account_may_look_and_nothing_stays() {
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
