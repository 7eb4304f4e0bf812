//! Key files: private keys, encrypted private keys, and public keys whose private keys an agent
//! holds.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use russh::keys::{PrivateKey, PublicKey};

use crate::transport::ssh_config::own_number;

/// Content of a key file.
pub(super) enum KeyFile {
    /// A key that can sign.
    Ready(Box<PrivateKey>),
    /// A key that is encrypted with a passphrase.
    Locked(Box<PrivateKey>),
    /// A public key only.
    Public(Box<PublicKey>),
}

impl KeyFile {
    /// Returns the public key.
    pub(super) fn public(&self) -> &PublicKey {
        match self {
            Self::Ready(key) | Self::Locked(key) => key.public_key(),
            Self::Public(key) => key,
        }
    }
}

/// Reads a file; returns `None` if neither the file nor a public key beside it exists.
///
/// # Errors
/// The reason why the file is not a key, cannot be read, or may not be used. `ssh` refuses a
/// private key that other users may read, too.
pub(super) fn read(path: &Path) -> Result<Option<KeyFile>, String> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => zeroize::Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Ok(public_beside(path));
        }
        Err(error) => return Err(error.to_string()),
    };
    if let Ok(public) = PublicKey::from_openssh(text.trim()) {
        return Ok(Some(KeyFile::Public(Box::new(public))));
    }
    let data = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if data.mode() & 0o077 != 0 && data.uid() == own_number() {
        let mode = data.mode() & 0o777;
        return Err(format!(
            "other users may read it (mode {mode:04o}); `chmod 600` it, as ssh requires"
        ));
    }
    // The OpenSSH format does not encrypt the public key, which identifies the key in the agent.
    if let Ok(key) = PrivateKey::from_openssh(text.as_str()) {
        let key = Box::new(key);
        return Ok(Some(if key.is_encrypted() {
            KeyFile::Locked(key)
        } else {
            KeyFile::Ready(key)
        }));
    }
    russh::keys::decode_secret_key(&text, None)
        .map(|key| Some(KeyFile::Ready(Box::new(key))))
        .map_err(|error| match error {
            russh::keys::Error::KeyIsEncrypted => {
                "it is encrypted in an old format; convert it with `ssh-keygen -p -f`".into()
            }
            error => error.to_string(),
        })
}

fn public_beside(path: &Path) -> Option<KeyFile> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".pub");
    let text = std::fs::read_to_string(beside).ok()?;
    PublicKey::from_openssh(text.trim())
        .ok()
        .map(|key| KeyFile::Public(Box::new(key)))
}
