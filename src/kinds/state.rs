//! Whether a resource shall be there or not: the field `state` of most kinds.

use serde::Deserialize;

/// `"present"` (the default) or `"absent"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// It shall be there, as described.
    #[default]
    Present,
    /// It shall not be there.
    Absent,
}
