//! Shared helpers of the kinds' tests: create a kind from a table, plan, and perform steps for real
//! in a scratch folder with the same shell settings as on a host. Compiled for tests only.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use crate::inventory::Roster;
use crate::model::{
    Change, DisplayValue, Examination, ExamineError, FileLoader, HostAnswers, HostContext,
    InvalidField, Operation, PathState, PathType, Query, QueryAnswer, Refusal, Resource as _,
    ResourceKind, ShellQuery,
};
use crate::names::HostName;

/// File names that a careless script would run, expand or treat as an option.
pub(super) const HOSTILE_NAMES: &[&str] = &[
    "\"; touch pwned; \"",
    "$(touch pwned)",
    "`touch pwned`",
    "-rf",
    "--help",
    "a b  c",
    "it's",
    "*",
    "${HOME}",
    "\\n%s%n",
    "ä✓",
];

/// Sources and templates by name.
#[derive(Default)]
pub(super) struct TrialFiles(pub BTreeMap<&'static str, Vec<u8>>);

impl FileLoader for TrialFiles {
    fn source(&self, path: &str) -> Result<Vec<u8>, InvalidField> {
        self.0
            .get(path)
            .cloned()
            .ok_or_else(|| InvalidField::new("", format!("no source {path}")))
    }
    fn tree(&self, path: &str) -> Result<Vec<crate::model::TreeEntry>, InvalidField> {
        let prefix = format!("{path}/");
        let below = self
            .0
            .iter()
            .filter_map(|(name, content)| Some((name.strip_prefix(&prefix)?, content)));
        let entry = |(name, content): (&str, &Vec<u8>)| crate::model::TreeEntry {
            path: name.to_owned(),
            executable: false,
            content: crate::model::TreeContent::File(content.clone()),
        };
        let entries: Vec<_> = below.map(entry).collect();
        if entries.is_empty() {
            Err(InvalidField::new("", format!("no folder {path}")))
        } else {
            Ok(entries)
        }
    }
    fn archive(&self, path: &str) -> Result<Vec<u8>, InvalidField> {
        self.source(path)
    }
    fn template(&self, path: &str) -> Result<String, InvalidField> {
        self.source(path)
            .map(|bytes| String::from_utf8(bytes).unwrap())
    }
}

fn make<K: ResourceKind>(table: &str, files: &TrialFiles) -> Result<K, String> {
    let mut kind: K = toml::from_str(table).map_err(|error| error.to_string())?;
    let (host, roster) = (HostName::new("one"), Roster::default());
    let context = HostContext {
        host: &host,
        login_user: "vagrant",
        roster: &roster,
        files,
    };
    kind.bind(&context)
        .map_err(|error| format!("{error} ({})", error.hint.clone().unwrap_or_default()))?;
    Ok(kind)
}

/// Creates a kind from the text of its table.
pub(super) fn kind<K: ResourceKind>(table: &str) -> K {
    kind_with(table, &TrialFiles::default())
}

/// Like [`kind`], with files beside the playbook.
pub(super) fn kind_with<K: ResourceKind>(table: &str, files: &TrialFiles) -> K {
    make(table, files).unwrap_or_else(|error| panic!("{table}\n{error}"))
}

/// Returns the error message of an invalid table.
pub(super) fn invalid<K: ResourceKind>(table: &str) -> String {
    match make::<K>(table, &TrialFiles::default()) {
        Ok(_) => panic!("invalid, but accepted:\n{table}"),
        Err(error) => error,
    }
}

/// Returns the planned change, if any. Panics if the answers lack a query of the kind.
pub(super) fn plan<K: ResourceKind>(kind: &K, answers: &HostAnswers) -> Option<Change> {
    for query in ResourceKind::queries(kind) {
        assert!(
            answers.contains(&query),
            "the test has no answer for {query:?}"
        );
    }
    match kind.examine(answers).unwrap() {
        Examination::InSync => None,
        Examination::Differs(change) => {
            assert!(
                !change.fields.is_empty(),
                "a change without a field cannot be explained"
            );
            assert!(
                !change.steps.is_empty(),
                "a change without a step does nothing"
            );
            Some(change)
        }
        Examination::Needs(queries) => panic!("needs {queries:?}"),
    }
}

/// Returns the follow-up queries of a kind.
pub(super) fn needs<K: ResourceKind>(kind: &K, answers: &HostAnswers) -> Vec<Query> {
    match kind.examine(answers).unwrap() {
        Examination::Needs(queries) => queries,
        _ => panic!("needs nothing more"),
    }
}

/// Returns the refusal of a kind.
pub(super) fn refusal<K: ResourceKind>(kind: &K, answers: &HostAnswers) -> Refusal {
    match kind.examine(answers) {
        Err(ExamineError::Refused(refusal)) => refusal,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("not refused"),
    }
}

fn shown(value: &DisplayValue) -> String {
    match value {
        DisplayValue::Absent => "-".into(),
        DisplayValue::Text(text) | DisplayValue::Lines(text) => text.clone(),
        DisplayValue::Secret => "(secret)".into(),
        DisplayValue::KnownAfterApply => "?".into(),
    }
}

/// Returns `field: before => after` for each field.
pub(super) fn fields(change: &Change) -> Vec<String> {
    change
        .fields
        .iter()
        .map(|one| {
            format!(
                "{}: {} => {}",
                one.field,
                shown(&one.before),
                shown(&one.after)
            )
        })
        .collect()
}

/// Returns the text of every script of a change.
pub(super) fn scripts(change: &Change) -> Vec<String> {
    let script = |act: &Operation| {
        if let Operation::Script(script) = act {
            Some(script.script.to_string())
        } else {
            None
        }
    };
    change
        .steps
        .iter()
        .filter_map(|step| script(&step.act))
        .collect()
}

/// Returns the arguments of every script of a change.
pub(super) fn arguments(change: &Change) -> Vec<Vec<String>> {
    let arguments = |act: &Operation| {
        if let Operation::Script(script) = act {
            Some(script.arguments.clone())
        } else {
            None
        }
    };
    change
        .steps
        .iter()
        .filter_map(|step| arguments(&step.act))
        .collect()
}

pub(super) fn path_state(kind: PathType, mode: u32) -> PathState {
    let root = || "root".to_owned();
    let (owner, group) = (root(), root());
    PathState {
        kind,
        owner,
        uid: 0,
        group,
        gid: 0,
        mode,
        size: 0,
        modified: 0,
        target: None,
        content: None,
    }
}

pub(super) fn path_answer(kind: PathType, mode: u32) -> QueryAnswer {
    QueryAnswer::Path(Some(path_state(kind, mode)))
}

/// Returns the answer for a regular file of root with mode 0644 and this content.
pub(super) fn file_answer(content: &str) -> QueryAnswer {
    let size = content.len() as u64;
    QueryAnswer::Path(Some(PathState {
        size,
        content: Some(content.into()),
        ..path_state(PathType::File, 0o644)
    }))
}

/// Returns the text as a TOML basic string.
pub(super) fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Returns the state of a path of this machine.
pub(super) fn look(path: &str) -> Option<PathState> {
    let metadata = std::fs::symlink_metadata(path).ok()?;
    let kind = match metadata.file_type() {
        kind if kind.is_file() => PathType::File,
        kind if kind.is_dir() => PathType::Directory,
        kind if kind.is_symlink() => PathType::Symlink,
        _ => PathType::Other,
    };
    Some(PathState {
        kind,
        owner: metadata.uid().to_string(),
        uid: metadata.uid(),
        group: metadata.gid().to_string(),
        gid: metadata.gid(),
        mode: metadata.mode() & 0o7777,
        size: metadata.size(),
        modified: u64::try_from(metadata.mtime()).unwrap(),
        target: std::fs::read_link(path)
            .ok()
            .map(|target| target.to_str().unwrap().to_owned()),
        content: (kind == PathType::File).then(|| std::fs::read(path).unwrap()),
    })
}

/// Runs a script as the runner does on a host. Returns its stdout, or an error with its stderr when
/// it fails.
pub(super) fn run(
    script: &str,
    arguments: &[String],
    stdin: &[u8],
    environment: &[(&str, &str)],
) -> Result<String, String> {
    let text = format!("set -eu\nexport LC_ALL=C.UTF-8\numask 022\n{script}");
    let mut command = Command::new("/bin/sh");
    command
        .arg("-c")
        .arg(text)
        .arg("sh")
        .args(arguments)
        .envs(environment.iter().copied());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A script that reads no input may end before the input is written.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let output = child.wait_with_output().unwrap();
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!(
        "{}: {}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    ))
}

/// Performs every step of a change on this machine.
pub(super) fn perform(change: &Change) -> Result<(), String> {
    for step in &change.steps {
        match &step.act {
            Operation::Script(script) => {
                run(&script.script, &script.arguments, &script.stdin, &[])?;
            }
            Operation::WriteFile(file) => {
                let (script, arguments) = file.script();
                run(&script, &arguments, &file.content, &[])?;
            }
            other => panic!("{other:?} cannot be performed here"),
        }
    }
    Ok(())
}

/// Plans, performs and plans again: there must be a change first, and none afterwards.
pub(super) fn settle<K: ResourceKind>(kind: &K, path: &str) {
    let answers = || {
        let queries = ResourceKind::queries(kind);
        assert!(
            queries
                .iter()
                .all(|query| matches!(query, Query::Shell(ShellQuery::Path { path: asked, .. }) if asked == path))
        );
        queries
            .into_iter()
            .fold(HostAnswers::default(), |answers, query| {
                answers.with(query, QueryAnswer::Path(look(path)))
            })
    };
    let change = plan(kind, &answers()).expect("nothing to do");
    perform(&change).unwrap();
    if let Some(left) = plan(kind, &answers()) {
        panic!("differences left after the steps: {:?}", fields(&left));
    }
}

/// A folder that is removed at the end of the test.
pub(super) struct ScratchFolder(tempfile::TempDir);

impl ScratchFolder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
    pub(super) fn path(&self, name: &str) -> String {
        format!("{}/{name}", self.0.path().to_str().unwrap())
    }
    /// Returns TOML lines with `owner` and `group` of the account that runs the test.
    pub(super) fn owners(&self) -> String {
        let metadata = std::fs::metadata(self.0.path()).unwrap();
        format!("owner = '{}'\ngroup = '{}'", metadata.uid(), metadata.gid())
    }
    pub(super) fn entries(&self) -> Vec<String> {
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().file_name().into_string().unwrap()
        };
        std::fs::read_dir(self.0.path())
            .unwrap()
            .map(name)
            .collect()
    }
}
