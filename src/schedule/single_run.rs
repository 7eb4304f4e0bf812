//! One check of the same thing at a time (`skep check --single`), for whoever starts checks without looking whether one
//! runs: cron. A lock of the kernel's on a file: it ends with the process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// Held as long as the check runs.
#[derive(Debug)]
pub struct SingleRunLock {
    _file: File,
}

/// Why the check must not start.
#[derive(Debug, thiserror::Error)]
pub enum SingleRunError {
    /// The same check is running.
    #[error("the same check still runs, so this one was not started (--single; lock {})", .0.display())]
    Running(PathBuf),
    /// The lock cannot be used.
    #[error("cannot lock {}: {error}; set XDG_STATE_HOME to a folder that can be written", path.display())]
    Unusable {
        /// The lock's file.
        path: PathBuf,
        /// The system's reason.
        error: std::io::Error,
    },
}

impl SingleRunLock {
    /// Takes the lock of this check, without waiting. `what` says which checks are the same.
    ///
    /// # Errors
    /// [`SingleRunError`].
    pub fn take(folder: &Path, what: &[String]) -> Result<Self, SingleRunError> {
        let mut hasher = Sha256::new();
        for word in what {
            // The length keeps "ab","c" and "a","bc" apart.
            hasher.update(word.len().to_le_bytes());
            hasher.update(word.as_bytes());
        }
        let name: String = hasher
            .finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let path = folder.join(format!("check-{name}.lock"));
        let unusable = |error| SingleRunError::Unusable {
            path: path.clone(),
            error,
        };
        std::fs::create_dir_all(folder).map_err(unusable)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(unusable)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(SingleRunError::Running(path)),
            Err(TryLockError::Error(error)) => Err(unusable(error)),
        }
    }
}

/// Where locks are: `$XDG_STATE_HOME/skep`, else `~/.local/state/skep` (XDG Base Directory Specification).
#[must_use]
pub fn state_folder() -> PathBuf {
    crate::report::state_folder().unwrap_or_else(|| std::env::temp_dir().join("skep"))
}
