//! Replaces values that differ from run to run by a word in brackets.

/// Patterns and their replacements: `#` stands for digits, `@` for letters of Base64, `*` for all
/// text up to a closing bracket.
const VARYING: &[(&str, &str)] = &[
    // The replacement is as wide as the time, which keeps the columns of tables.
    ("#-#-#T#:#:#Z", "[time, RFC 3339 UTC]"),
    ("#-#-# #:#:# UTC", "[time, in UTC]"),
    ("#.# s", "[n] s"),
    ("# ms", "[n] ms"),
    ("\"millis\":#", "\"millis\":\"[n]\""),
    ("#s ago", "[n]s ago"),
    ("process #", "process [n]"),
    ("SHA256:@", "SHA256:[fingerprint]"),
    ("(it has *)", "(it has [addresses])"),
    ("/.skep-@", "/.skep-[random]"),
];

/// Replaces values that differ from run to run on every host.
pub fn varying(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, word) in VARYING {
        text = replace(&text, pattern, word);
    }
    text
}

/// Replaces a pattern at every start of a number or word.
fn replace(text: &str, pattern: &str, word: &str) -> String {
    let (mut result, mut rest) = (String::new(), text);
    while let Some(letter) = rest.chars().next() {
        let inside =
            letter.is_ascii_digit() && result.ends_with(|last: char| last.is_ascii_digit());
        match length(rest, pattern).filter(|_| !inside) {
            Some(length) => {
                result.push_str(word);
                rest = &rest[length..];
            }
            None => {
                result.push(letter);
                rest = &rest[letter.len_utf8()..];
            }
        }
    }
    result
}

/// Returns the length of the pattern at the start of a text.
fn length(text: &str, pattern: &str) -> Option<usize> {
    let mut rest = text;
    for letter in pattern.chars() {
        let after = match letter {
            '#' => rest.trim_start_matches(|digit: char| digit.is_ascii_digit()),
            '@' => rest.trim_start_matches(|letter: char| {
                letter.is_ascii_alphanumeric() || matches!(letter, '+' | '/')
            }),
            '*' => rest.trim_start_matches(|letter| !matches!(letter, ')' | '\n')),
            _ => rest.strip_prefix(letter)?,
        };
        if after.len() == rest.len() {
            return None;
        }
        rest = after;
    }
    Some(text.len() - rest.len())
}

/// Aligns the tables of a text again, after values in their cells have been replaced. Cells are two
/// spaces apart, and none is empty.
pub fn align(text: &str) -> String {
    let lines: Vec<Vec<&str>> = text
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    let (mut aligned, mut done) = (String::new(), 0);
    for table in lines.chunk_by(|one, other| one.len() == other.len()) {
        let width = |column: usize| {
            table
                .iter()
                .map(|row| row[column].chars().count())
                .max()
                .unwrap_or(0)
        };
        if table[0].len() == 1 {
            // Lines outside of tables stay unchanged.
            aligned += &text
                .lines()
                .skip(done)
                .take(table.len())
                .map(|line| format!("{line}\n"))
                .collect::<String>();
        }
        done += table.len();
        for row in table.iter().filter(|row| row.len() != 1) {
            let cells: Vec<String> = row
                .iter()
                .enumerate()
                .map(|(column, cell)| format!("{cell:0$}", width(column)))
                .collect();
            aligned += cells.join("  ").trim_end();
            aligned.push('\n');
        }
    }
    aligned
}

/// Sorts neighbouring lines that start with a host name by host. Hosts work at the same time, and
/// the lines of each host keep their order.
pub fn by_host(text: &str, hosts: &[String]) -> String {
    let host = |line: &str| {
        hosts.iter().position(|host| {
            line.strip_prefix(host.as_str())
                .is_some_and(|rest| rest.starts_with(": "))
        })
    };
    let lines: Vec<&str> = text.lines().collect();
    let mut sorted = String::new();
    for block in lines.chunk_by(|one, other| host(one).is_some() && host(other).is_some()) {
        let mut block = block.to_vec();
        block.sort_by_key(|line| host(line));
        for line in block {
            sorted += line;
            sorted.push('\n');
        }
    }
    sorted
}

/// Writes each line of JSON over several lines, in the order of its keys. Other text stays
/// unchanged.
pub fn indent_json(text: &str) -> String {
    let (mut result, mut depth, mut quoted, mut escaped) = (String::new(), 0_usize, false, false);
    let line = |result: &mut String, depth: usize| {
        result.push('\n');
        result.push_str(&"  ".repeat(depth));
    };
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            _ if quoted => {
                result.push(letter);
                quoted = letter != '"' || escaped;
                escaped = letter == '\\' && !escaped;
            }
            '"' => {
                result.push(letter);
                quoted = true;
            }
            '{' | '[' => {
                result.push(letter);
                if let Some(end) = letters.next_if(|next| matches!(next, '}' | ']')) {
                    result.push(end);
                } else {
                    depth += 1;
                    line(&mut result, depth);
                }
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                line(&mut result, depth);
                result.push(letter);
            }
            ',' => {
                result.push(letter);
                line(&mut result, depth);
            }
            ':' => result.push_str(": "),
            _ => result.push(letter),
        }
    }
    result
}
