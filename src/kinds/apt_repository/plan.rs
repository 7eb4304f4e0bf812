//! Plans the change of a repository: the host first tries the new source with its key, and then
//! puts key and source in place and removes older entries. All of this is one step, so that a
//! repository that apt cannot use changes nothing.

use super::super::FileMode;
use super::super::apt::apt_step;
use super::leftover::{self, RepositoryIdentity, SourceFileEdit};
use super::{AptRepositoryResource, AptRepositoryState, RepositoryKey, key};
use crate::base::path_script;
use crate::model::{Action, Change, DisplayValue, HostFacts, PathState, Refusal, Step, sha256};

const INSTALL: &str = include_str!("install.sh");

/// Removes all its arguments.
const REMOVE: &str = "for file do remove_file \"$file\"; done\n";

const MODE: FileMode = FileMode(0o644);

/// Start of the line in the source file that holds the digest of the fetched key.
const DIGEST: &str = "# Key: sha256:";

/// Parts of the step that installs a repository.
#[derive(Default)]
struct InstallParts {
    summaries: Vec<String>,
    /// `none`, `keep`, `fetch`, or the number of bytes of a given key.
    key_from: String,
    url: String,
    fingerprints: Vec<String>,
    /// Arguments for older entries.
    older: Vec<String>,
    input: Vec<u8>,
}

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
            .filter(|old| !named(&path, &observed.files, &leftovers, old))
            .cloned(),
    );
    old_keys.sort();
    old_keys.dedup();

    let action = if observed.sources.is_none() {
        Action::Create
    } else {
        Action::Update
    };
    let content = repository.sources(facts);
    let mut parts = InstallParts {
        key_from: "none".into(),
        input: content.clone().into_bytes(),
        ..InstallParts::default()
    };
    let change = with_key(repository, observed, Change::new(action), &mut parts);
    let mut change = with_source(
        change,
        &path,
        observed.sources.as_ref(),
        &content,
        &mut parts,
    );
    for one in leftovers {
        change = without_leftover(change, one, &mut parts);
    }
    for old in old_keys {
        change = change.field(
            format!("old key {old}"),
            DisplayValue::text("present"),
            DisplayValue::Absent,
        );
        parts.summaries.push(format!("remove the old key {old}"));
        parts.older.extend(["remove".into(), old]);
    }
    if observed.fetched == Some(false) {
        change = change.field(
            "package lists",
            DisplayValue::Absent,
            DisplayValue::text("fetched"),
        );
    }
    if change.fields.is_empty() {
        return Ok(None);
    }
    if let Some(warning) = repository.unsafe_key() {
        change = change.note(warning);
    }
    let altered = parts.older.iter().filter(|word| word.starts_with('/'));
    let altered: Vec<String> = altered.cloned().collect();
    change = [repository.sources_path()]
        .into_iter()
        .chain(repository.key_path())
        .chain(altered)
        .chain(APT_FOLDERS.map(str::to_owned))
        .fold(change, Change::altering);
    Ok(Some(change.step(parts.step(repository, content.len()))))
}

/// Folders that apt writes when it fetches package lists.
const APT_FOLDERS: [&str; 2] = ["/var/lib/apt", "/var/cache/apt"];

impl InstallParts {
    fn step(self, repository: &AptRepositoryResource, source_bytes: usize) -> Step {
        let mut summaries = self.summaries;
        summaries.push(format!("fetch the package lists of {}", repository.name));
        let arguments = [
            repository.sources_path(),
            source_bytes.to_string(),
            repository.key_path().unwrap_or_default(),
            self.key_from,
            self.url,
            self.fingerprints.join(" "),
            self.input.len().to_string(),
        ];
        let arguments = arguments.into_iter().chain(self.older);
        apt_step(summaries.join(", "), path_script(INSTALL), arguments).with_stdin(self.input)
    }
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
    let own = repository.sources_path();
    for key in &observed.old_keys {
        // Another source still needs this key.
        if named(&own, &observed.files, &[], key) {
            continue;
        }
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

/// Returns true if a source that stays names the key. The repository's own file does not count,
/// because it is rewritten with its new key, or removed.
fn named(
    own: &str,
    files: &[super::AptSourceFile],
    leftovers: &[SourceFileEdit],
    key: &str,
) -> bool {
    let edit = |path: &str| leftovers.iter().find(|one| one.path == path);
    files.iter().any(|file| match edit(&file.path) {
        Some(one) => one.after.as_ref().is_some_and(|after| after.contains(key)),
        None => file.path != own && file.content.contains(key),
    })
}

fn with_key(
    repository: &AptRepositoryResource,
    observed: &AptRepositoryState,
    change: Change,
    parts: &mut InstallParts,
) -> Change {
    let (Some(wanted), Some(path)) = (&repository.bound_key, repository.key_path()) else {
        return change;
    };
    let before = observed.key.as_ref();
    let content = before.and_then(|key| key.content.as_deref());
    match wanted {
        RepositoryKey::Given(bytes) => {
            parts.key_from = bytes.len().to_string();
            parts.input.extend(bytes);
            let digest = |bytes: &[u8]| DisplayValue::text(format!("sha256:{}", sha256(bytes)));
            if content == Some(bytes) {
                return with_mode(change, "mode of the key", before);
            }
            parts.summaries.push(format!("write the key {path}"));
            let shown = before.map_or(DisplayValue::Absent, |_| {
                digest(content.unwrap_or_default())
            });
            change.field("key", shown, digest(bytes))
        }
        RepositoryKey::Fetched { url, fingerprints } => {
            parts.url.clone_from(url);
            parts.fingerprints.clone_from(fingerprints);
            let digest = recorded_digest(observed.sources.as_ref());
            let shown = match before.filter(|key| key.size > 0) {
                None => DisplayValue::Absent,
                Some(_) => {
                    match key::replaced(
                        content.unwrap_or_default(),
                        fingerprints,
                        digest.as_deref(),
                    ) {
                        Some(why) => DisplayValue::text(why),
                        None => {
                            parts.key_from = "keep".into();
                            return with_mode(change, "mode of the key", before);
                        }
                    }
                }
            };
            parts.key_from = "fetch".into();
            parts
                .summaries
                .push(format!("fetch the key {url} into {path}"));
            change.field("key", shown, DisplayValue::text(url))
        }
    }
}

/// Returns the digest of the key that the source file has recorded.
fn recorded_digest(sources: Option<&PathState>) -> Option<String> {
    let content = sources?.content.as_deref()?;
    let text = String::from_utf8_lossy(content);
    text.lines()
        .find_map(|line| line.strip_prefix(DIGEST))
        .map(|digest| digest.trim().to_owned())
}

/// Adds the difference of a file's mode. Apt reads its files under its own account, which cannot
/// read a file of mode 0600.
fn with_mode(change: Change, field: &str, before: Option<&PathState>) -> Change {
    match before.filter(|file| file.mode != MODE.0) {
        Some(file) => change.field(
            field,
            DisplayValue::text(FileMode(file.mode).to_string()),
            DisplayValue::text(MODE.to_string()),
        ),
        None => change,
    }
}

fn with_source(
    change: Change,
    path: &str,
    before: Option<&PathState>,
    content: &str,
    parts: &mut InstallParts,
) -> Change {
    let old = before.and_then(|file| file.content.as_deref());
    // The line about the key is known only after the key was fetched.
    let old = old.map(|old| {
        let text = String::from_utf8_lossy(old);
        text.split_inclusive('\n')
            .filter(|line| !line.starts_with(DIGEST))
            .collect::<String>()
    });
    let change = with_mode(change, "mode", before);
    if old.as_deref() == Some(content) {
        return change;
    }
    parts.summaries.push(format!("write {path}"));
    change.field(
        path,
        old.map_or(DisplayValue::Absent, |old| {
            DisplayValue::content(old.as_bytes())
        }),
        DisplayValue::content(content.as_bytes()),
    )
}

fn without_leftover(change: Change, leftover: SourceFileEdit, parts: &mut InstallParts) -> Change {
    let path = leftover.path;
    let before = DisplayValue::content(leftover.before.as_bytes());
    match leftover.after {
        None => {
            parts
                .summaries
                .push(format!("remove the older entry {path}"));
            parts.older.extend(["remove".into(), path.clone()]);
            change.field(&path, before, DisplayValue::Absent)
        }
        Some(after) => {
            parts
                .summaries
                .push(format!("remove the older entry from {path}"));
            parts
                .older
                .extend(["write".into(), path.clone(), after.len().to_string()]);
            parts.input.extend(after.as_bytes());
            change.field(&path, before, DisplayValue::content(after.as_bytes()))
        }
    }
}
