//! Leave to change hosts, as a value: whatever runs a step asks for one, and only `runner::apply` can make one. So the
//! code that `plan` and `check` run cannot reach a host's writing side: it does not compile.

/// Leave to change hosts. Made once, when somebody has agreed to a forecast.
pub(in crate::runner) struct Permit(());

impl Permit {
    /// Grants leave; seen from within `runner::apply` only.
    pub(super) fn grant() -> Self {
        Self(())
    }
}
