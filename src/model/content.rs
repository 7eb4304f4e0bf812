//! The content of a file in a plan: shown as lines if a person can read it, otherwise as a digest
//! and a size.

use sha2::{Digest as _, Sha256};

use super::DisplayValue;
use crate::base::{hex, mask_url_passwords};

/// Longest text that a plan shows in full, in bytes (64 KiB).
const LONGEST_SHOWN: usize = 64 * 1024;

impl DisplayValue {
    /// Makes the value for the content of a file: [`DisplayValue::Lines`] for readable text below
    /// 64 KiB, otherwise `sha256:... (N bytes)`. Passwords in URLs are replaced by `***`.
    #[must_use]
    pub fn content(content: &[u8]) -> Self {
        match std::str::from_utf8(content) {
            Ok(text) if content.len() < LONGEST_SHOWN && is_readable(text) => {
                Self::Lines(mask_url_passwords(text).into_owned())
            }
            _ => Self::Text(format!(
                "sha256:{} ({} bytes)",
                sha256(content),
                content.len()
            )),
        }
    }
}

/// Returns the SHA-256 digest in lower-case hexadecimal.
#[must_use]
pub fn sha256(content: &[u8]) -> String {
    hex(&Sha256::digest(content))
}

/// Returns true if a terminal shows the text unchanged.
fn is_readable(text: &str) -> bool {
    !text
        .chars()
        .any(|character| character.is_control() && !matches!(character, '\n' | '\t' | '\r'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readable_text_is_shown_and_other_content_as_a_digest() {
        assert_eq!(
            DisplayValue::content("a\n\tb".as_bytes()),
            DisplayValue::Lines("a\n\tb".into())
        );
        let empty = "sha256:";
        for unreadable in [&b"\x1b[2J"[..], b"\xff", b"a\0b"] {
            assert!(
                matches!(DisplayValue::content(unreadable), DisplayValue::Text(text) if text.starts_with(empty))
            );
        }
        let long = "a".repeat(LONGEST_SHOWN);
        assert!(
            matches!(DisplayValue::content(long.as_bytes()), DisplayValue::Text(text) if text.ends_with("(65536 bytes)"))
        );
        assert_eq!(
            sha256(b""),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
    }
}
