//! Compares the plan made right before acting with the forecast that the user confirmed.

use std::collections::BTreeMap;

use crate::model::{Change, DisplayValue, FieldChange, Operation};

/// Returns the difference between a change and its forecast, in one sentence; `None` if they agree.
pub(super) fn difference(forecast: Option<&Change>, change: &Change) -> Option<String> {
    let Some(forecast) = forecast else {
        return Some("was in sync when the plan was made".into());
    };
    // A forecast without details announced that they would follow.
    let promised = forecast
        .fields
        .iter()
        .any(|known| known.after == DisplayValue::KnownAfterApply)
        || forecast
            .steps
            .iter()
            .any(|step| matches!(step.act, Operation::KnownAfterApply));
    let surprises: Vec<String> = change
        .fields
        .iter()
        .filter_map(|field| {
            let known = forecast
                .fields
                .iter()
                .find(|known| known.field == field.field);
            match known {
                None if promised => None,
                None => Some(format!("{} was not in the plan", field.field)),
                Some(known)
                    if known.after == DisplayValue::KnownAfterApply
                        || is_the_same(known, field) =>
                {
                    None
                }
                Some(_) => Some(format!(
                    "{} would get a different value than planned",
                    field.field
                )),
            }
        })
        .collect();
    (!surprises.is_empty()).then(|| surprises.join("; "))
}

/// Returns true if a field gets the planned value, or if the same lines are added and removed in a
/// file that other resources have changed meanwhile.
fn is_the_same(planned: &FieldChange, now: &FieldChange) -> bool {
    match (&planned.before, &planned.after, &now.before, &now.after) {
        (
            DisplayValue::Lines(old),
            DisplayValue::Lines(new),
            DisplayValue::Lines(old_now),
            DisplayValue::Lines(new_now),
        ) => new == new_now || edits(old, new) == edits(old_now, new_now),
        (_, planned, _, now) => planned == now,
    }
}

/// Returns, for each line, how often it is added less how often it is removed; lines that stay are
/// not listed.
fn edits<'a>(before: &'a str, after: &'a str) -> BTreeMap<&'a str, i64> {
    let mut count: BTreeMap<&str, i64> = BTreeMap::new();
    before
        .lines()
        .for_each(|line| *count.entry(line).or_default() -= 1);
    after
        .lines()
        .for_each(|line| *count.entry(line).or_default() += 1);
    count.retain(|_, count| *count != 0);
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Action, Step};

    fn change(field: &str, after: DisplayValue) -> Change {
        Change::new(Action::Update).field(field, DisplayValue::Absent, after)
    }

    #[test]
    fn only_differences_from_the_forecast_are_reported() {
        let planned = change("mode", DisplayValue::text("0644"));
        assert_eq!(difference(Some(&planned), &planned), None);
        assert_eq!(
            difference(
                Some(&change("version", DisplayValue::KnownAfterApply)),
                &change("version", DisplayValue::text("1"))
            ),
            None
        );
        assert!(difference(Some(&planned), &change("mode", DisplayValue::text("0600"))).is_some());
        assert!(difference(Some(&planned), &change("owner", DisplayValue::text("root"))).is_some());
        assert!(difference(None, &planned).is_some());
    }
    #[test]
    fn added_and_removed_lines_are_compared_instead_of_the_file() {
        let lines = |before: &str, after: &str| {
            Change::new(Action::Update).field(
                "/etc/hosts",
                DisplayValue::Lines(before.into()),
                DisplayValue::Lines(after.into()),
            )
        };
        let planned = lines("a\nold\n", "a\nb\n");
        assert_eq!(
            difference(Some(&planned), &lines("a\nx\nold\n", "a\nx\nb\n")),
            None
        );
        assert_eq!(
            difference(Some(&planned), &lines("a\nx\nold\n", "a\nb\n")),
            None,
            "exactly the planned file"
        );
        assert!(
            difference(Some(&planned), &lines("a\nx\nold\n", "b\nx\n")).is_some(),
            "line a is removed, too"
        );
        assert!(
            difference(Some(&planned), &lines("a\nx\nold\n", "a\nx\nold\nb\n")).is_some(),
            "line old stays"
        );
    }

    #[test]
    fn details_known_after_apply_are_no_difference() {
        let planned = change("service web", DisplayValue::text("web:1"))
            .step(Step::known_after_apply("run it"));
        assert_eq!(
            difference(
                Some(&planned),
                &change("image", DisplayValue::text("web:1"))
            ),
            None
        );
        assert!(
            difference(
                Some(&planned),
                &change("service web", DisplayValue::text("web:2"))
            )
            .is_some()
        );
    }
}
