//! Quoting for `sh`. Words of systemd units and of cron have other rules; see `schedule::quote`.

/// Returns the text as one word of a shell command, in single quotes.
///
/// Between single quotes, every character but the single quote is literal (POSIX, Shell Command
/// Language, 2.2.2). A single quote of the text ends the quotes, follows as `\'`, and starts them
/// again. fish and csh read the result alike if the text has no backslash, line end or `!`.
///
/// A NUL byte cannot be passed to a shell; the caller must refuse it.
#[must_use]
pub fn sh_quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// Texts that must arrive as they are.
    const TEXTS: [&str; 12] = [
        "",
        "plain",
        "two words",
        "it's",
        "'",
        "''quoted''",
        r"back\slash\",
        "$HOME `id` $(id) ${x}",
        "a\nb\tc\r",
        "* ? [a-z] ~ # ; & | < > ( ) !",
        "-n \"double\"",
        "grüße, 世界",
    ];

    #[test]
    fn quotes_end_and_start_again_around_a_single_quote() {
        for (text, quoted) in [
            ("", "''"),
            ("/a b", "'/a b'"),
            ("it's", r"'it'\''s'"),
            ("'", r"''\'''"),
        ] {
            assert_eq!(sh_quote(text), quoted);
        }
    }

    #[test]
    fn sh_reads_the_same_text_back() {
        for text in TEXTS {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", sh_quote(text))])
                .output()
                .unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), text);
        }
    }
}
