//! The folder in which the lab keeps keys, records and caches.
//! Layout: `lots/NAME/` (key, known hosts and record of an environment), `cache/` (mirrors),
//! `keys/` (repository key), `dockerd.*`.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::error::LabError;
use super::name::LabName;
use super::progress::ProgressFn;
use crate::base::write_whole_file;

/// Folder of the lab: `$SKEP_STATE_DIR`, `$XDG_STATE_HOME/skep/lab` or `~/.local/state/skep/lab`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateDirectory(PathBuf);

impl StateDirectory {
    /// Uses this folder, and creates it if it does not exist.
    ///
    /// # Errors
    /// If the folder cannot be created, or its absolute path cannot be resolved.
    pub fn at(path: &Path) -> Result<Self, LabError> {
        make_folder(path)?;
        let path = path
            .canonicalize()
            .map_err(LabError::file("resolve", path))?;
        Ok(Self(path))
    }

    /// Uses the standard folder according to the environment variables.
    ///
    /// # Errors
    /// If HOME is not set, or the folder cannot be created.
    pub fn standard() -> Result<Self, LabError> {
        let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let path = if let Some(path) = named("SKEP_STATE_DIR") {
            PathBuf::from(path)
        } else if let Some(path) = named("XDG_STATE_HOME") {
            Path::new(&path).join("skep/lab")
        } else if let Some(home) = named("HOME") {
            Path::new(&home).join(".local/state/skep/lab")
        } else {
            return Err(LabError::File {
                action: "find",
                path: PathBuf::from("~/.local/state/skep/lab"),
                cause: std::io::Error::other("HOME is not set; try: --state-dir"),
            });
        };
        Self::at(&path)
    }

    /// Returns the path of the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the folder of one environment.
    #[must_use]
    pub fn environment(&self, lab: &LabName) -> PathBuf {
        self.0.join("lots").join(lab.as_str())
    }

    pub(crate) fn environments(&self) -> PathBuf {
        self.0.join("lots")
    }

    pub(crate) fn cache(&self) -> PathBuf {
        self.0.join("cache")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    /// Returns the path of the log of a dockerd that the lab started.
    pub(crate) fn daemon_log(&self) -> PathBuf {
        self.0.join("dockerd.log")
    }

    /// Returns the path of the file with the PID of a dockerd that the lab started.
    pub(crate) fn daemon_record(&self) -> PathBuf {
        self.0.join("dockerd.started")
    }

    /// Waits for the lock of this name, which is held until the result is dropped. Reports if it
    /// has to wait.
    pub(crate) fn lock(&self, name: &str, progress: ProgressFn<'_>) -> Result<StateLock, LabError> {
        let path = self.0.join(format!("{name}.lock"));
        loop {
            let file = OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(LabError::file("open", &path))?;
            if file.try_lock().is_err() {
                progress(&format!(
                    "waiting for another `skep lab`, which holds {}",
                    path.display()
                ));
                file.lock().map_err(LabError::file("lock", &path))?;
            }
            // The previous holder may have removed the file together with its environment. Other
            // processes then lock a new file of this name.
            let ours = file
                .metadata()
                .map_err(LabError::file("read", &path))?
                .ino();
            if fs::metadata(&path).is_ok_and(|there| there.ino() == ours) {
                return Ok(StateLock { _file: file, path });
            }
        }
    }
}

/// A lock that is held.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
    path: PathBuf,
}

impl StateLock {
    /// Releases the lock and removes its file.
    pub(crate) fn remove(self) -> Result<(), LabError> {
        fs::remove_file(&self.path).map_err(LabError::file("remove", &self.path))
    }
}

/// Creates a folder and its parents for the owner only. An existing folder is left as it is.
pub(crate) fn make_folder(path: &Path) -> Result<(), LabError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(LabError::file("create", path))
}

/// Replaces a file atomically, with this mode.
pub(crate) fn write_file(path: &Path, content: &[u8], mode: u32) -> Result<(), LabError> {
    write_whole_file(path, content, mode).map_err(LabError::file("write", path))
}

/// Removes a folder and its content. A missing folder is no error.
pub(crate) fn remove_folder(path: &Path) -> Result<(), LabError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(LabError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn files_are_replaced_with_their_mode() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        write_file(&path, b"one", 0o644).unwrap();
        write_file(&path, b"two", 0o600).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
    }

    #[test]
    fn a_lock_that_was_removed_meanwhile_is_taken_anew() {
        let folder = tempfile::tempdir().unwrap();
        let state = StateDirectory(folder.path().to_owned());
        let path = folder.path().join("lot-a.lock");
        let first = state.lock("lot-a", &|_| ()).unwrap();
        std::thread::scope(|threads| {
            let (said, waits) = std::sync::mpsc::channel();
            let second = threads.spawn(|| {
                state
                    .lock("lot-a", &move |_| said.send(()).unwrap())
                    .unwrap()
            });
            waits.recv().unwrap();
            first.remove().unwrap();
            let second = second.join().unwrap();
            assert!(path.exists(), "the second holds a file that others see");
            second.remove().unwrap();
        });
        assert!(!path.exists());
    }

    #[test]
    fn removing_what_is_not_there_is_fine() {
        let folder = tempfile::tempdir().unwrap();
        remove_folder(&folder.path().join("nothing")).unwrap();
    }
}
