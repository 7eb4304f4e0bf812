//! Masks values that no message may show. A value is secret if its key is named like a secret, and
//! so is a password in a URL. The functions work on plain text because a file with a syntax error
//! has no tree and may still hold a password.

use std::ops::Range;

use crate::base::url_passwords;

const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "token",
    "secret",
    "credential",
    "key_inline",
    "private_key",
    "unlock_key",
    "api_key",
];

/// Returns true if the key is named like a secret (password, token, private key and the like).
#[must_use]
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_lowercase().replace('-', "_");
    // `pass` alone would match `bypass`.
    let is_pass = key == "pass" || key.ends_with("_pass") || key.starts_with("pass_");
    is_pass || SECRET_WORDS.iter().any(|word| key.contains(word))
}

/// Replaces every secret value by asterisks, byte for byte, so that all positions stay valid.
#[must_use]
pub fn mask(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut done = 0;
    for range in secret_ranges(text) {
        masked.push_str(&text[done..range.start]);
        for letter in text[range.clone()].chars() {
            if letter == '\n' {
                masked.push('\n');
            } else {
                masked.extend(std::iter::repeat_n('*', letter.len_utf8()));
            }
        }
        done = range.end;
    }
    masked.push_str(&text[done..]);
    masked
}

/// Returns true if a range of the text overlaps a secret value.
#[must_use]
pub fn touches_secret(text: &str, span: &Range<usize>) -> bool {
    secret_ranges(text)
        .iter()
        .any(|range| range.start < span.end.max(span.start + 1) && span.start < range.end)
}

/// Removes quoted text from a message, such as serde's `invalid type: string "..."`.
#[must_use]
pub fn without_quoted_text(message: &str) -> String {
    match (message.find(['"', '`']), message.rfind(['"', '`'])) {
        (Some(first), Some(last)) if first < last => {
            format!("{}\"(secret)\"{}", &message[..first], &message[last + 1..])
        }
        _ => message.to_owned(),
    }
}

// Finds every `key =`, wherever it is in the text, and the value after it: a string in any of
// TOML's four forms, or bare text.
fn secret_ranges(text: &str) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (equals, _) in text.match_indices('=') {
        if ranges.last().is_some_and(|range| equals < range.end) {
            continue;
        }
        let before = text[..equals].trim_end();
        let key = before
            .rsplit(|letter: char| !is_key_letter(letter))
            .next()
            .unwrap_or_default();
        if is_secret_key(key) {
            let after = &text[equals + 1..];
            let start = equals + 1 + (after.len() - after.trim_start_matches([' ', '\t']).len());
            ranges.push(start..start + value_length(&text[start..]));
        }
    }
    for password in url_passwords(text) {
        let overlaps =
            |range: &Range<usize>| range.start < password.end && password.start < range.end;
        if !ranges.iter().any(overlaps) {
            ranges.push(password);
        }
    }
    ranges.sort_by_key(|range| range.start);
    ranges
}

fn is_key_letter(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '"' | '\'')
}

fn value_length(value: &str) -> usize {
    for quote in ["\"\"\"", "'''"] {
        if let Some(rest) = value.strip_prefix(quote) {
            return rest
                .find(quote)
                .map_or(value.len(), |end| end + 2 * quote.len());
        }
    }
    let line = value.find('\n').unwrap_or(value.len());
    match value.chars().next() {
        // A list or table of secrets is masked up to its closing bracket, or to the end of the text
        // if it has none.
        Some('[') => value.find(']').map_or(value.len(), |end| end + 1),
        Some('{') => value.find('}').map_or(value.len(), |end| end + 1),
        Some(quote @ ('"' | '\'')) => closing(&value[..line], quote).unwrap_or(line),
        _ => value[..line].find([',', '}', ']', '#']).unwrap_or(line),
    }
}

fn closing(line: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (offset, letter) in line.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            letter if letter == quote => return Some(offset + 1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_of_secret_keys_are_masked_and_lengths_are_kept() {
        let text = "user = \"ann\"\nbecome_password = \"hünter\\\"2\" # note\nx = { api-token = 'abc', b = 1 }\n";
        let masked = mask(text);
        assert_eq!(masked.len(), text.len());
        assert_eq!(
            masked,
            "user = \"ann\"\nbecome_password = ************ # note\nx = { api-token = *****, b = 1 }\n"
        );
    }

    #[test]
    fn passwords_in_urls_are_masked() {
        let text = "http-proxy = \"http://u:abc@p:3128\"\nproxy_password = \"http://u:x@y\"\n";
        let masked = mask(text);
        assert_eq!(
            masked,
            "http-proxy = \"http://u:***@p:3128\"\nproxy_password = **************\n"
        );
        assert!(touches_secret(text, &(23..26)));
        assert!(!touches_secret(text, &(0..4)));
    }

    #[test]
    fn an_unclosed_secret_is_masked_to_the_end_of_its_line() {
        assert_eq!(mask("token = \"abc\nuser = 1"), "token = ****\nuser = 1");
    }

    #[test]
    fn several_lines_of_a_secret_are_masked() {
        assert_eq!(
            mask("secret = \"\"\"\nab\n\"\"\"\nuser = 1"),
            "secret = ***\n**\n***\nuser = 1"
        );
    }

    #[test]
    fn quoted_values_are_removed_from_a_message() {
        assert_eq!(
            without_quoted_text("invalid type: string \"hun\"ter\", expected u16"),
            "invalid type: string \"(secret)\", expected u16"
        );
    }
}
