//! What hosts print never reaches the terminal raw: control characters become visible escapes.

use std::borrow::Cow;

/// The text with every control character but newline and tab escaped (`\u{1b}`), so that no host can move the cursor,
/// change colours or hide lines on the terminal of whoever watches.
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

/// One line of JSON in the same spirit. JSON itself escapes only what lies below a space; the rest of the control
/// characters can stand in its texts alone, where an escape means the same character.
pub(super) fn json_literal(line: &str) -> String {
    line.chars().fold(
        String::with_capacity(line.len() + 16),
        |mut out, character| {
            if is_control(character) {
                // None of them lies outside the basic plane, so four digits do.
                out.push_str(&format!("\\u{:04x}", u32::from(character)));
            } else {
                out.push(character);
            }
            out
        },
    )
}

/// Control characters of Unicode, those that turn the direction of writing (a known way to disguise text), and the
/// separators that some terminals take for a line end.
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
        assert!(line.contains("ünï 😀"), "all else stays readable");
    }
}
