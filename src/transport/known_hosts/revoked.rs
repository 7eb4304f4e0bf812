//! Reads the files of `RevokedHostKeys`: one public key per line. Every host refuses these keys.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::PublicKey;

use super::TransportError;
use super::entry::{KeyMarker, KnownHostEntry};

/// First bytes of a key revocation list in OpenSSH's binary form (PROTOCOL.krl).
const BINARY_LIST: &[u8] = b"SSHKRL\n\0";

/// Returns an entry for each revoked key.
///
/// # Errors
/// [`TransportError::Settings`] for a file that cannot be read or that contains anything else than
/// public keys: as in OpenSSH, such a file refuses every host.
pub(super) fn read(file: &Path) -> Result<Vec<KnownHostEntry>, TransportError> {
    let trouble = |why: String| TransportError::Settings {
        setting: "RevokedHostKeys".into(),
        place: file.display().to_string().into(),
        why,
    };
    let bytes = std::fs::read(file).map_err(|error| trouble(error.to_string()))?;
    if bytes.starts_with(BINARY_LIST) {
        return Err(trouble(
            "the file is a binary revocation list, and skep reads only a list of public keys, one per line".into(),
        ));
    }
    let text = String::from_utf8_lossy(&bytes);
    let shared: Arc<PathBuf> = Arc::new(file.to_path_buf());
    let mut entries = Vec::new();
    for (index, line) in text.lines().map(str::trim).enumerate() {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let unusable = || trouble(format!("line {} is not a public key", index + 1));
        entries.push(KnownHostEntry {
            role: KeyMarker::Revoked,
            patterns: "*".parse().map_err(|_| unusable())?,
            key: PublicKey::from_openssh(line).map_err(|_| unusable())?,
            file: Arc::clone(&shared),
            line: index + 1,
        });
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_a_list_of_public_keys_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("revoked");
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";
        std::fs::write(&file, format!("# old keys\n\n{key} web\n")).unwrap();
        let entries = read(&file).unwrap();
        assert_eq!((entries.len(), entries[0].line), (1, 3));
        for (content, word) in [
            (&b"SSHKRL\n\0rest"[..], "binary"),
            (b"not a key\n", "line 1"),
            (b"# x\nweb ssh-ed25519 AAAA\n", "line 2"),
        ] {
            std::fs::write(&file, content).unwrap();
            let error = read(&file).unwrap_err().to_string();
            assert!(
                error.contains(word) && error.contains("RevokedHostKeys"),
                "{error}"
            );
        }
        assert!(read(&folder.path().join("missing")).is_err());
    }
}
