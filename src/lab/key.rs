//! The SSH key of an environment, generated once and kept in its state directory, and the host keys
//! of its virtual machines.

use std::path::Path;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use super::error::LabError;
use super::record::LabRecord;
use super::state::{StateDirectory, write_file};

/// Returns the public key as a line for `authorized_keys`, and generates the pair if it is missing.
pub(crate) fn ensure(record: &LabRecord, state: &StateDirectory) -> Result<String, LabError> {
    pair(
        &record.identity_file(state),
        &format!("skep lab {}", record.name),
    )
}

/// Returns the public key of the pair in this file, and generates the pair if it is missing.
pub(crate) fn pair(secret: &Path, comment: &str) -> Result<String, LabError> {
    let public = secret.with_extension("pub");
    if secret.exists() && public.exists() {
        let line = std::fs::read_to_string(&public).map_err(LabError::file("read", &public))?;
        return Ok(line.trim().to_owned());
    }
    let failed = |reason: russh::keys::ssh_key::Error| LabError::Key {
        reason: reason.to_string(),
    };
    let mut key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519).map_err(failed)?;
    key.set_comment(comment);
    let line = key.public_key().to_openssh().map_err(failed)?;
    let text = key.to_openssh(LineEnding::LF).map_err(failed)?;
    write_file(secret, text.as_bytes(), 0o600)?;
    write_file(&public, format!("{line}\n").as_bytes(), 0o644)?;
    Ok(line)
}
