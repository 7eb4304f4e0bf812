//! Replaces `$NAME` and `${NAME}` in the text of a compose file as Docker does, for the check of
//! paths. The `docker` command interpolates the files itself.

use std::collections::BTreeMap;

/// Returns the text with its variables replaced, or `None` for an expression that is not supported
/// or not valid. A variable without a value becomes an empty text.
pub(super) fn interpolate(text: &str, variables: &BTreeMap<String, String>) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        result.push_str(before);
        if let Some(behind) = after.strip_prefix('$') {
            result.push('$');
            rest = behind;
            continue;
        }
        let (braced, inner) = match after.strip_prefix('{') {
            Some(inner) => (true, inner),
            None => (false, after),
        };
        let (name, behind) = split_name(inner)?;
        let value = variables.get(name).map(String::as_str);
        if !braced {
            result.push_str(value.unwrap_or_default());
            rest = behind;
            continue;
        }
        let (expression, behind) = behind.split_once('}')?;
        // A value that contains another expression is not supported.
        if expression.contains(['$', '{']) {
            return None;
        }
        let default = expression.strip_prefix(":-").map(|default| (default, true));
        let default =
            default.or_else(|| expression.strip_prefix('-').map(|default| (default, false)));
        result.push_str(match (expression, default, value) {
            ("", _, value) => value.unwrap_or_default(),
            (_, Some((default, true)), None | Some("")) => default,
            (_, Some((default, false)), None) => default,
            (_, Some(_), Some(value)) => value,
            _ => return None,
        });
        rest = behind;
    }
    result.push_str(rest);
    Some(result)
}

/// Splits the name of a variable from the text behind it.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let end = text.find(|letter| !part(letter)).unwrap_or(text.len());
    let valid = end > 0 && !text.starts_with(|letter: char| letter.is_ascii_digit());
    valid.then(|| text.split_at(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_defaults_are_replaced() {
        let variables =
            [("A", "x"), ("EMPTY", "")].map(|(name, value)| (name.into(), value.into()));
        let variables = variables.into();
        for (text, expected) in [
            ("plain", Some("plain")),
            ("$A/${A}-$$A", Some("x/x-$A")),
            ("${NO}${NO:-d}${NO-e}", Some("de")),
            ("${EMPTY:-d}${EMPTY-e}", Some("d")),
            ("${A:-d}${A-e}", Some("xx")),
            ("${A:?no}", None),
            ("${A:+b}", None),
            ("${A:-${B}}", None),
            ("${", None),
            ("${A", None),
            ("$", None),
            ("$1", None),
        ] {
            assert_eq!(interpolate(text, &variables).as_deref(), expected, "{text}");
        }
    }
}
