//! Text diffs of files in the form of `diff -u`.

use similar::{ChangeTag, TextDiff};

/// Maximum number of diff lines shown; further lines are only counted.
const MOST_LINES: usize = 60;

/// Returns the lines of the unified diff, each with its sign; shortened to [`MOST_LINES`] unless
/// `whole` is set.
pub(super) fn diff_lines(before: &str, after: &str, whole: bool) -> Vec<(char, String)> {
    let diff = TextDiff::from_lines(before, after);
    let ends = |text: &str| text.is_empty() || text.ends_with('\n');
    // Without this note, two texts that differ only in their last newline would look the same.
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
                    lines.push((' ', "(no newline at the end)".to_owned()));
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
    fn missing_newline_at_the_end_is_shown() {
        let lines = diff_lines("a\nb", "a\nb\n", false);
        let shown: Vec<String> = lines
            .iter()
            .map(|(sign, line)| format!("{sign}{line}"))
            .collect();
        assert_eq!(shown, [" a", "-b", " (no newline at the end)", "+b"]);
    }
}
