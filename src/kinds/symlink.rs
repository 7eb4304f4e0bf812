//! `symlink`: a symbolic link with a given target, replaced atomically. Its parent directory is not
//! created. A file in its place is replaced only with `force`, a directory never.

use serde::Deserialize;

use super::{AbsolutePath, AccountRef, DesiredState, Ownership};
use crate::base::path_script;
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, PathState,
    PathType, ProbeError, Query, Refusal, ResourceKind, Step,
};

/// A symbolic link.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SymlinkResource {
    /// Absolute path of the link itself.
    path: AbsolutePath,
    /// Target of the link, verbatim: absolute, or relative to the link's folder. The target need
    /// not exist. Not used with `state = "absent"`.
    #[serde(default)]
    target: String,
    /// Owner of the link itself, by name or number. Default `root`.
    #[serde(default = "AccountRef::root")]
    owner: AccountRef,
    /// Group of the link itself, by name or number. Default `root`.
    #[serde(default = "AccountRef::root")]
    group: AccountRef,
    /// Replace a file in the link's place; its content is lost. Default `false`.
    #[serde(default)]
    force: bool,
    /// `"present"` (default) or `"absent"` (which removes a link only).
    #[serde(default)]
    state: DesiredState,
}

/// Arguments: `$1` link, `$2` target, `$3` owner:group. The link is created beside its place and
/// moved over it, and is therefore never missing.
const LINK: &str = "make_link \"$@\"\n";

const REMOVE: &str = "remove_link \"$1\"\n";

impl ResourceKind for SymlinkResource {
    const NAME: &'static str = "symlink";
    const IS_LOCAL: bool = true;
    type Observed = Option<PathState>;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        if self.state == DesiredState::Absent {
            return Ok(());
        }
        if self.target.is_empty() {
            return Err(InvalidField::new("target", "a link needs a target")
                .hint("add target = \"/path/to/it\""));
        }
        if self.target.len() > 4095 || self.target.chars().any(char::is_control) {
            return Err(InvalidField::new(
                "target",
                format!("{:?} cannot be the target of a link", self.target),
            )
            .hint("write a path of at most 4095 bytes without control characters"));
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        vec![Query::path(self.path.as_str())]
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        Ok(Observation::Known(
            answers.path(self.path.as_str())?.cloned(),
        ))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        let link = observed
            .as_ref()
            .filter(|path| path.kind == PathType::Symlink);
        match (self.state, observed) {
            (DesiredState::Absent, None) => Ok(None),
            (_, Some(other)) if link.is_none() => self.plan_replace(other).map(Some),
            (DesiredState::Absent, Some(_)) => Ok(Some(self.plan_absent(link))),
            (DesiredState::Present, _) => Ok(self.plan_link(link)),
        }
    }
}

impl SymlinkResource {
    fn ownership(&self) -> Ownership<'_> {
        Ownership {
            owner: &self.owner,
            group: &self.group,
            mode: None,
        }
    }

    fn link_step(&self) -> Step {
        let arguments = [
            self.path.to_string(),
            self.target.clone(),
            self.ownership().owner_and_group(),
        ];
        Step::script(
            format!("link {} to {}", self.path, self.target),
            path_script(LINK),
            arguments,
        )
    }

    fn plan_link(&self, link: Option<&PathState>) -> Option<Change> {
        let before = link.map(|link| link.target.clone().unwrap_or_default());
        let action = if before.is_none() {
            Action::Create
        } else {
            Action::Update
        };
        let same_target = before.as_ref() == Some(&self.target);
        let mut change = Change::new(action);
        if !same_target {
            change = change.field(
                "target",
                before.map_or(DisplayValue::Absent, DisplayValue::Text),
                DisplayValue::text(&self.target),
            );
        }
        let change = self.ownership().compare(link, change);
        if change.fields.is_empty() {
            return None;
        }
        // The link is made anew if only its owner differs: its name may lead to something else when
        // the owner is set.
        Some(change.altering(self.path.as_str()).step(self.link_step()))
    }

    fn plan_absent(&self, link: Option<&PathState>) -> Change {
        let target = link
            .and_then(|link| link.target.clone())
            .unwrap_or_default();
        Change::new(Action::Delete)
            .field("target", DisplayValue::Text(target), DisplayValue::Absent)
            .altering(self.path.as_str())
            .step(Step::script(
                format!("remove the link {}", self.path),
                path_script(REMOVE),
                [self.path.as_str()],
            ))
    }

    fn plan_replace(&self, other: &PathState) -> Result<Change, Refusal> {
        let what = other.kind.with_article();
        if other.kind == PathType::File && self.force && self.state == DesiredState::Present {
            let before = DisplayValue::text(format!("a file of {} bytes", other.size));
            return Ok(Change::new(Action::Update)
                .field("target", before, DisplayValue::text(&self.target))
                .altering(self.path.as_str())
                .step(self.link_step())
                .note("the content of the file in the link's place is lost"));
        }
        let hint = match other.kind {
            PathType::File if self.state == DesiredState::Present => {
                "move it away, or set force = true to replace the file"
            }
            _ => "move it away",
        };
        Err(Refusal {
            why: format!("{} is {what}, not a symbolic link", self.path),
            hint: hint.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial::{self, HOSTILE_NAMES, ScratchFolder};
    use super::*;
    use crate::model::{HostAnswers, QueryAnswer};

    fn at(state: Option<PathState>) -> HostAnswers {
        HostAnswers::default().with(Query::path("/l"), QueryAnswer::Path(state))
    }

    fn link_to(target: &str) -> Option<PathState> {
        Some(PathState {
            target: Some(target.into()),
            ..trial::path_state(PathType::Symlink, 0o777)
        })
    }

    #[test]
    fn only_differences_are_planned() {
        let link: SymlinkResource = trial::kind("path = '/l'\ntarget = '/srv'");
        let create = trial::plan(&link, &at(None)).unwrap();
        assert_eq!(create.action, Action::Create);
        assert_eq!(
            trial::fields(&create),
            ["target: - => /srv", "owner: - => root", "group: - => root"]
        );
        assert!(trial::plan(&link, &at(link_to("/srv"))).is_none());
        let update = trial::plan(&link, &at(link_to("/old"))).unwrap();
        assert_eq!(
            (update.action, trial::fields(&update)),
            (Action::Update, vec!["target: /old => /srv".to_owned()])
        );
        let owner: SymlinkResource = trial::kind("path = '/l'\ntarget = '/srv'\nowner = 'web'");
        let update = trial::plan(&owner, &at(link_to("/srv"))).unwrap();
        assert_eq!(trial::fields(&update), ["owner: root => web"]);
        // The link is made anew, because its name may lead to something else meanwhile.
        assert_eq!(trial::arguments(&update), [["/l", "/srv", "web:root"]]);
    }

    #[test]
    fn files_and_directories_are_kept_unless_forced() {
        let careful: SymlinkResource = trial::kind("path = '/l'\ntarget = '/srv'");
        let forced: SymlinkResource = trial::kind("path = '/l'\ntarget = '/srv'\nforce = true");
        let absent: SymlinkResource = trial::kind("path = '/l'\nstate = 'absent'\nforce = true");
        let file = at(Some(trial::path_state(PathType::File, 0o644)));
        let directory = at(Some(trial::path_state(PathType::Directory, 0o755)));
        assert!(trial::refusal(&careful, &file).hint.contains("force"));
        assert!(trial::plan(&forced, &file).is_some());
        trial::refusal(&forced, &directory);
        trial::refusal(&absent, &file);
        assert_eq!(
            trial::plan(&absent, &at(link_to("/x"))).unwrap().action,
            Action::Delete
        );
        assert!(trial::plan(&absent, &at(None)).is_none());
    }

    #[test]
    fn invalid_tables_are_refused() {
        for table in [
            "path = '/l'",
            "path = 'l'\ntarget = '/x'",
            "path = '/l'\ntarget = \"a\\u0000b\"",
            "target = '/x'",
        ] {
            trial::invalid::<SymlinkResource>(table);
        }
    }

    #[test]
    fn steps_succeed_with_hostile_names() {
        let scratch = ScratchFolder::new();
        for name in HOSTILE_NAMES {
            let path = scratch.path(name);
            for target in [*name, "/nowhere", "-f"] {
                let table = format!(
                    "path = {}\ntarget = {}",
                    trial::quoted(&path),
                    trial::quoted(target)
                );
                trial::settle(
                    &trial::kind::<SymlinkResource>(&format!("{table}\n{}", scratch.owners())),
                    &path,
                );
                assert_eq!(std::fs::read_link(&path).unwrap().to_str().unwrap(), target);
            }
            let gone = format!("path = {}\nstate = 'absent'", trial::quoted(&path));
            trial::settle(&trial::kind::<SymlinkResource>(&gone), &path);
            assert!(trial::look(&path).is_none());
        }
        assert_eq!(
            scratch.entries(),
            Vec::<String>::new(),
            "nothing is left beside the links"
        );
    }

    #[test]
    fn link_to_a_directory_is_replaced_and_not_entered() {
        let scratch = ScratchFolder::new();
        let (path, old) = (scratch.path("link"), scratch.path("old"));
        std::fs::create_dir(&old).unwrap();
        std::os::unix::fs::symlink(&old, &path).unwrap();
        let table = format!("path = '{path}'\ntarget = '/new'\n{}", scratch.owners());
        trial::settle(&trial::kind::<SymlinkResource>(&table), &path);
        assert_eq!(std::fs::read_dir(&old).unwrap().count(), 0);
        assert_eq!(std::fs::read_link(&path).unwrap().to_str().unwrap(), "/new");
    }
}
