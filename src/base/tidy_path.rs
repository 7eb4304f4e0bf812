//! Shortens a path by its text alone; no link is followed.

use std::path::{Component, Path, PathBuf};

/// Shortens `a/../b` to `b`; a leading `..` stays.
#[must_use]
pub fn tidy_path(path: &Path) -> PathBuf {
    let mut tidied = PathBuf::new();
    for component in path.components() {
        let can_pop = tidied
            .components()
            .next_back()
            .is_some_and(|last| matches!(last, Component::Normal(_)));
        match component {
            Component::ParentDir if can_pop => {
                tidied.pop();
            }
            Component::CurDir => {}
            other => tidied.push(other),
        }
    }
    tidied
}
