//! A line of a known-hosts file, as data. Decisions about keys are made in the parent module.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use russh::keys::PublicKey;
use russh::keys::ssh_key::known_hosts::HostPatterns;

/// Role that a line gives to its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyMarker {
    /// The key of a host.
    HostKey,
    /// `@revoked`: the key must not be accepted, whatever other lines say.
    Revoked,
    /// `@cert-authority`: the key of an authority, never a host's own.
    Authority,
}

/// A valid line.
#[derive(Debug, Clone)]
pub(super) struct KnownHostEntry {
    /// Role that the line gives to its key.
    pub role: KeyMarker,
    /// Patterns of the hosts that the line applies to.
    pub patterns: HostPatterns,
    /// The key.
    pub key: PublicKey,
    /// File that contains the line.
    pub file: Arc<PathBuf>,
    /// Number of the line in the file, from 1; comments and empty lines count.
    pub line: usize,
}

impl KnownHostEntry {
    /// Returns `FILE:LINE`, for messages.
    #[must_use]
    pub(super) fn place(&self) -> String {
        format!("{}:{}", self.file.display(), self.line)
    }
}

/// Parses the text of a file. Invalid lines and comments are skipped, as in OpenSSH.
#[must_use]
pub(super) fn parse(text: &str, file: &Path) -> Vec<KnownHostEntry> {
    let file = Arc::new(file.to_path_buf());
    let entry = |(index, line): (usize, &str)| {
        let found = parse_line(line, &file, index + 1);
        if found.is_none() && !line.trim().is_empty() && !line.trim_start().starts_with('#') {
            tracing::debug!(file = %file.display(), line = index + 1, "skipped an invalid line of known hosts");
        }
        found
    };
    text.lines().enumerate().filter_map(entry).collect()
}

fn parse_line(line: &str, file: &Arc<PathBuf>, number: usize) -> Option<KnownHostEntry> {
    let mut fields = line.split_ascii_whitespace().peekable();
    let role = match fields.peek()? {
        first if first.starts_with('#') => return None,
        &"@revoked" => KeyMarker::Revoked,
        &"@cert-authority" => KeyMarker::Authority,
        first if first.starts_with('@') => return None,
        _ => KeyMarker::HostKey,
    };
    if role != KeyMarker::HostKey {
        fields.next();
    }
    let patterns = fields.next()?.parse().ok()?;
    let key = PublicKey::from_openssh(&format!("{} {}", fields.next()?, fields.next()?)).ok()?;
    Some(KnownHostEntry {
        role,
        patterns,
        key,
        file: Arc::clone(file),
        line: number,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB9dG4kjRhQTtWTVzd2t27+t0DEHBPW7iOD23TUiYLio";

    #[test]
    fn tabs_comments_line_ends_and_markers_are_parsed() {
        let text = format!(
            "# comment\r\n\r\nhost\t{}\tuser@somewhere # x\r\n  @revoked  old {KEY}\n@cert-authority *.org {KEY}\nbroken line\n@new h {KEY}\nlast {KEY}",
            KEY.replace(' ', "\t")
        );
        let entries = parse(&text, Path::new("/k"));
        let seen: Vec<(KeyMarker, usize, String)> = entries
            .iter()
            .map(|entry| (entry.role, entry.line, entry.patterns.to_string()))
            .collect();
        assert_eq!(
            seen,
            [
                (KeyMarker::HostKey, 3, "host".to_owned()),
                (KeyMarker::Revoked, 4, "old".to_owned()),
                (KeyMarker::Authority, 5, "*.org".to_owned()),
                (KeyMarker::HostKey, 8, "last".to_owned()),
            ]
        );
        assert_eq!(entries[1].place(), "/k:4");
    }
}
