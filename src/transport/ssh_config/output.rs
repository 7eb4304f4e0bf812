//! Output of `ssh -G`: one setting per line, keyword first; a keyword with several values takes
//! several lines.

use std::collections::BTreeMap;

/// Settings of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HostSettings {
    values: BTreeMap<String, Vec<String>>,
    by_ssh: bool,
}

impl HostSettings {
    /// Parses the output; lines without a value are skipped.
    #[must_use]
    pub(super) fn parse(text: &str) -> Self {
        let mut values: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in text.lines() {
            let Some((keyword, value)) = line.trim_end().split_once(' ') else {
                continue;
            };
            let value = value.trim();
            if !keyword.is_empty() && !value.is_empty() {
                values
                    .entry(keyword.to_ascii_lowercase())
                    .or_default()
                    .push(value.to_owned());
            }
        }
        Self {
            values,
            by_ssh: true,
        }
    }

    /// Returns settings that do not come from `ssh`; their keywords must be in lower case.
    #[must_use]
    pub(super) fn from(values: BTreeMap<String, Vec<String>>) -> Self {
        Self {
            values,
            by_ssh: false,
        }
    }

    /// Returns true if the values come from `ssh`. Before it prints, `ssh` replaces the tokens of
    /// IdentityAgent and UserKnownHostsFile, and leaves those of IdentityFile, CertificateFile and
    /// ProxyCommand (`main` of OpenSSH's ssh.c).
    #[must_use]
    pub(super) fn is_by_ssh(&self) -> bool {
        self.by_ssh
    }

    /// Returns all values of a keyword, in order.
    #[must_use]
    pub(super) fn all(&self, keyword: &str) -> &[String] {
        self.values.get(keyword).map_or(&[], Vec::as_slice)
    }

    /// Returns the first value of a keyword.
    #[must_use]
    pub(super) fn first(&self, keyword: &str) -> Option<&str> {
        self.all(keyword).first().map(String::as_str)
    }

    /// Returns the settings that differ from `defaults`, the settings of a host that no file
    /// mentions. A value of a file that equals the default does not count as different.
    #[must_use]
    pub(super) fn beyond(&self, defaults: &Self) -> Self {
        let differs = |(keyword, values): &(&String, &Vec<String>)| {
            defaults.values.get(*keyword) != Some(*values)
        };
        let values = self
            .values
            .iter()
            .filter(differs)
            .map(|(keyword, values)| (keyword.clone(), values.clone()));
        Self {
            values: values.collect(),
            by_ssh: self.by_ssh,
        }
    }

    /// Returns all keywords, sorted.
    pub(super) fn keywords(&self) -> impl Iterator<Item = &str> {
        self.values.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_beyond_the_defaults_are_found() {
        let defaults = HostSettings::parse(
            "host skep\nport 22\nidentityfile ~/a\nidentityfile ~/b\nciphers x,y\n",
        );
        let printed = HostSettings::parse(
            "host web\nport 2222\nidentityfile ~/a\nidentityfile ~/b\nciphers y \nempty\nProxyJump a,b",
        );
        let beyond = printed.beyond(&defaults);
        assert_eq!(
            beyond.keywords().collect::<Vec<_>>(),
            ["ciphers", "host", "port", "proxyjump"]
        );
        assert_eq!(beyond.first("ciphers"), Some("y"));
        assert_eq!(printed.all("identityfile").len(), 2);
        assert!(HostSettings::parse("\n \nx\n").values.is_empty());
    }
}
