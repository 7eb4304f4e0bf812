//! The name of a lab environment. Containers, networks and folders are named after it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::error::LabError;

/// Name of a lab environment: 1 to 20 of a-z, 0-9 and `-`, beginning with a letter.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

impl LabName {
    /// Checks a name.
    ///
    /// # Errors
    /// [`LabError::InvalidName`] if containers and networks cannot have this name.
    pub fn new(name: &str) -> Result<Self, LabError> {
        let lettered = name.starts_with(|first: char| first.is_ascii_lowercase());
        let plain = name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if lettered && plain && name.len() <= 20 {
            return Ok(Self(name.to_owned()));
        }
        Err(LabError::InvalidName {
            name: name.to_owned(),
        })
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for LabName {
    type Error = LabError;
    fn try_from(name: String) -> Result<Self, LabError> {
        Self::new(&name)
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> Self {
        name.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn valid_and_invalid_names() {
        for good in ["lab", "a", "e2e-17", "abcdefghijklmnopqrst"] {
            assert!(LabName::new(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-a",
            "1a",
            "Lab",
            "a_b",
            "a b",
            "abcdefghijklmnopqrstu",
            "ä",
        ] {
            assert!(LabName::new(bad).is_err(), "{bad}");
        }
    }
}
