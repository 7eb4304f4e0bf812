//! Encrypted keys, unlocked once a run: the first connection that meets one asks, the others wait for it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use russh::keys::PrivateKey;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;

use super::SecretPrompt;

/// As `ssh` does it.
const PROMPTS: usize = 3;

/// An unlocked key, or that it stays locked.
type UnlockResult = Option<Arc<PrivateKey>>;

/// Keys by file.
#[derive(Default)]
pub struct UnlockedKeys {
    // The outer lock is held for moments; the inner one while somebody is asked.
    keys: std::sync::Mutex<HashMap<PathBuf, UnlockResult>>,
    asking: Mutex<()>,
}

impl UnlockedKeys {
    /// The unlocked key; `Some(None)` when it was tried and stays locked.
    pub fn unlocked(&self, path: &Path) -> Option<UnlockResult> {
        self.keys
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(path)
            .cloned()
    }

    /// Tries the known passphrase, then asks up to three times.
    pub async fn unlock(
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

/// Deriving the key takes long on purpose: not on a thread that serves connections.
async fn decrypt(key: &PrivateKey, passphrase: SecretString) -> UnlockResult {
    let key = key.clone();
    let work = move || key.decrypt(passphrase.expose_secret()).ok().map(Arc::new);
    tokio::task::spawn_blocking(work).await.ok().flatten()
}
