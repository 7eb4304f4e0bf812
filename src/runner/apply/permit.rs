//! The permit to change hosts, as a value: every function that runs a step needs one, and only
//! `runner::apply` can create one. The code that `plan` and `check` run can therefore not change a
//! host: it would not compile.

/// Permit to change hosts. Created once, after the user has confirmed a forecast.
pub(in crate::runner) struct Permit(());

impl Permit {
    /// Creates the permit; visible within `runner::apply` only.
    pub(super) fn grant() -> Self {
        Self(())
    }
}
