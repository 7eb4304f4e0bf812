//! Words in the languages of unit files and of crontabs, so that every byte of an argument arrives as it is.

/// A word of `ExecStart=` (systemd.service(5), "Command lines"): `%` and `$` are doubled, the rest stands in double quotes
/// where it must.
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
                quoted.push_str(&format!("\\x{:02x}", u32::from(control)))
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

/// A path as the value of a setting that is no command line: specifiers are doubled, nothing else is special.
pub(super) fn setting(path: &str) -> String {
    path.replace('%', "%%")
}

/// A path in a list of paths: quoted, as a blank would end it.
pub(super) fn listed(path: &str) -> String {
    let escaped = setting(path).replace('\\', "\\\\").replace('"', "\\\"");
    if escaped.contains([' ', '"', '\'', '\\']) {
        format!("\"{escaped}\"")
    } else {
        escaped
    }
}

/// A word of a crontab's command: quoted for sh, and `%` escaped, which crontab(5) takes for a newline.
pub(super) fn crontab(word: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=:,@+".contains(&byte);
    let quoted = if !word.is_empty() && word.bytes().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    };
    // The backslash is taken away by cron; sh would keep it within single quotes.
    quoted.replace('%', r"\%")
}
