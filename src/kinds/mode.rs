//! `FileMode`: permission bits, written as an octal string because TOML would read a number as
//! decimal.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, Visitor};

/// Permission bits (`0o0000` to `0o7777`), in playbooks `"0644"` or `"644"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileMode(pub u32);

impl FileMode {
    /// Returns the mode as an argument of `chmod`. The argument has five digits, because with fewer
    /// digits chmod(1) keeps a directory's set-group-ID bit.
    #[must_use]
    pub fn argument(self) -> String {
        format!("{:05o}", self.0)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:04o}", self.0)
    }
}

impl<'de> Deserialize<'de> for FileMode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ModeVisitor)
    }
}

struct ModeVisitor;

impl Visitor<'_> for ModeVisitor {
    type Value = FileMode;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an octal mode in quotes, as in \"0644\"")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<FileMode, E> {
        let octal =
            matches!(text.len(), 3 | 4) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
        match u32::from_str_radix(text, 8) {
            Ok(bits) if octal => Ok(FileMode(bits)),
            _ => Err(E::custom(format!(
                "{text:?} is not a mode: write three or four octal digits (0 to 7) in quotes, as in \"0644\""
            ))),
        }
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<FileMode, E> {
        Err(E::custom(format!(
            "write a mode in quotes, because TOML numbers cannot begin with 0: mode = \"{number:04}\""
        )))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        mode: FileMode,
    }

    #[test]
    fn accepts_three_or_four_octal_digits() {
        let read =
            |text: &str| toml::from_str::<Table>(&format!("mode = {text}")).map(|table| table.mode);
        assert_eq!(read("\"0644\"").unwrap(), FileMode(0o644));
        assert_eq!(read("\"2755\"").unwrap(), FileMode(0o2755));
        assert_eq!(read("\"700\"").unwrap().to_string(), "0700");
        for bad in [
            "\"999\"",
            "\"rw-\"",
            "\"\"",
            "\"64\"",
            "\"00644\"",
            "\"+644\"",
            "\"0o644\"",
            "644",
            "0o644",
            "true",
        ] {
            assert!(read(bad).is_err(), "{bad} was accepted");
        }
        assert!(
            read("644")
                .unwrap_err()
                .to_string()
                .contains("mode = \"0644\"")
        );
    }
}
