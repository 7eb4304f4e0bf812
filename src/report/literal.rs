//! Makes text from hosts safe for the terminal: control characters become visible escapes.

use std::borrow::Cow;

/// Returns the text with every control character except newline and tab escaped (`\u{1b}`). No host
/// can then move the cursor, change colours or hide lines on the user's terminal.
#[must_use]
pub fn literal(text: &str) -> Cow<'_, str> {
    let harmless =
        |character: char| character == '\n' || character == '\t' || !is_control(character);
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(
        String::with_capacity(text.len() + 16),
        |mut out, character| {
            if harmless(character) {
                out.push(character);
            } else {
                out.extend(character.escape_unicode());
            }
            out
        },
    ))
}

/// Escapes control characters in one line of JSON. JSON itself escapes only the characters below a
/// space; further control characters can occur only within its strings, where an escape has the
/// same meaning.
pub(super) fn json_literal(line: &str) -> String {
    line.chars().fold(
        String::with_capacity(line.len() + 16),
        |mut out, character| {
            if is_control(character) {
                // Every control character lies within the basic plane, where four digits are
                // enough.
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            } else {
                out.push(character);
            }
            out
        },
    )
}

/// Returns true for Unicode control characters, for characters that change the direction of writing
/// (a known way to disguise text), and for the separators that some terminals treat as a newline.
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{json_literal, literal};

    #[test]
    fn escapes_become_visible() {
        assert_eq!(
            literal("a\u{1b}[31mred\r\n\u{202e}x"),
            "a\\u{1b}[31mred\\u{d}\n\\u{202e}x"
        );
        assert_eq!(literal("plain ünïcode\ttab\n"), "plain ünïcode\ttab\n");
    }

    #[test]
    fn json_keeps_its_meaning_without_a_raw_control_character() {
        let text = "a\u{1b}\u{7f}\u{9b}2J\u{202e}\u{2028}\n ünï 😀 \\u0041 \"";
        let line = json_literal(&serde_json::to_string(text).unwrap());
        assert!(!line.chars().any(super::is_control), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        assert!(line.contains("ünï 😀"), "other characters stay readable");
    }
}
