//! Matching of names against patterns with `*` and `?`. There are no brackets and no escapes: every
//! other character of a pattern stands for itself.

/// Text that `?` stands for. The values differ for names that are not ASCII only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GlobUnit {
    /// One byte, as OpenSSH matches (`match_pattern` of match.c).
    Byte,
    /// One character.
    Character,
}

/// Returns true if the pattern matches the whole text. `*` stands for any text, also none; `?`
/// stands for one `unit`. Case counts: a caller that ignores case folds both sides.
///
/// The time grows at most with the length of the pattern times the length of the text, because
/// only the last star is tried again: a longer match of an earlier star leaves less text to all
/// that follows it, and so cannot help.
#[must_use]
pub fn glob_matches(pattern: &str, text: &str, unit: GlobUnit) -> bool {
    let width = |position: usize| match unit {
        GlobUnit::Byte => 1,
        GlobUnit::Character => text[position..].chars().next().map_or(1, char::len_utf8),
    };
    let (pattern, bytes) = (pattern.as_bytes(), text.as_bytes());
    let (mut at, mut position) = (0, 0);
    // Place behind the last star, and the first byte of the text that the star does not cover.
    let mut last_star: Option<(usize, usize)> = None;
    while position < bytes.len() {
        match pattern.get(at) {
            Some(b'*') => {
                at += 1;
                last_star = Some((at, position));
            }
            Some(b'?') => {
                at += 1;
                position += width(position);
            }
            Some(byte) if *byte == bytes[position] => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((behind, covered)) = last_star else {
                    return false;
                };
                // A star covers whole units only: a `?` after it must not match half a character.
                let covered = covered + width(covered);
                last_star = Some((behind, covered));
                (at, position) = (behind, covered);
            }
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        for (pattern, text, matches) in [
            ("", "", true),
            ("", "a", false),
            ("a", "", false),
            ("web", "web", true),
            ("web", "web1", false),
            ("web", "Web", false),
            ("*", "", true),
            ("*", "anything", true),
            ("**", "", true),
            ("web*", "web", true),
            ("web*", "web12", true),
            ("web*", "a-web", false),
            ("*web", "a-web", true),
            ("*web", "web-a", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("*ab", "aab", true),
            ("*aab*b", "aaaabab", true),
            ("?", "", false),
            ("?", "a", true),
            ("?", "ab", false),
            ("web?", "web", false),
            ("web?", "web1", true),
            ("*?", "", false),
            ("*?b", "ab", true),
            ("?*?", "a", false),
            ("?*?", "ab", true),
            ("[a]", "a", false),
            ("[a]", "[a]", true),
            (r"\*", r"\x", true),
        ] {
            for unit in [GlobUnit::Byte, GlobUnit::Character] {
                assert_eq!(
                    glob_matches(pattern, text, unit),
                    matches,
                    "{pattern:?} {text:?} {unit:?}"
                );
            }
        }
    }

    #[test]
    fn a_unit_is_a_byte_or_a_character() {
        for (pattern, text, bytes, characters) in [
            ("?", "ü", false, true),
            ("??", "ü", true, false),
            ("*?", "ü", true, true),
            ("*??", "ü", true, false),
            ("*?x", "üx", true, true),
            ("*??x", "üx", true, false),
            ("gr*?e", "grüße", true, true),
            ("ü*ü", "üaü", true, true),
            ("ü", "ö", false, false),
        ] {
            assert_eq!(
                (
                    glob_matches(pattern, text, GlobUnit::Byte),
                    glob_matches(pattern, text, GlobUnit::Character),
                ),
                (bytes, characters),
                "{pattern:?} {text:?}"
            );
        }
    }

    /// A matcher that tries every length for every star would not end within a lifetime.
    #[test]
    fn many_stars_do_not_multiply_the_work() {
        let (stars, text) = ("*a".repeat(12), "a".repeat(2000));
        for unit in [GlobUnit::Byte, GlobUnit::Character] {
            assert!(glob_matches(&stars, &text, unit));
            assert!(!glob_matches(&format!("{stars}*b"), &text, unit));
            assert!(!glob_matches(&format!("{stars}?b*"), &text, unit));
        }
    }
}
