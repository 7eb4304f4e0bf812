//! Forgetting a host's keys, as `ssh-keygen -R` does: its name is taken out of the lines that name it, hashed lines go
//! as a whole. Lines of authorities, revoked keys and patterns stay: they speak of more than this host.

use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use russh::keys::ssh_key::known_hosts::HostPatterns;

use super::{TransportError, learn, pattern};

/// What became of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgetResult {
    /// The file.
    pub file: PathBuf,
    /// Lines that named the host and do so no more; the text before that is kept in `FILE.old`.
    pub lines: Vec<usize>,
    /// Lines that hold for the host by a pattern, and stay.
    pub patterns: Vec<usize>,
}

/// Takes a server out of a file. A file that does not exist knows nobody.
///
/// # Errors
/// [`TransportError::KnownHosts`] when the file cannot be read or written; it is as it was then, or in `FILE.old`.
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
    // In place: a new file under the old name would not be the one that others wait for the lock of.
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

/// The text without the server, and what became of which line.
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

/// What stays of a line that speaks of the host.
enum KeptLine {
    /// All of it.
    Pattern,
    /// Its other names, or nothing.
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
    // Nothing between two commas is no name: a line left with that alone would have its next word for one.
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
    fn names_go_and_what_speaks_of_others_stays() {
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
