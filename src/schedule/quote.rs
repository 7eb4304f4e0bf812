//! Quoting for unit files and crontabs, so that every byte of an argument arrives unchanged.

use crate::base::sh_quote;

/// Quotes a word of `ExecStart=` (systemd.service(5), "Command lines"): `%` and `$` are doubled,
/// and the word is put in double quotes if necessary.
pub(super) fn systemd(word: &str) -> String {
    let mut quoted = String::new();
    for character in word.chars() {
        match character {
            '%' => quoted.push_str("%%"),
            '$' => quoted.push_str("$$"),
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_ascii_control() => {
                quoted.push_str(&format!("\\x{:02x}", u32::from(control)));
            }
            other => quoted.push(other),
        }
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@+%".contains(&byte);
    if !word.is_empty() && word.bytes().all(plain) {
        quoted
    } else {
        format!("\"{quoted}\"")
    }
}

/// Quotes a path as the value of a setting that is not a command line: specifiers are doubled, no
/// other character is special.
pub(super) fn setting(path: &str) -> String {
    path.replace('%', "%%")
}

/// Quotes a path in a list of paths, where a blank would end it.
pub(super) fn listed(path: &str) -> String {
    let escaped = setting(path).replace('\\', "\\\\").replace('"', "\\\"");
    if escaped.contains([' ', '"', '\'', '\\']) {
        format!("\"{escaped}\"")
    } else {
        escaped
    }
}

/// Quotes a word of a crontab's command for sh, and escapes `%`, which crontab(5) turns into a
/// newline.
pub(super) fn crontab(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@+".contains(&byte);
    let quoted = if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        sh_quote(word)
    };
    // cron removes the backslash, although sh would keep it within single quotes.
    quoted.replace('%', r"\%")
}
