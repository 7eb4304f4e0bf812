//! The SSH key of a lot, made once and kept in its state directory; and the host keys of its virtual machines.

use std::path::Path;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use super::error::LabError;
use super::record::LabRecord;
use super::state::{StateDirectory, write_file};

/// The public key as a line for `authorized_keys`; the pair is made when missing.
pub(crate) fn ensure(record: &LabRecord, state: &StateDirectory) -> Result<String, LabError> {
    pair(
        &record.identity_file(state),
        &format!("skep lab {}", record.name),
    )
}

/// The public half of the pair in this file, made when missing.
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
