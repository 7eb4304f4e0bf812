//! Users and groups: [`AccountRef`] gives the owner of a file, and [`AccountName`] names the
//! account that a resource manages. Names follow useradd(8), a little wider (upper case, dots),
//! because company directories hand out such names.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// Longest name that useradd(8) and groupadd(8) accept, in characters.
const LONGEST: usize = 32;

/// Name of a user or group; never a number.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct AccountName(String);

impl AccountName {
    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

impl TryFrom<String> for AccountName {
    type Error = String;

    fn try_from(name: String) -> Result<Self, String> {
        let body = name.strip_suffix('$').unwrap_or(&name);
        let starts = body.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
        let rest = body
            .chars()
            .all(|other| other.is_ascii_alphanumeric() || matches!(other, '_' | '-' | '.'));
        if starts && rest && name.len() <= LONGEST {
            return Ok(Self(name));
        }
        Err(format!(
            "{name:?} is not the name of a user or group: a name begins with a letter or \"_\", continues with letters, digits, \
             \"_\", \"-\" or \".\", and has at most {LONGEST} characters"
        ))
    }
}

/// Owner or group of a file: a name, or a number that needs no account on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccountRef {
    /// Account given by name.
    Name(AccountName),
    /// Account given by number (`"999"` or `999`).
    Number(u32),
}

impl AccountRef {
    /// Returns the account `root`.
    #[must_use]
    pub fn root() -> Self {
        Self::Name(AccountName("root".into()))
    }

    /// Returns true if this is the account that a host shows with this name and number.
    #[must_use]
    pub fn is(&self, name: &str, number: u32) -> bool {
        match self {
            Self::Name(wanted) => wanted.as_str() == name,
            Self::Number(wanted) => *wanted == number,
        }
    }

    /// Returns the host's account in the form that the playbook uses (name or number), so that both
    /// can be compared by eye.
    #[must_use]
    pub fn like(&self, name: &str, number: u32) -> String {
        match self {
            Self::Name(_) => name.to_owned(),
            Self::Number(_) => number.to_string(),
        }
    }
}

impl fmt::Display for AccountRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(formatter),
            Self::Number(number) => number.fmt(formatter),
        }
    }
}

impl<'de> Deserialize<'de> for AccountRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AccountVisitor)
    }
}

struct AccountVisitor;

impl Visitor<'_> for AccountVisitor {
    type Value = AccountRef;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the name or number of a user or group")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AccountRef, E> {
        if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
            return text
                .parse::<i64>()
                .map_err(E::custom)
                .and_then(|number| self.visit_i64(number));
        }
        AccountName::try_from(text.to_owned())
            .map(AccountRef::Name)
            .map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<AccountRef, E> {
        // chown(2) takes the highest number to mean "leave the owner unchanged".
        match u32::try_from(number) {
            Ok(number) if number != u32::MAX => Ok(AccountRef::Number(number)),
            _ => Err(E::custom(format!(
                "{number} is not the number of a user or group (0 to {})",
                u32::MAX - 1
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        owner: AccountRef,
    }

    #[test]
    fn accepts_names_and_numbers() {
        let read = |text: &str| {
            toml::from_str::<Table>(&format!("owner = {text}")).map(|table| table.owner)
        };
        assert_eq!(read("\"root\"").unwrap(), AccountRef::root());
        assert_eq!(read("\"999\"").unwrap(), AccountRef::Number(999));
        assert_eq!(read("999").unwrap(), AccountRef::Number(999));
        assert_eq!(read("\"_apt\"").unwrap().to_string(), "_apt");
        let bad = [
            "\"\"",
            "\"-rf\"",
            "\"a b\"",
            "\"a:b\"",
            "\"$(id)\"",
            "\"a\\nb\"",
            "\"9a\"",
            "-1",
            "4294967295",
            "true",
            "\"abcdefghijklmnopqrstuvwxyzabcdefg\"",
            "\"99999999999999999999\"",
        ];
        for bad in bad {
            assert!(read(bad).is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn compares_numbers_by_number_and_names_by_name() {
        assert!(AccountRef::Number(999).is("systemd-coredump", 999));
        assert!(!AccountRef::Number(999).is("999", 1));
        assert!(AccountRef::root().is("root", 0));
        assert!(!AccountRef::root().is("toor", 0));
    }
}
