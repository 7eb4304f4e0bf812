//! Versions of Debian packages: matching by pattern, and comparison of two versions (Debian policy
//! 5.6.12, deb-version(7)).

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};

use super::PackageName;
use crate::base::{GlobUnit, glob_matches};

/// A version or a pattern with `*`, with or without epoch and revision: `28.*` and `28.3.1` both
/// match `5:28.3.1-1~ubuntu.24.04~noble`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct VersionPattern(String);

impl VersionPattern {
    /// Returns the pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns true if the pattern matches a version. The shell of the install step matches in the
    /// same way with `case`.
    #[must_use]
    pub fn matches(&self, version: &str) -> bool {
        let pattern = &self.0;
        let forms = [
            pattern.clone(),
            format!("*:{pattern}"),
            format!("{pattern}-*"),
            format!("*:{pattern}-*"),
        ];
        forms
            .iter()
            .any(|form| glob_matches(form, version, GlobUnit::Character))
    }
}

impl TryFrom<String> for VersionPattern {
    type Error = String;

    fn try_from(pattern: String) -> Result<Self, String> {
        let first =
            pattern.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '*');
        let rest = pattern
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || ".+~:*-".contains(one));
        // apt-get(8) reads a sign at the end of an argument as "install" or "remove".
        let last = !pattern.ends_with(['+', '-']);
        if first && rest && last && pattern.len() <= 128 && pattern.matches('*').count() <= 4 {
            return Ok(Self(pattern));
        }
        Err(format!(
            "{pattern:?} is neither a version nor a pattern such as \"28.*\""
        ))
    }
}

/// The field `version`: one pattern for the whole set, or one pattern for each named package.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum VersionSelection {
    /// Any version is accepted.
    #[default]
    Any,
    /// The pattern applies to every package.
    All(VersionPattern),
    /// Patterns by package; any version of the other packages is accepted.
    Each(BTreeMap<PackageName, VersionPattern>),
}

impl VersionSelection {
    /// Returns the pattern for a package.
    #[must_use]
    pub fn of(&self, name: &PackageName) -> Option<&VersionPattern> {
        match self {
            Self::Any => None,
            Self::All(pattern) => Some(pattern),
            Self::Each(patterns) => patterns.get(name),
        }
    }
}

impl<'de> Deserialize<'de> for VersionSelection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(VersionsVisitor)
    }
}

struct VersionsVisitor;

impl<'de> Visitor<'de> for VersionsVisitor {
    type Value = VersionSelection;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a version in quotes, or a table from package to version")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<VersionSelection, E> {
        VersionPattern::try_from(text.to_owned())
            .map(VersionSelection::All)
            .map_err(E::custom)
    }

    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<VersionSelection, M::Error> {
        BTreeMap::deserialize(MapAccessDeserializer::new(map)).map(VersionSelection::Each)
    }
}

/// Compares two versions as dpkg does.
#[must_use]
pub fn compare_versions(left: &str, right: &str) -> Ordering {
    let (left_epoch, left) = left.split_once(':').unwrap_or(("0", left));
    let (right_epoch, right) = right.split_once(':').unwrap_or(("0", right));
    let (left_upstream, left_revision) = left.rsplit_once('-').unwrap_or((left, ""));
    let (right_upstream, right_revision) = right.rsplit_once('-').unwrap_or((right, ""));
    compare_part(left_epoch, right_epoch)
        .then_with(|| compare_part(left_upstream, right_upstream))
        .then_with(|| compare_part(left_revision, right_revision))
}

/// Compares alternately the parts without digits by [`weight`] and the parts of digits by number.
fn compare_part(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.as_bytes(), right.as_bytes());
    while !left.is_empty() || !right.is_empty() {
        loop {
            let (first, second) = (weight(left.first()), weight(right.first()));
            if first != second {
                return first.cmp(&second);
            }
            if first == 0 {
                break;
            }
            (left, right) = (&left[1..], &right[1..]);
        }
        let (first, left_rest) = number(left);
        let (second, right_rest) = number(right);
        let order = first
            .len()
            .cmp(&second.len())
            .then_with(|| first.cmp(second));
        if order != Ordering::Equal {
            return order;
        }
        (left, right) = (left_rest, right_rest);
    }
    Ordering::Equal
}

/// Returns the sort weight: `~` before the end, the end (or a digit) before letters, letters before
/// all other characters.
fn weight(byte: Option<&u8>) -> i32 {
    match byte {
        Some(b'~') => -1,
        None | Some(b'0'..=b'9') => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    }
}

/// Splits off the leading digits, without leading zeroes.
fn number(text: &[u8]) -> (&[u8], &[u8]) {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let zeroes = digits.iter().take_while(|byte| **byte == b'0').count();
    (&digits[zeroes..], rest)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn pattern_matches_versions_with_epoch_and_revision() {
        let matches = |pattern: &str, version| {
            VersionPattern::try_from(pattern.to_owned())
                .unwrap()
                .matches(version)
        };
        let docker = "5:28.3.1-1~ubuntu.24.04~noble";
        for pattern in [
            "28.*",
            "5:28.*",
            "28.3.1",
            "5:28.3.1",
            "28.3.1-1~ubuntu.24.04~noble",
            docker,
            "*",
        ] {
            assert!(matches(pattern, docker), "{pattern}");
        }
        for pattern in [
            "2.*", "8.*", "28", "28.3", "27.*", "4:28.*", "28.3.1-1", "3.1",
        ] {
            assert!(!matches(pattern, docker), "{pattern}");
        }
        assert!(!matches("28.*", "5:27.28.1-1"));
        for bad in [
            "", "28 ", "$(id)", "28;", "[0-9]", "28?", "-28", "2\n8", "28-", "*****",
        ] {
            assert!(VersionPattern::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        let rising = [
            "0:0~~",
            "0~~a",
            "0~",
            "0",
            "0a",
            "0+",
            "1.0~rc1-1",
            "1.0-1~bpo1",
            "1.0-1",
            "1.0-1+b1",
            "1.0-2",
            "1.0-10",
            "1.0.1-1",
            "1.2",
            "1.10",
            "26.1.5+dfsg1-9",
            "1:0.1",
            "5:27.5.1-1~debian.12~bookworm",
            "5:28.3.1-1~debian.12~bookworm",
            "5:28.3.1-1~ubuntu.24.04~noble",
        ];
        for (index, left) in rising.iter().enumerate() {
            for (other, right) in rising.iter().enumerate() {
                assert_eq!(
                    compare_versions(left, right),
                    index.cmp(&other),
                    "{left} {right}"
                );
            }
        }
        assert_eq!(compare_versions("0:1.02-0", "1.2"), Ordering::Equal);
    }
}
