//! Removes a host's keys, as `ssh-keygen -R` does: its name is removed from the lines that contain
//! it, and a hashed line is removed as a whole. Lines of authorities, revoked keys and patterns
//! stay, because they apply to more than this host.

use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::known_hosts::HostPatterns;

use super::{TransportError, learn, pattern};

/// Result for a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgetResult {
    /// The file.
    pub file: PathBuf,
    /// Lines from which the host's name was removed; the previous text is kept in `FILE.old`.
    pub lines: Vec<usize>,
    /// Lines that match the host by a pattern, and stay.
    pub patterns: Vec<usize>,
}

/// Removes a server from a file. A file that does not exist counts as empty.
///
/// # Errors
/// [`TransportError::KnownHosts`] when the file cannot be read or written; the previous text is
/// then still in the file or in `FILE.old`.
pub fn forget(file: &Path, address: &str, port: u16) -> Result<ForgetResult, TransportError> {
    if !file.exists() {
        return Ok(ForgetResult {
            file: file.to_path_buf(),
            lines: Vec::new(),
            patterns: Vec::new(),
        });
    }
    let name = pattern::lookup_name(address, port);
    let mut locked = learn::open_locked(file)?;
    let before = learn::text(&mut locked, file)?;
    let (after, forgotten) = text_without(&before, &name, file);
    if forgotten.lines.is_empty() {
        return Ok(forgotten);
    }
    let trouble = |error: std::io::Error| TransportError::KnownHosts {
        path: file.to_path_buf(),
        why: error.to_string(),
    };
    let mut old = file.as_os_str().to_owned();
    old.push(".old");
    std::fs::copy(file, PathBuf::from(old)).map_err(trouble)?;
    // Written in place: other processes wait for the lock of this very file, and a new file under
    // the old name would not have that lock.
    locked
        .set_len(0)
        .and_then(|()| locked.rewind())
        .map_err(trouble)?;
    locked
        .write_all(after.as_bytes())
        .and_then(|()| locked.sync_all())
        .map_err(trouble)?;
    Ok(forgotten)
}

/// Returns the text without the server, and the lines that were changed or kept.
pub(super) fn text_without(before: &str, name: &str, file: &Path) -> (String, ForgetResult) {
    let mut forgotten = ForgetResult {
        file: file.to_path_buf(),
        lines: Vec::new(),
        patterns: Vec::new(),
    };
    let mut after = String::with_capacity(before.len());
    for (index, line) in before.split_inclusive('\n').enumerate() {
        match without(line, name) {
            Some(KeptLine::Pattern) => {
                forgotten.patterns.push(index + 1);
                after.push_str(line);
            }
            Some(KeptLine::Rest(rest)) => {
                forgotten.lines.push(index + 1);
                after.push_str(&rest);
            }
            None => after.push_str(line),
        }
    }
    (after, forgotten)
}

/// Rest of a line that applies to the host.
enum KeptLine {
    /// The whole line, because it applies by a pattern.
    Pattern,
    /// The line with its other names; empty if there are none.
    Rest(String),
}

fn without(line: &str, name: &str) -> Option<KeptLine> {
    let hosts = line
        .split_ascii_whitespace()
        .next()
        .filter(|first| !first.starts_with(['#', '@']))?;
    let patterns: HostPatterns = hosts.parse().ok()?;
    if !pattern::matches(&patterns, name) {
        return None;
    }
    if matches!(patterns, HostPatterns::HashedName { .. }) {
        return Some(KeptLine::Rest(String::new()));
    }
    if !hosts.split(',').any(|host| host.eq_ignore_ascii_case(name)) {
        return Some(KeptLine::Pattern);
    }
    // Empty names are dropped: in a line that kept only an empty name, the key type would be read
    // as the name.
    let others: Vec<&str> = hosts
        .split(',')
        .filter(|host| !host.is_empty() && !host.eq_ignore_ascii_case(name))
        .collect();
    let rest = if others.is_empty() {
        String::new()
    } else {
        line.replacen(hosts, &others.join(","), 1)
    };
    Some(KeptLine::Rest(rest))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn forget_removes_the_name_and_keeps_lines_of_other_hosts() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("known_hosts");
        let hashed = pattern::hashed("web");
        let text = format!(
            "# web\nweb ssh-ed25519 A\n10.0.0.1,WEB,other ssh-ed25519 B\n{hashed} ssh-ed25519 C\n\
             @cert-authority web ssh-ed25519 D\nw* ssh-ed25519 E\n[web]:2222 ssh-ed25519 F\nlast ssh-ed25519 G"
        );
        std::fs::write(&file, &text).unwrap();
        let forgotten = forget(&file, "web", 22).unwrap();
        assert_eq!(
            (forgotten.lines, forgotten.patterns),
            (vec![2, 3, 4], vec![6])
        );
        let wanted = "# web\n10.0.0.1,other ssh-ed25519 B\n@cert-authority web ssh-ed25519 D\nw* ssh-ed25519 E\n\
            [web]:2222 ssh-ed25519 F\nlast ssh-ed25519 G";
        assert_eq!(std::fs::read_to_string(&file).unwrap(), wanted);
        assert_eq!(
            std::fs::read_to_string(folder.path().join("known_hosts.old")).unwrap(),
            text
        );
        std::fs::write(&file, "web, ssh-ed25519 H\n,web,,db ssh-ed25519 I\n").unwrap();
        assert_eq!(forget(&file, "web", 22).unwrap().lines, [1, 2]);
        assert_eq!(
            std::fs::read_to_string(&file).unwrap(),
            "db ssh-ed25519 I\n"
        );
        std::fs::write(&file, wanted).unwrap();
        assert!(forget(&file, "nobody", 22).unwrap().lines.is_empty());
        assert_eq!(forget(&file, "web", 2222).unwrap().lines, [5]);
        assert!(
            forget(&folder.path().join("none"), "web", 22)
                .unwrap()
                .lines
                .is_empty()
        );
        assert!(!folder.path().join("none").exists());
    }
}
