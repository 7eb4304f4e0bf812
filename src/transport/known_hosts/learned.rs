//! Host keys that this run has learned. Somebody in between could have presented such a key, so no
//! password goes to its host until a later run.

use std::collections::HashSet;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use crate::names::HostName;

/// File, name and fingerprint of each key that this process has learned. All connections of a run
/// share it, also those that read the files again.
static LEARNED: LazyLock<Mutex<HashSet<(PathBuf, String, String)>>> = LazyLock::new(Mutex::default);

/// Trust in the key of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::transport) enum HostKeyTrust {
    /// A file knew the key, or a person has confirmed it.
    Known,
    /// This run has learned the key, without a person.
    Learned {
        /// SHA256 fingerprint of the key.
        fingerprint: String,
        /// True for the connection that stored the key.
        first: bool,
    },
}

/// A host key that was learned in this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LearnedHostKey {
    /// Host of the inventory, or the jump host.
    pub host: HostName,
    /// Name in known hosts: `host`, or `[host]:port` if the port is not 22.
    pub name: String,
    /// SHA256 fingerprint of the key.
    pub fingerprint: String,
    /// File that the key was stored in; `None` if there is no file.
    pub file: Option<PathBuf>,
}

impl fmt::Display for LearnedHostKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, fingerprint) = (&self.name, &self.fingerprint);
        write!(formatter, "new host key of {name}: {fingerprint}")?;
        match &self.file {
            Some(file) => write!(formatter, " (stored in {})", file.display()),
            None => write!(formatter, " (not stored)"),
        }
    }
}

/// Function that receives a learned host key.
type ListenerFn = dyn Fn(&LearnedHostKey) + Send + Sync;

/// Receives each learned host key once. The default receiver ignores them.
#[derive(Clone, Default)]
pub struct HostKeyListener(Option<Arc<ListenerFn>>);

impl HostKeyListener {
    /// Returns a listener that calls a function.
    #[must_use]
    pub fn new(listener: impl Fn(&LearnedHostKey) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(listener)))
    }

    /// Passes a key to the function.
    pub(in crate::transport) fn notify(&self, key: &LearnedHostKey) {
        if let Some(listener) = &self.0 {
            listener(key);
        }
    }
}

impl fmt::Debug for HostKeyListener {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("HostKeyListener(..)")
    }
}

/// Records that this run has learned a key; returns true for the first time.
pub(super) fn record(file: Option<&PathBuf>, name: &str, fingerprint: &str) -> bool {
    LEARNED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .insert(entry(file, name, fingerprint))
}

/// Returns true if this run has learned the key.
pub(super) fn is_learned(file: Option<&PathBuf>, name: &str, fingerprint: &str) -> bool {
    LEARNED
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .contains(&entry(file, name, fingerprint))
}

fn entry(file: Option<&PathBuf>, name: &str, fingerprint: &str) -> (PathBuf, String, String) {
    let file = file.cloned().unwrap_or_default();
    (file, name.to_owned(), fingerprint.to_owned())
}
