//! Pieces of `mmdebstrap` command lines that every image built from Debian's packages needs.

use super::command::LocalCommand;

/// The keyring of Debian's archive.
pub(crate) const ARCHIVE_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Returns `--aptopt` arguments with the proxies of this machine's apt, since mmdebstrap starts
/// from an empty configuration.
pub(crate) fn proxy_options() -> Vec<String> {
    let dumped = LocalCommand::new("apt-config").arguments(["dump"]).run();
    let dumped = dumped.unwrap_or_default();
    let proxy = |line: &&str| {
        line.starts_with("Acquire::http") && line.contains("::Proxy") && !line.contains("\"\"")
    };
    dumped
        .lines()
        .filter(proxy)
        .map(|line| format!("--aptopt={line}"))
        .collect()
}
