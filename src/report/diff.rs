//! Text diffs of files, as `diff -u` shows them.

use similar::{ChangeTag, TextDiff};

/// Lines of a diff that are shown before the rest is only counted.
const MOST_LINES: usize = 60;

/// The unified diff's lines with their sign; whole only when `whole` is set.
pub(super) fn diff_lines(before: &str, after: &str, whole: bool) -> Vec<(char, String)> {
    let diff = TextDiff::from_lines(before, after);
    let ends = |text: &str| text.is_empty() || text.ends_with('\n');
    // Without words, two sides that differ in their last byte alone would look the same.
    let tell_ends = !before.is_empty() && !after.is_empty() && ends(before) != ends(after);
    let mut lines = Vec::new();
    for group in diff.grouped_ops(3) {
        for operation in group {
            for change in diff.iter_changes(&operation) {
                let sign = match change.tag() {
                    ChangeTag::Delete => '-',
                    ChangeTag::Insert => '+',
                    ChangeTag::Equal => ' ',
                };
                let line = change.value();
                lines.push((sign, line.strip_suffix('\n').unwrap_or(line).to_owned()));
                if tell_ends && !line.ends_with('\n') {
                    lines.push((' ', "(no line end)".to_owned()));
                }
            }
        }
    }
    if !whole && lines.len() > MOST_LINES {
        let rest = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push((' ', format!("... {rest} more lines (--diff shows all)")));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::diff_lines;

    #[test]
    fn a_missing_line_end_is_seen() {
        let lines = diff_lines("a\nb", "a\nb\n", false);
        let shown: Vec<String> = lines
            .iter()
            .map(|(sign, line)| format!("{sign}{line}"))
            .collect();
        assert_eq!(shown, [" a", "-b", " (no line end)", "+b"]);
    }
}
