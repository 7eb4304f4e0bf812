//! A line of an SSH configuration: a keyword and its arguments, with the quotes and comments of
//! `ssh_config(5)`.

/// A line that is neither empty nor a comment.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ConfigLine {
    /// Keyword in lower case.
    pub keyword: String,
    /// Arguments without their quotes.
    pub arguments: Vec<String>,
    /// Unchanged text after the keyword, which `ProxyCommand` and other commands use.
    pub rest: String,
}

/// Parses a line; returns `None` for an empty line or a comment.
///
/// # Errors
/// A quote that is not closed.
pub(super) fn parse(line: &str) -> Result<Option<ConfigLine>, String> {
    let line = line.trim_matches(|letter: char| letter.is_ascii_whitespace() || letter == '\x0c');
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let end = line
        .find(|letter: char| letter.is_ascii_whitespace() || letter == '=')
        .unwrap_or(line.len());
    let rest = line[end..].trim_ascii_start();
    // An equals sign may separate the keyword from its arguments.
    let rest = rest.strip_prefix('=').unwrap_or(rest).trim_ascii_start();
    let keyword = line[..end].trim_matches('"').to_ascii_lowercase();
    let arguments = if super::keywords::form(&keyword) == Some(super::keywords::ValueForm::Rest) {
        Vec::new()
    } else {
        words(rest)?
    };
    Ok(Some(ConfigLine {
        keyword,
        arguments,
        rest: rest.to_owned(),
    }))
}

/// Splits a text into words as `ssh` does: quotes of both sorts keep spaces, a backslash keeps a
/// quote, itself or a space, and a word that begins with `#` starts a comment.
fn words(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    loop {
        while letters.next_if(char::is_ascii_whitespace).is_some() {}
        match letters.peek() {
            None | Some('#') => return Ok(words),
            Some(_) => {}
        }
        let (mut word, mut quote) = (String::new(), None);
        while let Some(letter) = letters.next() {
            match (letter, quote) {
                ('\\', _)
                    if letters.peek().is_some_and(|next| {
                        "\"'\\".contains(*next) || quote.is_none() && *next == ' '
                    }) =>
                {
                    word.extend(letters.next());
                }
                ('"' | '\'', None) => quote = Some(letter),
                (letter, Some(open)) if letter == open => quote = None,
                (letter, _) => word.push(letter),
            }
            if quote.is_none() && letters.peek().is_some_and(char::is_ascii_whitespace) {
                break;
            }
        }
        if quote.is_some() {
            return Err("a quote is not closed".into());
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn keywords_quotes_and_comments() {
        let arguments = |line: &str| parse(line).unwrap().unwrap().arguments;
        assert_eq!(parse("  # Host web").unwrap(), None);
        assert_eq!(parse(" \t").unwrap(), None);
        assert_eq!(parse("HostName\tweb").unwrap().unwrap().keyword, "hostname");
        assert_eq!(arguments("Port=22"), ["22"]);
        assert_eq!(arguments("Port = 22 # the usual"), ["22"]);
        assert_eq!(
            arguments("Host web# \"a b\" 'c d'\"e\" f\\ g"),
            ["web#", "a b", "c de", "f g"]
        );
        assert_eq!(arguments("User \"a\\\"b\" \\x"), ["a\"b", "\\x"]);
        assert_eq!(
            parse("ProxyCommand = nc \"%h\" # x").unwrap().unwrap().rest,
            "nc \"%h\" # x"
        );
        assert!(parse("Host \"web").is_err());
    }
}
