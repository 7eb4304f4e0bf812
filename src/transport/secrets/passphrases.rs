//! Encrypted keys, unlocked once per run: the first connection that needs a key requests its
//! passphrase, and the other connections wait for the result.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use russh::keys::PrivateKey;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;

use super::SecretPrompt;

/// Maximum number of prompts for a passphrase, as in `ssh`.
const PROMPTS: usize = 3;

/// An unlocked key; `None` if the key stays locked.
type UnlockResult = Option<Arc<PrivateKey>>;

/// Results of unlocking, by key file.
#[derive(Default)]
pub(crate) struct UnlockedKeys {
    // `keys` is locked for moments only; `asking` is locked while the user is prompted.
    keys: std::sync::Mutex<HashMap<PathBuf, UnlockResult>>,
    asking: Mutex<()>,
}

impl UnlockedKeys {
    /// Returns the unlocked key; `Some(None)` if an attempt failed and the key stays locked, `None`
    /// before any attempt.
    pub(crate) fn unlocked(&self, path: &Path) -> Option<UnlockResult> {
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned()
    }

    /// Tries the known passphrase, then prompts up to three times.
    pub(crate) async fn unlock(
        &self,
        path: &Path,
        key: PrivateKey,
        known: Option<&SecretString>,
        asker: Option<&dyn SecretPrompt>,
    ) {
        let _one_at_a_time = self.asking.lock().await;
        if self.unlocked(path).is_some() {
            return;
        }
        let mut outcome = None;
        if let Some(passphrase) = known {
            outcome = decrypt(&key, passphrase.clone()).await;
        }
        if let Some(asker) = asker.filter(|_| outcome.is_none()) {
            let question = format!("Passphrase of {}: ", path.display());
            for _ in 0..PROMPTS {
                let Some(passphrase) = asker.ask(&question).await else {
                    break;
                };
                outcome = decrypt(&key, passphrase).await;
                if outcome.is_some() {
                    break;
                }
            }
        }
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_path_buf(), outcome);
    }
}

/// Decrypts a key outside the threads that serve connections: the key derivation is slow on
/// purpose.
async fn decrypt(key: &PrivateKey, passphrase: SecretString) -> UnlockResult {
    let key = key.clone();
    let work = move || key.decrypt(passphrase.expose_secret()).ok().map(Arc::new);
    tokio::task::spawn_blocking(work).await.ok().flatten()
}
