//! Hexadecimal text of bytes.

use std::fmt::Write as _;

/// Returns two lower-case hexadecimal digits per byte, without separators.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_has_two_digits() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"\0", "00"),
            (b"\x0f\xf0", "0ff0"),
            (b"\xde\xad\xbe\xef", "deadbeef"),
        ] {
            assert_eq!(hex(bytes), text);
        }
    }
}
