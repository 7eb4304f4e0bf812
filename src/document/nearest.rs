//! Suggests the known name that is nearest to a mistyped name.

/// Returns the candidate nearest to `name` if it is near enough to have been meant: at most a third
/// of the letters differ, or one of the two names begins with the other.
pub fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let folded = name.to_lowercase();
    let near = |candidate: &'a str| {
        let distance = strsim::damerau_levenshtein(&folded, &candidate.to_lowercase());
        let longest = name.chars().count().max(candidate.chars().count());
        let prefix =
            folded.len() >= 3 && (candidate.starts_with(&folded) || folded.starts_with(candidate));
        (distance <= longest.div_ceil(3) || prefix).then_some((distance, candidate))
    };
    candidates
        .into_iter()
        .filter(|candidate| !candidate.is_empty())
        .filter_map(near)
        .min()
        .map(|(_, candidate)| candidate)
}

/// Returns the hint that names the nearest candidate, if one is near enough.
pub fn nearest_hint<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(name, candidates).map(|candidate| format!("did you mean `{candidate}`?"))
}

/// Returns the hint for an unknown name: the nearest known name, all known names if there are at
/// most 24, or `None`.
pub fn did_you_mean<'a>(
    name: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    let few = !candidates.is_empty() && candidates.len() <= 24;
    nearest_hint(name, candidates.iter().copied())
        .or_else(|| few.then(|| format!("known names: {}", candidates.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typo_is_matched_and_an_unrelated_name_is_not() {
        let names = ["address", "groups", "vars", "user"];
        assert_eq!(nearest("adress", names), Some("address"));
        assert_eq!(nearest("Group", names), Some("groups"));
        assert_eq!(nearest("vasr", names), Some("vars"));
        assert_eq!(nearest("connection", names), None);
    }

    #[test]
    fn a_short_list_is_the_hint_if_no_name_is_near() {
        assert_eq!(
            did_you_mean("zzzzzz", ["a", "b"]).as_deref(),
            Some("known names: a, b")
        );
        assert_eq!(did_you_mean("zzzzzz", []), None);
    }
}
