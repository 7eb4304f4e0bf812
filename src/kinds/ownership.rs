//! Owner, group and mode: compared, shown and set in the same way by every kind that has a path.

use super::{AccountRef, FileMode};
use crate::model::{Change, DisplayValue, PathState, Step};

/// Whom a path shall belong to, and what they may do with it.
#[derive(Debug, Clone, Copy)]
pub struct Ownership<'a> {
    /// Owner.
    pub owner: &'a AccountRef,
    /// Group.
    pub group: &'a AccountRef,
    /// Permission bits; `None` where there are none to set (links).
    pub mode: Option<FileMode>,
}

impl Ownership<'_> {
    /// Adds a field for each of owner, group and mode that differs from what is there.
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

    /// `owner:group`, as chown(1) takes it.
    #[must_use]
    pub fn owner_and_group(&self) -> String {
        format!("{}:{}", self.owner, self.group)
    }

    /// Sets all of them on a path that is there.
    #[must_use]
    pub fn step(&self, path: &str) -> Step {
        let owners = self.owner_and_group();
        match self.mode {
            // First the owner: chown(2) takes set-user-ID bits away.
            Some(mode) => Step::script(
                format!("set owner {owners} and mode {mode} on {path}"),
                "chown -h -- \"$2\" \"$1\"\nchmod -- \"$3\" \"$1\"\n",
                [path.to_owned(), owners, mode.argument()],
            ),
            None => Step::script(
                format!("set owner {owners} on {path}"),
                "chown -h -- \"$2\" \"$1\"\n",
                [path.to_owned(), owners],
            ),
        }
    }
}
