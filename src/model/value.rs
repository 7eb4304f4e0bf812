//! Values of the operator's machine. They are read when they are needed, not when files are loaded,
//! so `validate` needs none of them. A value that was read wipes its memory when it is dropped and
//! never prints itself.

use std::fmt;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base::hex;

/// Source of a value on the operator's machine.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueSource {
    /// A variable of skep's own process environment.
    Environment(String),
    /// Output of a command that `sh -c` runs; one line break at its end is removed.
    Command(String),
    /// Output of `age --decrypt` for a file.
    Age {
        /// The file's name, for messages.
        name: String,
        /// Encrypted content of the file.
        ciphertext: Vec<u8>,
    },
}

// Not derived: the encrypted bytes of a file are of no use to a reader, and a command may be long.
impl fmt::Debug for ValueSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(formatter, "the environment variable {name}"),
            Self::Command(command) => write!(formatter, "the command `{command}`"),
            Self::Age { name, .. } => write!(formatter, "the age file {name}"),
        }
    }
}

/// Secret bytes: wiped on drop and never shown by `{:?}`.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership of the bytes. The caller must not keep a copy.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Returns the bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretBytes(..)")
    }
}

/// Returns the HMAC-SHA-256 (RFC 2104) of a named value, in lower-case hexadecimal. The name is
/// part of the digest, so two secrets with the same value have different digests.
#[must_use]
pub fn keyed_digest(key: &[u8], name: &str, value: &SecretBytes) -> String {
    // Never fails: HMAC accepts a key of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return String::new();
    };
    mac.update(name.as_bytes());
    mac.update(&[0]);
    mac.update(value.expose());
    hex(&mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_depends_on_key_name_and_value_and_debug_shows_no_secret() {
        let of = |key: &[u8], name: &str, value: &str| {
            keyed_digest(key, name, &SecretBytes::new(value.into()))
        };
        assert_eq!(of(b"k", "a", "v").len(), 64);
        for other in [
            of(b"l", "a", "v"),
            of(b"k", "b", "v"),
            of(b"k", "a", "w"),
            of(b"k", "a\0", "v"),
        ] {
            assert_ne!(of(b"k", "a", "v"), other);
        }
        assert_eq!(
            format!("{:?}", SecretBytes::new(b"hunter2".to_vec())),
            "SecretBytes(..)"
        );
        let age = ValueSource::Age {
            name: "db.age".into(),
            ciphertext: b"x".to_vec(),
        };
        assert_eq!(format!("{age:?}"), "the age file db.age");
    }
}
