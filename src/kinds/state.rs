//! The field `state` of most kinds: presence or absence of a resource.

use serde::Deserialize;

/// Desired presence: `"present"` (the default) or `"absent"`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// The resource should exist, as described.
    #[default]
    Present,
    /// The resource should not exist.
    Absent,
}
