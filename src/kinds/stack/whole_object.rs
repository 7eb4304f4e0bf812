//! The field of an object that is created or removed as a whole.

use crate::model::{Change, DisplayValue};

/// Adds the single field of an object that is created or removed as a whole.
pub(super) fn whole(change: &mut Change, what: String, before: DisplayValue, after: DisplayValue) {
    change.fields.push(crate::model::FieldChange {
        field: what,
        before,
        after,
    });
}
