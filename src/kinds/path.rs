//! `AbsolutePath`: a path that means the same on every host and in every shell. Only the normal
//! form is accepted, so that two resources that name the same file have equal paths.

use std::fmt;

use serde::Deserialize;

/// Longest path that Linux accepts, in bytes, including its closing NUL (`PATH_MAX`).
const LONGEST: usize = 4096;
/// Longest part of a path, in bytes (`NAME_MAX`).
const LONGEST_PART: usize = 255;

/// An absolute path in normal form: no `.`, `..` or empty part, no slash at its end, no control
/// character.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct AbsolutePath(String);

impl AbsolutePath {
    /// Returns the path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns a path from a constant of the code, which must be in normal form.
    pub(super) fn constant(path: &'static str) -> Self {
        Self(path.to_owned())
    }

    /// Returns the number of parts: 0 for `/`, 1 for `/etc`.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.0.split('/').filter(|part| !part.is_empty()).count()
    }
}

impl fmt::Display for AbsolutePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl TryFrom<String> for AbsolutePath {
    type Error = String;

    fn try_from(path: String) -> Result<Self, String> {
        if let Some(character) = path.chars().find(|character| character.is_control()) {
            return Err(format!(
                "the path {path:?} contains the control character {character:?}"
            ));
        }
        if !path.starts_with('/') {
            return Err(format!(
                "the path {path:?} is not absolute; write it from the root, as in \"/srv/data\""
            ));
        }
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        if parts.contains(&"..") || parts.contains(&".") {
            return Err(format!(
                "the path {path:?} contains \".\" or \"..\"; write the path without them"
            ));
        }
        if let Some(part) = parts.iter().find(|part| part.len() > LONGEST_PART) {
            return Err(format!(
                "the path has a part of {} bytes; a file name has at most {LONGEST_PART}",
                part.len()
            ));
        }
        if path.len() >= LONGEST {
            return Err(format!(
                "the path has {} bytes; Linux takes at most {}",
                path.len(),
                LONGEST - 1
            ));
        }
        let normal = format!("/{}", parts.join("/"));
        if normal != path {
            return Err(format!(
                "the path {path:?} is not in its normal form; write {normal:?}"
            ));
        }
        Ok(Self(path))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[test]
    fn accepts_only_absolute_paths_in_normal_form() {
        for good in ["/", "/etc", "/srv/$(reboot); \"x\"/-rf", "/srv/ä b"] {
            assert_eq!(
                AbsolutePath::try_from(good.to_owned()).unwrap().as_str(),
                good
            );
        }
        for bad in [
            "", "etc", "-rf", "~/x", "/etc/", "//etc", "/a//b", "/a/../b", "/a/.", "/a\nb", "/a\0",
            "/a\u{7f}",
        ] {
            assert!(
                AbsolutePath::try_from(bad.to_owned()).is_err(),
                "{bad:?} was accepted"
            );
        }
        assert!(AbsolutePath::try_from(format!("/{}", "x".repeat(256))).is_err());
        assert!(AbsolutePath::try_from("/x".repeat(2048)).is_err());
    }

    #[test]
    fn message_suggests_the_normal_form() {
        assert!(
            AbsolutePath::try_from("/a//b/".to_owned())
                .unwrap_err()
                .ends_with("write \"/a/b\"")
        );
    }
}
