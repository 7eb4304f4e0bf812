//! Makes text from hosts safe for output: control characters become visible escapes, and a line of
//! a host cannot pass for a line of skep.

use std::borrow::Cow;

/// Begin of each further line of a text. Lines of skep itself never begin like this.
const CONTINUATION: &str = "\n        | ";

/// Returns the text with every control character escaped (`\u{1b}`), except tabs. No host can then
/// move the cursor, change colours or hide lines on the user's terminal. Each further line of the
/// text is indented and marked with `|`; line breaks at the end are removed.
#[must_use]
pub fn literal(text: &str) -> Cow<'_, str> {
    match literal_lines(text.trim_end_matches('\n')) {
        Cow::Borrowed(text) if !text.contains('\n') => Cow::Borrowed(text),
        text => Cow::Owned(text.replace('\n', CONTINUATION)),
    }
}

/// Like [`literal`], but on one line: line breaks and tabs become `\n` and `\t`.
#[must_use]
pub fn literal_line(text: &str) -> Cow<'_, str> {
    match literal_lines(text) {
        Cow::Borrowed(text) if !text.contains(['\n', '\t']) => Cow::Borrowed(text),
        text => Cow::Owned(text.replace('\n', "\\n").replace('\t', "\\t")),
    }
}

/// Returns a text whose lines skep has written, with its control characters escaped. Line breaks
/// and tabs stay.
#[must_use]
pub fn literal_lines(text: &str) -> Cow<'_, str> {
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

/// The last check of every output: like [`literal_lines`], but keeps the colours of skep, which are
/// sequences `ESC [ NUMBERS m`. Every text of a host has been escaped before; this check also
/// covers a place that forgot to do so.
pub(super) fn literal_output(text: &str) -> Cow<'_, str> {
    if !text.contains('\u{1b}') {
        return literal_lines(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\u{1b}') {
        out.push_str(&literal_lines(before));
        let numbers = after.strip_prefix('[').map(|after| {
            after.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == ';')
        });
        match numbers.and_then(|after| after.strip_prefix('m')) {
            Some(behind) => {
                out.push('\u{1b}');
                out.push_str(&after[..after.len() - behind.len()]);
                rest = behind;
            }
            None => {
                out.push_str("\\u{1b}");
                rest = after;
            }
        }
    }
    out.push_str(&literal_lines(rest));
    Cow::Owned(out)
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

/// Escapes control characters in a document of JSON or TOML with several lines. In both formats
/// they can occur only within strings, where the escape has the same meaning.
#[must_use]
pub fn literal_document(text: &str) -> String {
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => json_literal(line) + "\n",
            None => json_literal(line),
        })
        .collect()
}

/// Returns true for Unicode control characters, for characters that change the direction of writing
/// (a known way to disguise text), and for the separators that some terminals treat as a newline.
pub(super) fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn escapes_become_visible() {
        assert_eq!(
            literal_lines("a\u{1b}[31mred\r\n\u{202e}x"),
            "a\\u{1b}[31mred\\u{d}\n\\u{202e}x"
        );
        assert_eq!(
            literal_lines("plain ünïcode\ttab\n"),
            "plain ünïcode\ttab\n"
        );
    }

    #[test]
    fn a_further_line_cannot_pass_for_a_line_of_skep() {
        assert_eq!(
            literal("failed\ndocker01  in sync\n\nIn sync: 3 hosts\n"),
            "failed\n        | docker01  in sync\n        | \n        | In sync: 3 hosts"
        );
        assert_eq!(literal("plain\n\n"), "plain");
        assert_eq!(literal_line("a\nb\tc\u{85}"), "a\\nb\\tc\\u{85}");
        for text in ["a", "", "a b"] {
            assert!(matches!(literal(text), Cow::Borrowed(_)));
            assert!(matches!(literal_line(text), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn the_last_check_keeps_colours_only() {
        assert_eq!(
            literal_output("\u{1b}[1;31mred\u{1b}[0m\n"),
            "\u{1b}[1;31mred\u{1b}[0m\n"
        );
        assert_eq!(
            literal_output("\u{1b}[2J\u{1b}]0;x\u{7}\u{1b}[31\u{9b}2J\u{202e}\r"),
            "\\u{1b}[2J\\u{1b}]0;x\\u{7}\\u{1b}[31\\u{9b}2J\\u{202e}\\u{d}"
        );
        assert_eq!(literal_output("\u{1b}"), "\\u{1b}");
        assert_eq!(literal_output("a\u{85}b"), "a\\u{85}b");
    }

    #[test]
    fn json_keeps_its_meaning_without_a_raw_control_character() {
        let text = "a\u{1b}\u{7f}\u{9b}2J\u{202e}\u{2028}\n ünï 😀 \\u0041 \"";
        let line = json_literal(&serde_json::to_string(text).unwrap());
        assert!(!line.chars().any(is_control), "{line}");
        assert_eq!(serde_json::from_str::<String>(&line).unwrap(), text);
        assert!(line.contains("ünï 😀"), "other characters stay readable");
    }
}
