//! Versions of Docker Engine: the numbers of a package's version, and ranges of them. Pure.

/// Major, minor and patch number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct EngineVersion([u64; 3]);

impl EngineVersion {
    /// Reads the numbers of an Engine's or a package's version: `5:28.5.2-1~debian.13~trixie`,
    /// `26.1.5+dfsg1`, `29.0`. `None` if it does not begin with a number.
    #[must_use]
    pub fn parse(version: &str) -> Option<Self> {
        let upstream = upstream(version);
        let end = upstream.find(|one: char| !one.is_ascii_digit() && one != '.');
        let mut parts = upstream[..end.unwrap_or(upstream.len())].split('.');
        let mut next = || match parts.next() {
            None | Some("") => Some(0),
            Some(part) => part.parse().ok(),
        };
        let numbers = [next()?, next()?, next()?];
        upstream
            .starts_with(|one: char| one.is_ascii_digit())
            .then_some(Self(numbers))
    }

    /// Returns the major number.
    #[must_use]
    pub fn major(self) -> u64 {
        self.0[0]
    }
}

/// Returns a package's version without epoch and revision (Debian policy 5.6.12).
#[must_use]
pub fn upstream(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_, rest)| rest);
    version.rsplit_once('-').map_or(version, |(rest, _)| rest)
}

/// Versions from the first to the last, both included; an end may be open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct VersionRange {
    first: Option<EngineVersion>,
    last: Option<EngineVersion>,
}

impl VersionRange {
    /// Reads `29.0.0 - 29.2.0`, `29.10.0 -`, `- 29.8.1` or `28.2.2`.
    ///
    /// # Errors
    /// A sentence about the text.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "{text:?} is no range of versions: write `29.0.0 - 29.2.0`, `29.10.0 -`, `- 29.8.1` or `28.2.2`"
            )
        };
        let version = |text: &str| EngineVersion::parse(text).ok_or_else(bad);
        let text = text.trim();
        if text.is_empty() || text == "-" {
            return Err(bad());
        }
        let (first, last) = if let Some(last) = text.strip_prefix("- ") {
            (None, Some(version(last)?))
        } else if let Some(first) = text.strip_suffix(" -") {
            (Some(version(first)?), None)
        } else if let Some((first, last)) = text.split_once(" - ") {
            (Some(version(first)?), Some(version(last)?))
        } else {
            (Some(version(text)?), Some(version(text)?))
        };
        Ok(Self { first, last })
    }

    /// Returns true if the version is in the range.
    pub(super) fn contains(&self, version: EngineVersion) -> bool {
        self.first.is_none_or(|first| first <= version)
            && self.last.is_none_or(|last| version <= last)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn numbers_of_versions() {
        for (text, numbers) in [
            ("5:28.5.2-1~debian.13~trixie", Some([28, 5, 2])),
            ("26.1.5+dfsg1-9", Some([26, 1, 5])),
            ("29.0", Some([29, 0, 0])),
            ("20.10.24", Some([20, 10, 24])),
            ("28.5.2-rc1", Some([28, 5, 2])),
            ("dev", None),
            ("", None),
        ] {
            assert_eq!(
                EngineVersion::parse(text),
                numbers.map(EngineVersion),
                "{text}"
            );
        }
        assert_eq!(upstream("5:28.5.2-1~debian.13~trixie"), "28.5.2");
        assert_eq!(upstream("1.7.24~ds1-6"), "1.7.24~ds1");
    }

    #[test]
    fn ranges() {
        let contains = |range: &str, version: &str| {
            VersionRange::parse(range)
                .unwrap()
                .contains(EngineVersion::parse(version).unwrap())
        };
        assert!(contains("29.0.0 - 29.2.0", "29.2.0") && contains("29.0.0 - 29.2.0", "29.0.0"));
        assert!(!contains("29.0.0 - 29.2.0", "29.2.1") && !contains("29.0.0 - 29.2.0", "28.9.9"));
        assert!(contains("29.10.0 -", "30.0.0") && !contains("29.10.0 -", "29.9.9"));
        assert!(contains("- 29.8.1", "20.10.0") && !contains("- 29.8.1", "29.8.2"));
        assert!(contains("28.2.2", "5:28.2.2-1") && !contains("28.2.2", "28.2.1"));
        for bad in ["", "-", "x", "29.0.0 - x", "x -"] {
            assert!(VersionRange::parse(bad).is_err(), "{bad:?}");
        }
    }
}
