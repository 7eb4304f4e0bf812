//! `directory`: a directory with an owner, a group and a mode. Missing parents are created too,
//! with mode 0755, owned by root or, in a directory of another account, by that account; existing
//! parents stay as they are.

use serde::Deserialize;

use super::{AbsolutePath, AccountRef, DesiredState, FileMode, Ownership};
use crate::base::path_script;
use crate::model::{
    Action, Change, DisplayValue, HostAnswers, HostContext, InvalidField, Observation, PathState,
    PathType, ProbeError, Query, Refusal, ResourceKind, Step,
};

/// A directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryResource {
    /// Absolute path.
    path: AbsolutePath,
    /// Owner, by name or number. Default `root`.
    #[serde(default = "AccountRef::root")]
    owner: AccountRef,
    /// Group, by name or number. Default `root`.
    #[serde(default = "AccountRef::root")]
    group: AccountRef,
    /// Permission bits. Default `"0755"`.
    #[serde(default = "default_mode")]
    mode: FileMode,
    /// `"present"` (default) or `"absent"`.
    #[serde(default)]
    state: DesiredState,
    /// With `state = "absent"`: also remove the content, within the file system of the directory.
    /// Default `false`.
    #[serde(default)]
    recursive: bool,
}

fn default_mode() -> FileMode {
    FileMode(0o755)
}

/// Arguments: `$1` path, `$2` owner:group, `$3` mode.
const CREATE: &str = "make_directory \"$@\"\n";

/// Arguments: as for [`CREATE`].
const SET: &str = "set_directory \"$@\"\n";

const REMOVE: &str = "remove_directory \"$1\"\n";

const REMOVE_ALL: &str = "remove_tree \"$1\"\n";

impl ResourceKind for DirectoryResource {
    const NAME: &'static str = "directory";
    const IS_LOCAL: bool = true;
    type Observed = Option<PathState>;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn bind(&mut self, _context: &HostContext<'_>) -> Result<(), InvalidField> {
        if self.state == DesiredState::Absent && self.path.depth() < 2 {
            return Err(InvalidField::new(
                "path",
                format!("{} is a part of the system and is not removed", self.path),
            )
            .hint("name a directory below it"));
        }
        if self.recursive && self.state == DesiredState::Present {
            return Err(InvalidField::new(
                "recursive",
                "`recursive` is only valid with state = \"absent\"",
            )
            .hint("add state = \"absent\", or remove `recursive`"));
        }
        Ok(())
    }

    fn queries(&self) -> Vec<Query> {
        vec![Query::path(self.path.as_str())]
    }

    fn closed_directory(&self) -> Option<&str> {
        let closed = self.state == DesiredState::Present
            && self.owner.is("root", 0)
            && self.mode.0 & 0o022 == 0;
        closed.then_some(self.path.as_str())
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        Ok(Observation::Known(
            answers.path(self.path.as_str())?.cloned(),
        ))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        if let Some(other) = observed
            .as_ref()
            .filter(|path| path.kind != PathType::Directory)
        {
            let what = other.kind.with_article();
            return Err(Refusal {
                why: format!("{} is {what}, not a directory", self.path),
                hint: "move it away, or give the path of a directory".into(),
            });
        }
        Ok(match self.state {
            DesiredState::Present => self.plan_present(observed.as_ref()),
            DesiredState::Absent => observed.as_ref().map(|_| self.plan_absent()),
        })
    }
}

impl DirectoryResource {
    fn plan_present(&self, before: Option<&PathState>) -> Option<Change> {
        let path = self.path.as_str();
        let ownership = Ownership {
            owner: &self.owner,
            group: &self.group,
            mode: Some(self.mode),
        };
        let owners = ownership.owner_and_group();
        let arguments = [path.to_owned(), owners.clone(), self.mode.argument()];
        if before.is_none() {
            let change = Change::new(Action::Create).field(
                "path",
                DisplayValue::Absent,
                DisplayValue::text(path),
            );
            let summary = format!("make the directory {path}");
            let step = Step::script(summary, path_script(CREATE), arguments);
            let change = ownership.compare(None, change).keeping_content_of(path);
            return Some(change.step(step));
        }
        let change = ownership.compare(before, Change::new(Action::Update));
        let summary = format!("set owner {owners} and mode {} on {path}", self.mode);
        let step = Step::script(summary, path_script(SET), arguments);
        (!change.fields.is_empty()).then(|| change.keeping_content_of(path).step(step))
    }

    fn plan_absent(&self) -> Change {
        let path = self.path.as_str();
        let change = Change::new(Action::Delete).field(
            "path",
            DisplayValue::text(path),
            DisplayValue::Absent,
        );
        let change = change.altering(path);
        if self.recursive {
            return change
                .step(Step::script(
                    format!("remove {path} with its content"),
                    path_script(REMOVE_ALL),
                    [path],
                ))
                .note("its content is lost");
        }
        change.step(Step::script(
            format!("remove the empty directory {path}"),
            path_script(REMOVE),
            [path],
        ))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial::{self, HOSTILE_NAMES, ScratchFolder};
    use super::*;

    fn state(kind: PathType, mode: u32) -> HostAnswers {
        HostAnswers::default().with(Query::path("/srv/data"), trial::path_answer(kind, mode))
    }

    #[test]
    fn plans_only_differences() {
        let directory: DirectoryResource =
            trial::kind("path = '/srv/data'\nowner = '999'\nmode = '0750'");
        let absent = HostAnswers::default().with(
            Query::path("/srv/data"),
            crate::model::QueryAnswer::Path(None),
        );
        let change = trial::plan(&directory, &absent).unwrap();
        assert_eq!(change.action, Action::Create);
        assert_eq!(
            trial::fields(&change),
            [
                "path: - => /srv/data",
                "owner: - => 999",
                "group: - => root",
                "mode: - => 0750"
            ]
        );
        let drifted = trial::plan(&directory, &state(PathType::Directory, 0o700)).unwrap();
        assert_eq!(drifted.action, Action::Update);
        assert_eq!(
            trial::fields(&drifted),
            ["owner: 0 => 999", "mode: 0700 => 0750"]
        );

        let plain: DirectoryResource = trial::kind("path = '/srv/data'");
        assert!(trial::plan(&plain, &state(PathType::Directory, 0o755)).is_none());
        let refusal = trial::refusal(&plain, &state(PathType::Symlink, 0o777));
        assert!(refusal.why.contains("symbolic link"), "{refusal}");
    }

    #[test]
    fn a_directory_is_closed_if_only_root_may_write_in_it() {
        for (rest, closed) in [
            ("", true),
            ("owner = '0'\nmode = '0700'", true),
            ("mode = '0775'", false),
            ("mode = '1777'", false),
            ("owner = 'alice'", false),
            ("state = 'absent'", false),
        ] {
            let directory: DirectoryResource = trial::kind(&format!("path = '/srv/data'\n{rest}"));
            assert_eq!(
                directory.closed_directory(),
                closed.then_some("/srv/data"),
                "{rest}"
            );
        }
    }

    #[test]
    fn absent_removes_the_directory() {
        let directory: DirectoryResource = trial::kind("path = '/srv/data'\nstate = 'absent'");
        let change = trial::plan(&directory, &state(PathType::Directory, 0o755)).unwrap();
        assert_eq!(
            (change.action, trial::scripts(&change)),
            (Action::Delete, vec![path_script(REMOVE)])
        );
        let absent = HostAnswers::default().with(
            Query::path("/srv/data"),
            crate::model::QueryAnswer::Path(None),
        );
        assert!(trial::plan(&directory, &absent).is_none());
    }

    #[test]
    fn bad_input_is_refused() {
        for (table, word) in [
            ("path = 'srv'", "absolute"),
            ("path = '/srv'\nmode = '999'", "octal"),
            ("path = '/srv'\nowner = 'a b'", "name of a user"),
            ("path = '/srv'\ncolour = 'red'", "unknown field"),
            (
                "path = '/etc'\nstate = 'absent'\nrecursive = true",
                "part of the system",
            ),
            ("path = '/srv/x'\nrecursive = true", "recursive"),
            ("path = \"/srv/a\\nb\"", "control character"),
        ] {
            let error = trial::invalid::<DirectoryResource>(table);
            assert!(error.contains(word), "{table}: {error}");
        }
    }

    #[test]
    fn steps_succeed_with_hostile_names() {
        let scratch = ScratchFolder::new();
        for name in HOSTILE_NAMES {
            let path = scratch.path(&format!("parent {name}/{name}"));
            let table = format!(
                "path = {}\nmode = '2750'\n{}",
                trial::quoted(&path),
                scratch.owners()
            );
            let directory: DirectoryResource = trial::kind(&table);
            trial::settle(&directory, &path);
            let path_state = trial::look(&path).unwrap();
            assert_eq!(
                (path_state.kind, path_state.mode),
                (PathType::Directory, 0o2750)
            );
            // The set-group-ID bit is cleared, although chmod(1) would keep it for `750`.
            let directory: DirectoryResource = trial::kind(&table.replace("2750", "0750"));
            trial::settle(&directory, &path);
            assert_eq!(trial::look(&path).unwrap().mode, 0o750);
            let directory: DirectoryResource = trial::kind(&format!(
                "path = {}\nstate = 'absent'",
                trial::quoted(&path)
            ));
            trial::settle(&directory, &path);
            assert!(trial::look(&path).is_none());
        }
    }

    #[test]
    fn removes_a_full_directory_only_with_recursive() {
        let scratch = ScratchFolder::new();
        let path = scratch.path("full");
        std::fs::create_dir(&path).unwrap();
        std::fs::write(format!("{path}/file"), "x").unwrap();
        let table = format!("path = {}\nstate = 'absent'", trial::quoted(&path));
        let careful: DirectoryResource = trial::kind(&table);
        let answers = HostAnswers::default().with(
            Query::path(&path),
            crate::model::QueryAnswer::Path(trial::look(&path)),
        );
        let change = trial::plan(&careful, &answers).unwrap();
        assert!(trial::perform(&change).unwrap_err().contains("not empty"));
        assert!(trial::look(&path).is_some());
        trial::settle(
            &trial::kind::<DirectoryResource>(&format!("{table}\nrecursive = true")),
            &path,
        );
        assert!(trial::look(&path).is_none());
    }
}
