//! Checks whether an SSH configuration with an effect exists. Debian installs a system-wide file
//! that only concerns terminals; skep starts no process for that file alone.

use std::path::{Path, PathBuf};

/// Lines of Debian's own `/etc/ssh/ssh_config` that have no effect on skep.
const HARMLESS: &[&str] = &[
    "host *",
    "sendenv",
    "hashknownhosts",
    "gssapi",
    "include /etc/ssh/ssh_config.d/",
];

/// Returns the first configuration file that has an effect, if there is one.
#[must_use]
pub(super) fn usual() -> Option<PathBuf> {
    let user = std::env::home_dir()
        .map(|home| home.join(".ssh/config"))
        .filter(|path| speaks(path));
    user.or_else(|| {
        let system = PathBuf::from("/etc/ssh/ssh_config");
        let further = std::fs::read_dir("/etc/ssh/ssh_config.d")
            .into_iter()
            .flatten()
            .flatten();
        let mut all = std::iter::once(system).chain(further.map(|entry| entry.path()));
        all.find(|path| speaks(path))
    })
}

fn speaks(path: &Path) -> bool {
    match std::fs::read_to_string(path) {
        Ok(text) => text.lines().any(has_effect),
        // The file exists, and `ssh` may report why it cannot be read.
        Err(error) => error.kind() != std::io::ErrorKind::NotFound,
    }
}

pub(super) fn has_effect(line: &str) -> bool {
    let line = line.trim().to_ascii_lowercase();
    let words = line.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    !words.is_empty()
        && !words.starts_with('#')
        && !HARMLESS.iter().any(|harmless| words.starts_with(harmless))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debians_own_file_has_no_effect() {
        let debian = "# x\nInclude /etc/ssh/ssh_config.d/*.conf\n\nHost *\n#   Port 22\n    SendEnv LANG LC_*\n    HashKnownHosts yes\n    GSSAPIAuthentication yes\n";
        assert!(!debian.lines().any(has_effect));
        for line in [
            "Port 2222",
            "  ProxyJump  b",
            "Host web",
            "Include ~/.ssh/more",
            "Match all",
        ] {
            assert!(has_effect(line), "{line}");
        }
    }
}
