//! Short lists of names in messages.

/// Joins the first `limit` names, and counts the others: `a, b and 3 others`.
#[must_use]
pub fn short_list<'a>(names: impl IntoIterator<Item = &'a str>, limit: usize) -> String {
    let mut names = names.into_iter();
    let shown: Vec<&str> = names.by_ref().take(limit).collect();
    let shown = shown.join(", ");
    match names.count() {
        0 => shown,
        1 => format!("{shown} and 1 other"),
        others => format!("{shown} and {others} others"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_counted() {
        assert_eq!(short_list([], 2), "");
        assert_eq!(short_list(["a", "b"], 2), "a, b");
        assert_eq!(short_list(["a", "b", "c"], 2), "a, b and 1 other");
        assert_eq!(short_list(["a", "b", "c", "d"], 2), "a, b and 2 others");
    }
}
