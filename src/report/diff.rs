//! Text diffs of files in the form of `diff -u`.

use std::time::{Duration, Instant};

use similar::algorithms::{Capture, Compact, Replace, myers};
use similar::{DiffOp, DiffTag, group_diff_ops};

/// Maximum number of diff lines shown; further lines are only counted.
const MOST_LINES: usize = 60;

/// Number of equal lines shown around each difference.
const CONTEXT_LINES: usize = 3;

/// Time after which the search for the smallest diff ends. A host chooses the old text, and Myers'
/// algorithm is slow for two long texts with few equal lines; a diff found in time is larger, never
/// wrong.
const SEARCH_TIME: Duration = Duration::from_secs(1);

/// Returns the lines of the unified diff, each with its sign; shortened to [`MOST_LINES`] unless
/// `whole` is set.
pub(super) fn diff_lines(before: &str, after: &str, whole: bool) -> Vec<(char, String)> {
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let ends = |text: &str| text.is_empty() || text.ends_with('\n');
    // Without this note, two texts that differ only in their last newline would look the same.
    let tell_ends = !before.is_empty() && !after.is_empty() && ends(before) != ends(after);
    let mut lines = Vec::new();
    let mut push = |sign: char, line: &str| {
        lines.push((sign, line.strip_suffix('\n').unwrap_or(line).to_owned()));
        if tell_ends && !line.ends_with('\n') {
            lines.push((' ', "(no newline at the end)".to_owned()));
        }
    };
    for operation in group_diff_ops(operations(&old, &new), CONTEXT_LINES)
        .into_iter()
        .flatten()
    {
        let (tag, of_old, of_new) = operation.as_tag_tuple();
        if tag == DiffTag::Equal {
            old[of_old].iter().for_each(|line| push(' ', line));
        } else {
            old[of_old].iter().for_each(|line| push('-', line));
            new[of_new].iter().for_each(|line| push('+', line));
        }
    }
    if !whole && lines.len() > MOST_LINES {
        let rest = lines.len() - MOST_LINES;
        lines.truncate(MOST_LINES);
        lines.push((' ', format!("... {rest} more lines (--diff shows all)")));
    }
    lines
}

/// Returns the operations that turn the old lines into the new lines. Names Myers' algorithm
/// itself: a choice at run time would put six algorithms into the binary, which are half a
/// megabyte.
fn operations(old: &[&str], new: &[&str]) -> Vec<DiffOp> {
    let mut hook = Compact::new(Replace::new(Capture::new()), old, new);
    let deadline = Instant::now() + SEARCH_TIME;
    let Ok(()) = myers::diff_deadline(
        &mut hook,
        old,
        0..old.len(),
        new,
        0..new.len(),
        Some(deadline),
    );
    hook.into_inner().into_inner().into_ops()
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

    #[test]
    fn distant_differences_are_shown_with_three_lines_around_them() {
        let before: String = (0..20).map(|line| format!("{line}\n")).collect();
        let after = before.replace("4\n", "four\n").replace("15\n", "");
        let shown: Vec<String> = diff_lines(&before, &after, false)
            .iter()
            .map(|(sign, line)| format!("{sign}{line}"))
            .collect();
        let wanted = [
            " 1", " 2", " 3", "-4", "+four", " 5", " 6", " 7", " 11", " 12", " 13", "-14", "-15",
            "+1four", " 16", " 17", " 18",
        ];
        assert_eq!(shown, wanted);
    }

    #[test]
    fn long_texts_without_an_equal_line_end_in_time() {
        let before: String = (0..60_000).map(|line| format!("a{line}\n")).collect();
        let after: String = (0..60_000).map(|line| format!("b{line}\n")).collect();
        let begun = std::time::Instant::now();
        assert_eq!(diff_lines(&before, &after, true).len(), 120_000);
        assert!(begun.elapsed() < 20 * super::SEARCH_TIME);
    }
}
