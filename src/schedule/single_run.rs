//! Allows only one run of the same check at a time (`skep check --single`), for cron, which starts
//! a check even if the previous one still runs. A kernel lock on a file is used: it ends with the
//! process, however that ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::base::hex;

/// A lock that is held while the check runs.
#[derive(Debug)]
pub struct SingleRunLock {
    _file: File,
}

/// Reason why the check must not start.
#[derive(Debug, thiserror::Error)]
pub enum SingleRunError {
    /// Another run of this check is active.
    #[error("the same check still runs, so this one was not started (--single; lock {})", .0.display())]
    Running(PathBuf),
    /// There is no folder for the lock. A folder below `/tmp` would not do: any account could
    /// create it first, and hold the lock.
    #[error(
        "--single needs a folder for its lock, and neither XDG_STATE_HOME nor HOME is an absolute path; \
         try: XDG_STATE_HOME=/var/lib/skep-check skep check --single ..."
    )]
    NoFolder,
    /// The lock cannot be used.
    #[error("cannot lock {}: {error}; set XDG_STATE_HOME to a folder that can be written", path.display())]
    Unusable {
        /// Path of the lock file.
        path: PathBuf,
        /// Error of the operating system.
        error: std::io::Error,
    },
}

impl SingleRunLock {
    /// Takes the lock of this check without waiting. Checks with the same `what` share a lock.
    /// `folder` is the state folder, if there is one.
    ///
    /// # Errors
    /// [`SingleRunError`].
    pub fn take(folder: Option<&Path>, what: &[String]) -> Result<Self, SingleRunError> {
        let folder = folder.ok_or(SingleRunError::NoFolder)?;
        let mut hasher = Sha256::new();
        for word in what {
            // The length keeps "ab","c" and "a","bc" apart.
            hasher.update(word.len().to_le_bytes());
            hasher.update(word.as_bytes());
        }
        let name = hex(&hasher.finalize()[..8]);
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
