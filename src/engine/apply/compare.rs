//! Compares the plan made right before acting with the forecast that people said yes to.

use crate::resource::{Change, Shown};

/// How a change differs from its forecast, in one sentence; `None` when it is what was forecast.
pub(super) fn difference(forecast: Option<&Change>, change: &Change) -> Option<String> {
    let Some(forecast) = forecast else {
        return Some("was in sync when the plan was made".into());
    };
    let surprises: Vec<String> = change
        .fields
        .iter()
        .filter_map(|field| {
            let known = forecast.fields.iter().find(|known| known.field == field.field);
            match known {
                // A forecast without details promised that they would come.
                None if forecast.fields.iter().any(|known| known.after == Shown::KnownAfterApply) => None,
                None => Some(format!("{} was not in the plan", field.field)),
                Some(known) if known.after == Shown::KnownAfterApply || known.after == field.after => None,
                Some(_) => Some(format!("{} would become another value than planned", field.field)),
            }
        })
        .collect();
    (!surprises.is_empty()).then(|| surprises.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Action;

    fn change(field: &str, after: Shown) -> Change {
        Change::new(Action::Update).field(field, Shown::Absent, after)
    }

    #[test]
    fn only_surprises_are_reported() {
        let planned = change("mode", Shown::text("0644"));
        assert_eq!(difference(Some(&planned), &planned), None);
        assert_eq!(
            difference(Some(&change("version", Shown::KnownAfterApply)), &change("version", Shown::text("1"))),
            None
        );
        assert!(difference(Some(&planned), &change("mode", Shown::text("0600"))).is_some());
        assert!(difference(Some(&planned), &change("owner", Shown::text("root"))).is_some());
        assert!(difference(None, &planned).is_some());
    }
}
