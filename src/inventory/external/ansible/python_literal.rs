//! Reads the values of Ansible's INI format. Ansible reads a value as a literal of Python if it is
//! a literal, and otherwise as text (`ansible.plugins.inventory.ini`).

use serde_json::{Number, Value};

/// Returns the value of a text.
///
/// # Errors
/// If the text is a list, a table or another literal that only Python itself can read.
pub(super) fn value(text: &str) -> Result<Value, String> {
    let text = text.trim();
    // A comment of Python ends a number, a name and a quoted text, but not other text.
    let bare = text.split('#').next().unwrap_or_default().trim_end();
    match bare {
        "None" => return Ok(Value::Null),
        "True" => return Ok(true.into()),
        "False" => return Ok(false.into()),
        _ => {}
    }
    if let Some(number) = number(bare) {
        return Ok(Value::Number(number));
    }
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => {
            Ok(quoted(text, quote).map_or_else(|| text.into(), Into::into))
        }
        Some('[' | '{' | '(') => json(text).ok_or_else(|| {
            format!("`{text}` needs Ansible itself; without Ansible, a list or table must be JSON")
        }),
        _ => Ok(text.into()),
    }
}

fn json(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok()
}

/// Reads a number of Python. A leading zero makes a text of it, as in Python.
fn number(text: &str) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_plain = digits.starts_with(|letter: char| letter.is_ascii_digit())
        && !(digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0."));
    if !is_plain {
        return None;
    }
    if let Ok(integer) = text.parse::<i64>() {
        return Some(integer.into());
    }
    let is_float = digits
        .chars()
        .all(|letter| letter.is_ascii_digit() || letter == '.')
        && digits.matches('.').count() == 1;
    is_float
        .then(|| text.parse().ok().and_then(Number::from_f64))
        .flatten()
}

/// Returns the content of a quoted text that only a comment follows.
fn quoted(text: &str, quote: char) -> Option<String> {
    let mut content = String::new();
    let mut letters = text.strip_prefix(quote)?.chars();
    loop {
        match letters.next()? {
            '\\' => match letters.next()? {
                'n' => content.push('\n'),
                't' => content.push('\t'),
                letter @ ('\\' | '"' | '\'') => content.push(letter),
                other => content.extend(['\\', other]),
            },
            letter if letter == quote => break,
            letter => content.push(letter),
        }
    }
    let rest = letters.as_str().trim_start();
    (rest.is_empty() || rest.starts_with('#')).then_some(content)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    /// The values are those of `ansible-inventory` 2.14.
    #[test]
    fn values_are_read_as_ansible_reads_them() {
        for (text, wanted) in [
            ("ann", json!("ann")),
            ("'ann' # login", json!("ann")),
            ("\"x # y\"", json!("x # y")),
            ("a # b", json!("a # b")),
            ("a#b", json!("a#b")),
            ("7 # seven", json!(7)),
            ("-7", json!(-7)),
            ("1.5", json!(1.5)),
            ("010", json!("010")),
            ("1.2.3", json!("1.2.3")),
            ("True", json!(true)),
            ("true", json!("true")),
            ("None", json!(null)),
            ("[1, \"a\"]", json!([1, "a"])),
            ("'a' b", json!("'a' b")),
            ("", json!("")),
        ] {
            assert_eq!(value(text).unwrap(), wanted, "{text}");
        }
        assert!(value("['a']").unwrap_err().contains("needs Ansible itself"));
    }
}
