//! Checks values that skep puts into command lines of this machine, such as the address that
//! replaces `%h` of a `ProxyCommand`. A shell runs these command lines.

/// Characters that are allowed beside letters and digits. None has a meaning for a shell.
const ALLOWED: &str = "-_.:@%+=,";

/// Returns the reason why a value must not become a word of a command line, or `None` if it may.
///
/// A value that begins with `-` would be an option of the program.
#[must_use]
pub fn token_value_fault(value: &str) -> Option<String> {
    if value.is_empty() {
        return Some("it is empty".into());
    }
    if value.starts_with('-') {
        return Some("it begins with `-`, so a program would take it for an option".into());
    }
    let strange = |letter: &char| !letter.is_alphanumeric() && !ALLOWED.contains(*letter);
    value
        .chars()
        .find(strange)
        .map(|letter| format!("it contains `{}`", letter.escape_debug()))
}

/// Returns the reason why the path of a folder of this machine must not stand in a command line.
///
/// Spaces and slashes are allowed: the writer of the command line quotes a path with spaces.
#[must_use]
pub fn token_path_fault(path: &str) -> Option<String> {
    let active = |letter: &char| letter.is_control() || "'`\"$\\;&<>|(){}".contains(*letter);
    path.chars()
        .find(active)
        .map(|letter| format!("it contains `{}`", letter.escape_debug()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn ordinary_names_and_addresses_are_allowed() {
        for value in [
            "web-1.example.org",
            "192.168.56.11",
            "fe80::1%eth0",
            "ann@corp",
            "jürgen",
            "a_b+c=d,e",
        ] {
            assert_eq!(token_value_fault(value), None, "{value}");
        }
        assert_eq!(token_path_fault("/home/ann lee/x-1"), None);
    }

    #[test]
    fn no_character_with_a_meaning_for_a_shell_is_allowed() {
        for letter in
            "$`\\\"'();&|<>{}[]*?!#~^/ \t\n\r\u{b}\u{0}\u{7f}\u{85}\u{a0}\u{2028}\u{202e}".chars()
        {
            for value in [
                format!("{letter}"),
                format!("a{letter}"),
                format!("a{letter}b"),
            ] {
                assert!(token_value_fault(&value).is_some(), "{value:?}");
            }
        }
        assert!(token_value_fault("").is_some());
        for option in ["-", "-oProxyCommand=x", "--help"] {
            assert!(
                token_value_fault(option).unwrap().contains("option"),
                "{option}"
            );
        }
        for path in ["/home/$x", "/home/`x`", "/home/a\nb", "/home/a;b"] {
            assert!(token_path_fault(path).is_some(), "{path}");
        }
    }

    /// A shell reads every allowed value as one word and as itself.
    #[test]
    fn a_shell_reads_allowed_values_as_themselves() {
        let all: String = (1..=0x24f)
            .filter_map(char::from_u32)
            .filter(|letter| token_value_fault(&format!("a{letter}")).is_none())
            .collect();
        let output = super::super::child_command("/bin/sh")
            .args(["-c", &format!("printf '%s|' a{all}")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), format!("a{all}|"));
    }
}
