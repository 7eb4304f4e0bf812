//! Pieces of `mmdebstrap` command lines that every image built from Debian's packages needs.

use super::command::LocalCommand;
use super::options::DebianSuite;

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

/// Returns `--aptopt` arguments for a suite whose package index may be past its date.
pub(crate) fn date_options(suite: DebianSuite) -> Vec<String> {
    let option = "--aptopt=Acquire::Check-Valid-Until \"false\"".to_owned();
    suite
        .may_be_past_its_date()
        .then_some(option)
        .into_iter()
        .collect()
}
