//! Finds the user certificates that belong to a key.

use std::path::{Path, PathBuf};

use russh::keys::{Certificate, PublicKey};

/// Returns the certificates for a key: those of `CertificateFile`, then `KEY-cert.pub` beside the
/// key. A file that cannot be read is skipped, because a certificate only adds to its key.
pub(super) fn of_key(public: &PublicKey, path: &Path, files: &[PathBuf]) -> Vec<Certificate> {
    let mut beside = path.as_os_str().to_owned();
    beside.push("-cert.pub");
    let beside = PathBuf::from(beside);
    let mut found: Vec<Certificate> = Vec::new();
    for file in files.iter().chain([&beside]) {
        let Some(certificate) = read(file) else {
            continue;
        };
        if certificate.public_key() == public.key_data() && !found.contains(&certificate) {
            found.push(certificate);
        }
    }
    found
}

fn read(file: &Path) -> Option<Certificate> {
    let text = std::fs::read_to_string(file).ok()?;
    let certificate = Certificate::from_openssh(text.trim());
    if let Err(error) = &certificate {
        tracing::debug!(file = %file.display(), %error, "not a certificate");
    }
    certificate.ok()
}
