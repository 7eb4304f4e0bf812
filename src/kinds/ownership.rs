//! Owner, group and mode of a path. Every kind that has a path compares, shows and sets them in the
//! same way.

use super::{AccountRef, FileMode};
use crate::model::{Change, DisplayValue, PathState};

/// Wanted owner, group and permission bits of a path.
#[derive(Debug, Clone, Copy)]
pub struct Ownership<'a> {
    /// Owner.
    pub owner: &'a AccountRef,
    /// Group.
    pub group: &'a AccountRef,
    /// Permission bits; `None` for paths without settable permission bits (links).
    pub mode: Option<FileMode>,
}

impl Ownership<'_> {
    /// Adds a field for each of owner, group and mode that differs from the observed path.
    #[must_use]
    pub fn compare(&self, before: Option<&PathState>, mut change: Change) -> Change {
        let Some(path) = before else {
            change = change
                .field(
                    "owner",
                    DisplayValue::Absent,
                    DisplayValue::text(self.owner.to_string()),
                )
                .field(
                    "group",
                    DisplayValue::Absent,
                    DisplayValue::text(self.group.to_string()),
                );
            return match self.mode {
                Some(mode) => change.field(
                    "mode",
                    DisplayValue::Absent,
                    DisplayValue::text(mode.to_string()),
                ),
                None => change,
            };
        };
        if !self.owner.is(&path.owner, path.uid) {
            let before = self.owner.like(&path.owner, path.uid);
            change = change.field(
                "owner",
                DisplayValue::text(before),
                DisplayValue::text(self.owner.to_string()),
            );
        }
        if !self.group.is(&path.group, path.gid) {
            let before = self.group.like(&path.group, path.gid);
            change = change.field(
                "group",
                DisplayValue::text(before),
                DisplayValue::text(self.group.to_string()),
            );
        }
        match self.mode {
            Some(mode) if mode.0 != path.mode => change.field(
                "mode",
                DisplayValue::text(FileMode(path.mode).to_string()),
                DisplayValue::text(mode.to_string()),
            ),
            _ => change,
        }
    }

    /// Returns `owner:group` as an argument of chown(1).
    #[must_use]
    pub fn owner_and_group(&self) -> String {
        format!("{}:{}", self.owner, self.group)
    }
}
