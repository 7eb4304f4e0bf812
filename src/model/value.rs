//! Values that live on the operator's machine and are read when they are needed, not when files are loaded: `validate` needs
//! none of them. What came back wipes itself and prints nothing.

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::base::hex;

/// Where the operator's machine has a value.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueSource {
    /// A variable of skep's own environment.
    Environment(String),
    /// What a command prints, run by `sh -c`; one line break at its end is taken off.
    Command(String),
    /// What `age --decrypt` makes of a file.
    Age {
        /// The file's name, for messages.
        name: String,
        /// The file.
        ciphertext: Vec<u8>,
    },
}

// By hand: a file's bytes tell nobody anything, and a command may be long.
impl fmt::Debug for ValueSource {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment(name) => write!(formatter, "the environment variable {name}"),
            Self::Command(command) => write!(formatter, "the command `{command}`"),
            Self::Age { name, .. } => write!(formatter, "the age file {name}"),
        }
    }
}

/// Bytes that must not be seen.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes bytes over; the copy that is given is the only one.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The bytes themselves.
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

/// HMAC-SHA-256 (RFC 2104) of a named value, in lower-case hexadecimal. The name keeps two secrets of the same value from
/// showing that they are.
#[must_use]
pub fn keyed_digest(key: &[u8], name: &str, value: &SecretBytes) -> String {
    // A key of any length is fine for HMAC.
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
    fn key_name_and_value_count_and_nothing_is_printed() {
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
