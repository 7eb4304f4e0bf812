//! Plans the change of a repository: first the key, then the source, then the removal of older
//! entries, then the package lists.

use super::super::FileMode;
use super::super::apt::apt_step;
use super::leftover::{self, RepositoryIdentity, SourceFileEdit};
use super::{AptRepositoryResource, AptRepositoryState, KEYRINGS, RepositoryKey, key};
use crate::base::path_script;
use crate::model::{
    Action, Change, DisplayValue, HostFacts, Operation, PathState, Refusal, Step, WriteFile, sha256,
};

/// Fetches only the lists of the repository's file `$1`; every warning about them is an error. `$2`
/// is `new` if the file was just created: if apt cannot use such a file, the script removes it
/// again, because it would fail every later `apt-get update`.
const UPDATE: &str = r#"patiently apt-get -q -o Dir::Etc::sourcelist="$1" -o Dir::Etc::sourceparts=- \
  -o APT::Get::List-Cleanup=0 -o APT::Update::Error-Mode=any update || {
  status=$?
  [ "$2" != new ] || rm -f -- "$1"
  exit "$status"
}
"#;

/// Removes all its arguments.
const REMOVE: &str = "for file do remove_file \"$file\"; done\n";

const KEYRINGS_FOLDER: &str = "ensure_directory \"$1\" 0:0 0755\n";

const MODE: FileMode = FileMode(0o644);

/// Returns the change that creates or updates the repository, if any.
///
/// # Errors
/// [`Refusal`] when a paragraph names this repository together with others.
pub(super) fn present(
    repository: &AptRepositoryResource,
    observed: &AptRepositoryState,
    facts: &HostFacts,
) -> Result<Option<Change>, Refusal> {
    let path = repository.sources_path();
    let list = repository.list_path();
    let wanted = RepositoryIdentity {
        file: &path,
        list: &list,
        uri: &repository.uri,
        suite: repository.suite(facts),
    };
    let (leftovers, mut old_keys) = leftover::find(&observed.files, wanted)?;
    old_keys.retain(|old| Some(old) != repository.key_path().as_ref());
    old_keys.extend(
        observed
            .old_keys
            .iter()
            .filter(|old| !named(&observed.files, &leftovers, old))
            .cloned(),
    );
    old_keys.sort();
    old_keys.dedup();

    let action = if observed.sources.is_none() {
        Action::Create
    } else {
        Action::Update
    };
    let mut change = with_key(repository, observed, Change::new(action));
    let content = repository.sources(facts);
    change = with_file(change, &path, observed.sources.as_ref(), content.as_bytes());
    for one in leftovers {
        change = without_leftover(change, one);
    }
    for old in &old_keys {
        change = change
            .field(
                format!("old key {old}"),
                DisplayValue::text("present"),
                DisplayValue::Absent,
            )
            .step(Step::script(
                format!("remove the old key {old}"),
                path_script(REMOVE),
                [old],
            ));
    }
    let unfetched = observed.fetched == Some(false);
    if unfetched {
        change = change.field(
            "package lists",
            DisplayValue::Absent,
            DisplayValue::text("fetched"),
        );
    }
    if change.fields.is_empty() {
        return Ok(None);
    }
    let age = if observed.sources.is_none() {
        "new"
    } else {
        "old"
    };
    Ok(Some(change.step(apt_step(
        format!("fetch the package lists of {}", repository.name),
        UPDATE,
        [path, age.to_owned()],
    ))))
}

/// Returns the change that removes the repository's own files, if any.
pub(super) fn absent(
    repository: &AptRepositoryResource,
    observed: &AptRepositoryState,
) -> Option<Change> {
    let mut change = Change::new(Action::Delete);
    let mut paths = Vec::new();
    if let Some(sources) = &observed.sources {
        let before = DisplayValue::content(sources.content.as_deref().unwrap_or_default());
        change = change.field(repository.sources_path(), before, DisplayValue::Absent);
        paths.push(repository.sources_path());
    }
    for key in &observed.old_keys {
        change = change.field(key, DisplayValue::text("present"), DisplayValue::Absent);
        paths.push(key.clone());
    }
    let step = Step::script(
        format!("remove {}", paths.join(", ")),
        path_script(REMOVE),
        &paths,
    );
    (!paths.is_empty()).then(|| change.step(step))
}

/// Returns true if a source that stays names the key.
fn named(files: &[super::AptSourceFile], leftovers: &[SourceFileEdit], key: &str) -> bool {
    let own = |path: &str| leftovers.iter().find(|one| one.path == path);
    files.iter().any(|file| match own(&file.path) {
        Some(one) => one.after.as_ref().is_some_and(|after| after.contains(key)),
        // The repository's own file does not count, because it is rewritten with its new key.
        None => file.content.contains(key) && !file.content.starts_with("# Managed by skep"),
    })
}

fn with_key(
    repository: &AptRepositoryResource,
    observed: &AptRepositoryState,
    change: Change,
) -> Change {
    let (Some(wanted), Some(path)) = (&repository.bound_key, repository.key_path()) else {
        return change;
    };
    let change = match &observed.keyrings {
        Some(_) => change,
        None => change.step(Step::script(
            format!("make the directory {KEYRINGS}"),
            path_script(KEYRINGS_FOLDER),
            [KEYRINGS],
        )),
    };
    let before = observed.key.as_ref();
    match wanted {
        RepositoryKey::Given(bytes) => {
            let digest = |bytes: &[u8]| DisplayValue::text(format!("sha256:{}", sha256(bytes)));
            let same =
                before.is_some_and(|key| key.content.as_ref() == Some(bytes) && key.mode == MODE.0);
            if same {
                return change;
            }
            let shown = before.map_or(DisplayValue::Absent, |key| {
                digest(key.content.as_deref().unwrap_or_default())
            });
            change
                .field("key", shown, digest(bytes))
                .step(write(&path, bytes))
        }
        RepositoryKey::Fetched(url) => match before.filter(|key| key.size > 0) {
            None => change
                .field("key", DisplayValue::Absent, DisplayValue::text(url))
                .step(key::fetch(url, &path)),
            // Apt reads keys under its own account, which cannot read a key of mode 0600.
            Some(key) if key.mode != MODE.0 => change
                .field(
                    "mode of the key",
                    DisplayValue::text(FileMode(key.mode).to_string()),
                    DisplayValue::text(MODE.to_string()),
                )
                .step(Step::script(
                    format!("make {path} readable"),
                    path_script("keep_file \"$1\" - 0644\n"),
                    [path],
                )),
            Some(_) => change,
        },
    }
}

fn with_file(change: Change, path: &str, before: Option<&PathState>, content: &[u8]) -> Change {
    let old = before.and_then(|file| file.content.as_deref());
    let mode = before.map_or(MODE.0, |file| file.mode);
    let mut change = change;
    if old != Some(content) {
        change = change.field(
            path,
            old.map_or(DisplayValue::Absent, DisplayValue::content),
            DisplayValue::content(content),
        );
    }
    if mode != MODE.0 {
        let (before, after) = (FileMode(mode).to_string(), MODE.to_string());
        change = change.field(
            "mode",
            DisplayValue::text(before),
            DisplayValue::text(after),
        );
    }
    if old == Some(content) && mode == MODE.0 {
        change
    } else {
        change.step(write(path, content))
    }
}

fn without_leftover(change: Change, leftover: SourceFileEdit) -> Change {
    let path = leftover.path;
    let before = DisplayValue::content(leftover.before.as_bytes());
    match leftover.after {
        None => change
            .field(&path, before, DisplayValue::Absent)
            .step(Step::script(
                format!("remove the older entry {path}"),
                path_script(REMOVE),
                [path],
            )),
        Some(after) => change
            .field(&path, before, DisplayValue::content(after.as_bytes()))
            .step(write(&path, after.as_bytes())),
    }
}

fn write(path: &str, content: &[u8]) -> Step {
    let (path, content) = (path.to_owned(), content.to_vec());
    let root = || "root".to_owned();
    Step {
        summary: format!("write {path}"),
        act: Operation::WriteFile(WriteFile {
            path,
            content,
            owner: root(),
            group: root(),
            mode: MODE.0,
        }),
    }
}
