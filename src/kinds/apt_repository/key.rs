//! The key of a repository: the host fetches it from an address, or the playbook gives it.
//! Keys of the playbook are checked here; the file is written by the step of the plan.

use serde::Deserialize;

use super::openpgp::{self, ARMOUR};
use crate::model::{HostContext, InvalidField};

/// Source of the key; exactly one of `url`, `file` and `inline` is given.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeySource {
    /// Address from which the host fetches the key if it has no key yet.
    url: Option<String>,
    /// File beside the playbook, armoured or binary.
    file: Option<String>,
    /// Text of the armoured key.
    inline: Option<String>,
    /// Fingerprint of the key, or a list if the file holds several keys. Default: not checked.
    #[serde(default)]
    fingerprint: FingerprintField,
}

/// A list of fingerprints, or a single one; empty texts are left out.
#[derive(Debug, Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "expected a fingerprint in quotes, or a list of fingerprints"
)]
enum FingerprintField {
    One(String),
    Several(Vec<String>),
}

impl Default for FingerprintField {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

/// A checked key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RepositoryKey {
    /// Key that the host fetches and stores armoured.
    Fetched {
        /// Address of the key.
        url: String,
        /// Fingerprints that the key may have; empty means any.
        fingerprints: Vec<String>,
    },
    /// Content of a known key, armoured or binary.
    Given(Vec<u8>),
}

impl KeySource {
    /// Reads a given key, or checks the address of a key that the host fetches.
    ///
    /// # Errors
    /// [`InvalidField`] when not exactly one source is given, or the source is not usable.
    pub(super) fn bind(&self, context: &HostContext<'_>) -> Result<RepositoryKey, InvalidField> {
        let fingerprints = self.fingerprints()?;
        let given = match (&self.url, &self.file, &self.inline) {
            (Some(url), None, None) => {
                super::check_uri("key.url", url, &["https://", "http://"])?;
                return Ok(RepositoryKey::Fetched {
                    url: url.clone(),
                    fingerprints,
                });
            }
            (None, Some(file), None) => context.files.source(file)?,
            (None, None, Some(inline)) => format!("{}\n", inline.trim()).into_bytes(),
            _ => {
                return Err(
                    InvalidField::new("key", "a key has exactly one source").hint(
                        "write key = { url = \"...\" }, { file = \"...\" } or { inline = \"...\" }",
                    ),
                );
            }
        };
        let key = RepositoryKey::Given(given);
        let RepositoryKey::Given(bytes) = &key else {
            return Ok(key);
        };
        if !key.is_armoured() && bytes.first().is_none_or(|first| *first < 0x80) {
            return Err(
                InvalidField::new("key", "the key is not an OpenPGP public key")
                    .hint(format!("an armoured key begins with {ARMOUR}")),
            );
        }
        if !fingerprints.is_empty() {
            let found = openpgp::fingerprints(bytes).map_err(|why| {
                InvalidField::new("key", format!("the key cannot be checked: {why}"))
            })?;
            if let Some(other) = found.iter().find(|one| !fingerprints.contains(one)) {
                return Err(InvalidField::new(
                    "key.fingerprint",
                    format!("the key has the fingerprint {other}"),
                )
                .hint("compare it with the one that the vendor publishes"));
            }
        }
        Ok(key)
    }

    fn fingerprints(&self) -> Result<Vec<String>, InvalidField> {
        let given = match &self.fingerprint {
            FingerprintField::One(one) => std::slice::from_ref(one),
            FingerprintField::Several(several) => &several[..],
        };
        let given = given.iter().filter(|one| !one.trim().is_empty());
        given
            .map(|one| openpgp::normalized(one))
            .collect::<Result<_, _>>()
            .map_err(|why| {
                InvalidField::new("key.fingerprint", why)
                    .hint("`gpg --show-keys FILE` prints the fingerprint of a key")
            })
    }
}

impl RepositoryKey {
    /// Returns true if the key is text. Apt tells armoured and binary keys apart by the file's
    /// extension, `asc` or `gpg`.
    pub(super) fn is_armoured(&self) -> bool {
        match self {
            Self::Fetched { .. } => true,
            Self::Given(bytes) => bytes.starts_with(ARMOUR.as_bytes()),
        }
    }
}

/// Reason why the key on a host is fetched again.
///
/// Returns `None` for a key that is in order, or about which nothing is known. `digest` is the one
/// that the source file has recorded for the key that skep fetched.
pub(super) fn replaced(
    content: &[u8],
    fingerprints: &[String],
    digest: Option<&str>,
) -> Option<String> {
    if !fingerprints.is_empty() {
        return match openpgp::fingerprints(content) {
            Err(why) => Some(format!("no usable key ({why})")),
            Ok(found) => found
                .into_iter()
                .find(|one| !fingerprints.contains(one))
                .map(|other| format!("fingerprint {other}")),
        };
    }
    let now = crate::model::sha256(content);
    digest
        .filter(|digest| *digest != now)
        .map(|_| format!("sha256:{now}, another key than skep has fetched"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::samples::{FINGERPRINT, KEY};
    use super::*;

    #[test]
    fn another_key_on_the_host_is_known_by_fingerprint_or_digest() {
        let key = KEY.as_bytes();
        let expected = [FINGERPRINT.to_owned()];
        assert_eq!(replaced(key, &expected, Some("whatever")), None);
        let other = replaced(key, &["AA".repeat(20)], None).unwrap();
        assert!(other.contains(FINGERPRINT), "{other}");
        let page = replaced(b"<html>", &expected, None).unwrap();
        assert!(page.contains("no usable key"), "{page}");
        // Nothing is known about a key that an older skep has fetched.
        assert_eq!(replaced(key, &[], None), None);
        assert_eq!(replaced(key, &[], Some(&crate::model::sha256(key))), None);
        assert!(replaced(key, &[], Some("00")).is_some());
    }
}
