//! Atomic writing of local files: readers see the old content or the new content, never a part.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Replaces a file, or creates it, with these permission bits, whatever the umask is. The folder
/// must exist. A symbolic link is replaced, not followed.
///
/// The content goes to a temporary file in the same folder, which is synced and then renamed. The
/// name of the temporary file begins with `.skep-` and has no suffix: a program that reads `*.conf`
/// or `*.prom` in that folder never reads a partial file.
///
/// # Errors
/// Error of the operating system; the old file is then unchanged and the temporary file is gone.
pub fn write_whole_file(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".skep-")
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file()
        .set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    // The rename survives a power failure only if the folder is synced too. Some file systems
    // cannot sync a folder, and some folders cannot be opened for reading. By now the new file is
    // in place, and an error would claim that the old file is unchanged; therefore errors of this
    // sync are ignored.
    if let Ok(folder) = File::open(folder) {
        let _ = folder.sync_all();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn content_and_mode_are_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        for (content, bits) in [
            (&b"one"[..], 0o644),
            (b"", 0o600),
            (b"\0\xff", 0o666),
            (b"longer than before", 0o755),
        ] {
            write_whole_file(&path, content, bits).unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), content);
            assert_eq!(mode(&path), bits, "{bits:o}");
        }
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            1,
            "no temporary file is left"
        );
    }

    #[test]
    fn a_link_is_replaced_and_its_target_is_unchanged() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        std::fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write_whole_file(&link, b"new", 0o644).unwrap();
        assert!(!std::fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(std::fs::read(&target).unwrap(), b"old");
    }

    #[test]
    fn a_failure_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let taken = folder.path().join("taken");
        std::fs::create_dir(&taken).unwrap();
        write_whole_file(&taken, b"x", 0o644).unwrap_err();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        let missing = folder.path().join("missing/file");
        let error = write_whole_file(&missing, b"x", 0o644).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
