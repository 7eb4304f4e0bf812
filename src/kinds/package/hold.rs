//! The field `hold`, and the record of the holds that skep has set itself. A hold that somebody
//! else has set protects a host on purpose, so it is released only on request.

use std::collections::BTreeSet;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// Names of the packages that skep has put on hold, one on each line; readable by root only.
pub(super) const RECORD: &str = "/var/lib/skep/holds";

/// Treatment of holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HoldPolicy {
    /// The packages are on hold.
    Hold,
    /// Holds that skep has set are released; those of others stay.
    ReleaseOwn,
    /// All holds of the packages are released.
    ReleaseAll,
}

impl<'de> Deserialize<'de> for HoldPolicy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(HoldVisitor)
    }
}

struct HoldVisitor;

impl Visitor<'_> for HoldVisitor {
    type Value = HoldPolicy;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("true, false or \"release\"")
    }

    fn visit_bool<E>(self, hold: bool) -> Result<HoldPolicy, E> {
        Ok(match hold {
            true => HoldPolicy::Hold,
            false => HoldPolicy::ReleaseOwn,
        })
    }

    fn visit_str<E: Error>(self, word: &str) -> Result<HoldPolicy, E> {
        match word {
            "release" => Ok(HoldPolicy::ReleaseAll),
            other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
        }
    }
}

/// Returns the names in the record.
pub(super) fn recorded(content: &[u8]) -> BTreeSet<String> {
    let text = String::from_utf8_lossy(content);
    text.lines().map(str::to_owned).collect()
}
