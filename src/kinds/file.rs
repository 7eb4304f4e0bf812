//! `file`: a regular file with its whole content, owner, group and mode. The file is replaced in
//! one move; if only its owner or mode differ, the content is not written again.

use serde::Deserialize;

use super::{AbsolutePath, AccountRef, DesiredState, FileMode, Ownership};
use crate::base::path_script;
use crate::model::{
    Action, CONTENT_LIMIT, Change, DisplayValue, HostAnswers, HostContext, InvalidField,
    Observation, Operation, PathState, PathType, ProbeError, Query, Refusal, ResourceKind, Step,
    WriteFile,
};

/// A regular file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileResource {
    /// Absolute path.
    path: AbsolutePath,
    /// Content as text. Exactly one of `content`, `template` and `source` is required.
    content: Option<String>,
    /// Template below `templates/`, rendered with the host's variables.
    template: Option<String>,
    /// File beside the playbook, taken byte for byte.
    source: Option<String>,
    /// Owner, by name or number. Default `root`.
    #[serde(default = "AccountRef::root")]
    owner: AccountRef,
    /// Group, by name or number. Default `root`.
    #[serde(default = "AccountRef::root")]
    group: AccountRef,
    /// Permission bits. Default `"0644"`.
    #[serde(default = "default_mode")]
    mode: FileMode,
    /// Treat the content as secret: it is compared, but never shown. Default `false`.
    #[serde(default)]
    secret: bool,
    /// Replace a symbolic link at this path; the target of the link is kept. Default `false`.
    #[serde(default)]
    force: bool,
    /// `"present"` (default) or `"absent"`.
    #[serde(default)]
    state: DesiredState,
    /// Content from any of the sources; set by [`ResourceKind::bind`].
    #[serde(skip)]
    wanted: Vec<u8>,
}

fn default_mode() -> FileMode {
    FileMode(0o644)
}

const REMOVE: &str = "remove_file \"$1\"\n";

/// Arguments: `$1` path, `$2` owner:group, `$3` mode, `$4` number of bytes of the content on
/// standard input.
const SET: &str = "set_file \"$@\"\n";

impl ResourceKind for FileResource {
    const NAME: &'static str = "file";
    const IS_LOCAL: bool = true;
    type Observed = Option<PathState>;

    fn name(&self) -> String {
        self.path.to_string()
    }

    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        let given = [
            self.content.is_some(),
            self.template.is_some(),
            self.source.is_some(),
        ];
        let given = given.into_iter().filter(|given| *given).count();
        if self.state == DesiredState::Absent {
            return match given {
                0 => Ok(()),
                _ => Err(InvalidField::new(
                    "state",
                    "a file with state = \"absent\" has no content",
                )
                .hint(
                    "remove `content`, `template` and `source`, or the line `state = \"absent\"`",
                )),
            };
        }
        self.wanted = match (self.content.take(), &self.template, &self.source) {
            (Some(content), None, None) => content.into_bytes(),
            (None, Some(template), None) => context.files.template(template)?.into_bytes(),
            (None, None, Some(source)) => context.files.source(source)?,
            _ => {
                return Err(InvalidField::new("content", format!("a file has one content, but {given} are given"))
                    .hint("give exactly one of `content`, `template` and `source`; an empty file has content = \"\""));
            }
        };
        if self.wanted.len() as u64 > CONTENT_LIMIT {
            let message = format!(
                "the content has {} bytes; skep compares up to {CONTENT_LIMIT}",
                self.wanted.len()
            );
            return Err(InvalidField::new("source", message)
                .hint("let the host fetch it with a `command` and `creates`"));
        }
        Ok(())
    }

    fn swarm_conflict(&self) -> Option<String> {
        let setting = super::engine_settings::incompatible_file(self.path.as_str(), &self.wanted);
        setting.map(str::to_owned)
    }

    fn queries(&self) -> Vec<Query> {
        match self.state {
            DesiredState::Present => vec![Query::content(self.path.as_str())],
            DesiredState::Absent => vec![Query::path(self.path.as_str())],
        }
    }

    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError> {
        let path = answers.path(self.path.as_str())?.cloned();
        let unread = path.as_ref().is_some_and(|path| {
            path.kind == PathType::File && path.content.is_none() && path.size <= CONTENT_LIMIT
        });
        if unread && self.state == DesiredState::Present {
            return Err(ProbeError::Unusable(format!(
                "the content of {} could not be read",
                self.path
            )));
        }
        Ok(Observation::Known(path))
    }

    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal> {
        let file = observed.as_ref().filter(|path| path.kind == PathType::File);
        let link = observed
            .as_ref()
            .filter(|path| path.kind == PathType::Symlink);
        match (self.state, observed) {
            (DesiredState::Absent, None) => Ok(None),
            (DesiredState::Absent, Some(path)) if file.is_some() || link.is_some() => {
                Ok(Some(self.plan_absent(path)))
            }
            (DesiredState::Present, None) => Ok(self.plan_present(None)),
            (DesiredState::Present, Some(_)) if file.is_some() => Ok(self.plan_present(file)),
            (DesiredState::Present, Some(link)) if link.kind == PathType::Symlink && self.force => {
                Ok(Some(self.plan_over_link(link)))
            }
            (_, Some(other)) => Err(self.refuse(other)),
        }
    }
}

impl FileResource {
    fn ownership(&self) -> Ownership<'_> {
        Ownership {
            owner: &self.owner,
            group: &self.group,
            mode: Some(self.mode),
        }
    }

    fn shown(&self, content: &[u8]) -> DisplayValue {
        if self.secret {
            DisplayValue::Secret
        } else {
            DisplayValue::content(content)
        }
    }

    fn write(&self) -> Step {
        Step {
            summary: format!("write {}", self.path),
            act: Operation::WriteFile(WriteFile {
                path: self.path.to_string(),
                content: self.wanted.clone(),
                owner: self.owner.to_string(),
                group: self.group.to_string(),
                mode: self.mode.0,
            }),
        }
    }

    /// Returns the step that sets owner and mode. It has the content, because a file in a directory
    /// of another account is written anew.
    fn set(&self) -> Step {
        let owners = self.ownership().owner_and_group();
        let arguments = [
            self.path.to_string(),
            owners.clone(),
            self.mode.argument(),
            self.wanted.len().to_string(),
        ];
        let summary = format!("set owner {owners} and mode {} on {}", self.mode, self.path);
        Step::script(summary, path_script(SET), arguments).with_stdin(self.wanted.clone())
    }

    fn plan_present(&self, before: Option<&PathState>) -> Option<Change> {
        let action = if before.is_none() {
            Action::Create
        } else {
            Action::Update
        };
        let same = before.is_some_and(|file| file.content.as_ref() == Some(&self.wanted));
        let mut change = Change::new(action);
        if !same {
            let shown = match before {
                None => DisplayValue::Absent,
                Some(PathState {
                    content: Some(content),
                    ..
                }) => self.shown(content),
                Some(large) => DisplayValue::text(format!("({} bytes)", large.size)),
            };
            change = change.field("content", shown, self.shown(&self.wanted));
        }
        let change = self.ownership().compare(before, change);
        if change.fields.is_empty() {
            return None;
        }
        let change = change.altering(self.path.as_str());
        Some(change.step(if same { self.set() } else { self.write() }))
    }

    fn plan_over_link(&self, link: &PathState) -> Change {
        let target = link.target.as_deref().unwrap_or_default();
        Change::new(Action::Update)
            .field(
                "content",
                DisplayValue::text(format!("a link to {target}")),
                self.shown(&self.wanted),
            )
            .step(self.write())
            .note(format!(
                "the link is replaced; its target {target} stays as it is"
            ))
    }

    fn plan_absent(&self, path: &PathState) -> Change {
        let before = match &path.target {
            Some(target) => format!("a link to {target}"),
            None => format!("{} bytes", path.size),
        };
        Change::new(Action::Delete)
            .field("content", DisplayValue::text(before), DisplayValue::Absent)
            .altering(self.path.as_str())
            .step(Step::script(
                format!("remove {}", self.path),
                path_script(REMOVE),
                [self.path.as_str()],
            ))
    }

    fn refuse(&self, other: &PathState) -> Refusal {
        let hint = match other.kind {
            PathType::Symlink => {
                "give the path of its target, or set force = true to replace the link"
            }
            _ => "move it away, or give the path of a regular file",
        };
        Refusal {
            why: format!("{} is {}, not a file", self.path, other.kind.with_article()),
            hint: hint.into(),
        }
    }
}

// Written by hand, because the content may be secret and must not reach a log through `{:?}`.
impl std::fmt::Debug for FileResource {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            formatter,
            "File({:?}, {} bytes)",
            self.path,
            self.wanted.len()
        )
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use super::super::trial::{self, HOSTILE_NAMES, ScratchFolder, TrialFiles};
    use super::*;
    use crate::model::{HostAnswers, QueryAnswer};

    fn at(answer: QueryAnswer) -> HostAnswers {
        HostAnswers::default()
            .with(Query::content("/etc/x"), answer.clone())
            .with(Query::path("/etc/x"), answer)
    }

    fn steps(change: &Change) -> Vec<bool> {
        change
            .steps
            .iter()
            .map(|step| matches!(step.act, Operation::WriteFile(_)))
            .collect()
    }

    #[test]
    fn plans_only_differences() {
        let file: FileResource = trial::kind("path = '/etc/x'\ncontent = \"new\\n\"");
        let create = trial::plan(&file, &at(QueryAnswer::Path(None))).unwrap();
        assert_eq!(create.action, Action::Create);
        assert_eq!(
            trial::fields(&create),
            [
                "content: - => new\n",
                "owner: - => root",
                "group: - => root",
                "mode: - => 0644"
            ]
        );
        assert!(trial::plan(&file, &at(trial::file_answer("new\n"))).is_none());
        let update = trial::plan(&file, &at(trial::file_answer("old\n"))).unwrap();
        assert_eq!(
            (trial::fields(&update), steps(&update)),
            (vec!["content: old\n => new\n".into()], vec![true])
        );
    }

    #[test]
    fn sets_the_mode_without_writing_the_content() {
        let file: FileResource = trial::kind("path = '/etc/x'\ncontent = 'new'\nmode = '0600'");
        let update = trial::plan(&file, &at(trial::file_answer("new"))).unwrap();
        assert_eq!(
            (trial::fields(&update), steps(&update)),
            (vec!["mode: 0644 => 0600".into()], vec![false])
        );
    }

    #[test]
    fn a_secret_is_never_shown() {
        let file: FileResource = trial::kind("path = '/etc/x'\ncontent = 'hunter2'\nsecret = true");
        for before in ["hunter1", ""] {
            let change = trial::plan(&file, &at(trial::file_answer(before))).unwrap();
            assert_eq!(trial::fields(&change), ["content: (secret) => (secret)"]);
            assert!(!format!("{change:?}{file:?}").contains("hunter"));
        }
    }

    #[test]
    fn refuses_a_path_that_is_not_a_file() {
        let file: FileResource = trial::kind("path = '/etc/x'\ncontent = ''");
        let link = PathState {
            target: Some("/y".into()),
            ..trial::path_state(PathType::Symlink, 0o777)
        };
        let link = at(QueryAnswer::Path(Some(link)));
        assert!(trial::refusal(&file, &link).hint.contains("force"));
        trial::refusal(&file, &at(trial::path_answer(PathType::Directory, 0o755)));
        let forced: FileResource = trial::kind("path = '/etc/x'\ncontent = ''\nforce = true");
        assert_eq!(
            trial::fields(&trial::plan(&forced, &link).unwrap()),
            ["content: a link to /y => "]
        );
        trial::refusal(&forced, &at(trial::path_answer(PathType::Other, 0o644)));
    }

    #[test]
    fn too_large_content_differs_and_unread_content_is_an_error() {
        let file: FileResource = trial::kind("path = '/etc/x'\ncontent = 'x'");
        let size = |size| {
            QueryAnswer::Path(Some(PathState {
                size,
                ..trial::path_state(PathType::File, 0o644)
            }))
        };
        let change = trial::plan(&file, &at(size(CONTENT_LIMIT + 1))).unwrap();
        assert_eq!(trial::fields(&change), ["content: (1048577 bytes) => x"]);
        assert!(ResourceKind::observe(&file, &at(size(1))).is_err());
    }

    #[test]
    fn content_has_exactly_one_source() {
        let files = TrialFiles([("motd", b"hello".to_vec())].into());
        for table in ["source = 'motd'", "template = 'motd'"] {
            let file: FileResource = trial::kind_with(&format!("path = '/etc/x'\n{table}"), &files);
            assert!(trial::plan(&file, &at(trial::file_answer("hello"))).is_none());
        }
        for (table, word) in [
            ("path = '/etc/x'", "0 are given"),
            (
                "path = '/etc/x'\ncontent = ''\nsource = 'motd'",
                "2 are given",
            ),
            ("path = '/etc/x'\ncontent = ''\nstate = 'absent'", "absent"),
            ("path = '/etc/x'\nsource = 'nowhere'", "no source"),
            ("path = '/etc/x'\ncontent = ''\nmode = 'rw-'", "octal"),
            ("path = '/etc/../x'\ncontent = ''", ".."),
        ] {
            let error = trial::invalid::<FileResource>(table);
            assert!(error.contains(word), "{table}: {error}");
        }
    }

    #[test]
    fn steps_succeed_with_hostile_names() {
        let scratch = ScratchFolder::new();
        for name in HOSTILE_NAMES {
            let path = scratch.path(name);
            let table = format!(
                "path = {0}\ncontent = {0}\n{1}",
                trial::quoted(&path),
                scratch.owners()
            );
            trial::settle(&trial::kind::<FileResource>(&table), &path);
            trial::settle(
                &trial::kind::<FileResource>(&format!("{table}\nmode = '4750'")),
                &path,
            );
            assert_eq!(std::fs::read_to_string(&path).unwrap(), path);
            trial::settle(
                &trial::kind::<FileResource>(&format!(
                    "path = {}\nstate = 'absent'",
                    trial::quoted(&path)
                )),
                &path,
            );
        }
        assert_eq!(scratch.entries(), Vec::<String>::new());
    }
}
