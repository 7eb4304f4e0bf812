//! Loads playbooks and the files that they include. Included plays come first, in the order of
//! `include`. A file that is included several times runs once, at its first place, and all
//! playbooks that include it must give it the same variables.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::play::{FileContext, Play, read_tags};
use super::template::PlaybookFolder;
use super::variable_use::words_of;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::document::{FieldReader, TomlDocument, TomlNode, TomlValue};
use crate::inventory::{VariableDecl, VariableMap};

/// Plays in the order in which they run.
#[derive(Debug, Default)]
pub struct Playbook {
    /// Plays of all files.
    pub plays: Vec<Play>,
    /// True if plays are missing because of an error; errors that follow from that are not
    /// reported.
    pub(super) broken: bool,
    /// Files that were read, in order.
    pub(super) sources: Vec<Arc<SourceFile>>,
    /// Variables that two playbooks give to one included file with different values.
    pub(super) conflicts: Vec<IncludeConflict>,
}

#[derive(Default)]
struct PlaybookLoader {
    playbook: Playbook,
    diagnostics: Diagnostics,
    /// Canonical paths of the files that run, with the playbook that they run for.
    seen: HashMap<PathBuf, PathBuf>,
    /// Playbook that is being read.
    root: PathBuf,
    /// Variables of the playbooks that were read.
    root_vars: HashMap<PathBuf, Arc<VariableMap>>,
    /// Files that the current playbook shares with an earlier one.
    repeats: Vec<RepeatedFile>,
    allowed: Vec<PathBuf>,
    /// Chain of includes down to the file that is being read: each path as named, and canonical.
    chain: Vec<(PathBuf, PathBuf)>,
}

impl Playbook {
    /// Loads playbooks, which run one after the other. Loads as much as possible, so that later
    /// checks can report their errors together with the returned ones.
    ///
    /// `allowed` are the files and folders that resources may read beside those of the playbook.
    #[must_use]
    pub fn load_what_can_be(paths: &[PathBuf], allowed: &[PathBuf]) -> (Self, Diagnostics) {
        let mut loader = PlaybookLoader {
            allowed: allowed.to_vec(),
            ..PlaybookLoader::default()
        };
        for path in paths {
            loader.root(path);
        }
        if loader.playbook.plays.is_empty() && !loader.diagnostics.has_errors() {
            let file = paths
                .first()
                .map_or(Path::new("playbook"), PathBuf::as_path);
            let error = Diagnostic::error("the playbook has no plays")
                .at(SourceSpan::new(&SourceFile::new(file, ""), 0..0));
            loader.diagnostics.push(
                error.hint(
                    "write [[plays]] with `hosts` and `resources`, or `include` files that do",
                ),
            );
        }
        (loader.playbook, loader.diagnostics)
    }

    /// Returns true if plays may be missing because of an error.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }
}

impl PlaybookLoader {
    fn root(&mut self, path: &Path) {
        let before = self.playbook.plays.len();
        let mut vars = VariableMap::default();
        path.clone_into(&mut self.root);
        match TomlDocument::read(path) {
            Ok(document) => self.file(path, &document, &[], &mut vars),
            Err(errors) => self.refuse(errors),
        }
        // Set only now because the variables are complete only after all includes: a playbook's own
        // variables override those of the files that it includes.
        let vars = Arc::new(vars);
        let name: Arc<str> = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into();
        for play in self.playbook.plays.iter_mut().skip(before) {
            play.vars = Arc::clone(&vars);
            play.playbook = Arc::clone(&name);
        }
        for repeated in std::mem::take(&mut self.repeats) {
            if let Some(first) = self.root_vars.get(&repeated.first_root) {
                let found = include_conflicts(&repeated, first, path, &vars);
                self.playbook.conflicts.extend(found);
            }
        }
        self.root_vars.entry(path.to_path_buf()).or_insert(vars);
    }

    fn refuse(&mut self, errors: Diagnostics) {
        self.playbook.broken = true;
        self.diagnostics.extend(errors);
    }

    fn file(
        &mut self,
        path: &Path,
        document: &TomlDocument,
        tags: &[String],
        vars: &mut VariableMap,
    ) {
        let canonical = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let first_root = self.seen.get(&canonical).cloned();
        let is_repeated = self
            .repeats
            .iter()
            .any(|repeat| repeat.canonical == canonical);
        match &first_root {
            None => {
                self.seen.insert(canonical.clone(), self.root.clone());
                self.playbook.sources.push(Arc::clone(&document.source));
            }
            Some(root) if *root == self.root || is_repeated => return,
            // The file already runs for another playbook. Its variables are read, because the plays
            // of this playbook may use them too.
            Some(root) => self.repeats.push(RepeatedFile {
                canonical: canonical.clone(),
                source: Arc::clone(&document.source),
                first_root: root.clone(),
            }),
        }
        self.chain.push((path.to_path_buf(), canonical));
        self.sections(path, document, tags, vars, first_root.is_none());
        self.chain.pop();
    }

    fn sections(
        &mut self,
        path: &Path,
        document: &TomlDocument,
        tags: &[String],
        vars: &mut VariableMap,
        runs: bool,
    ) {
        let known = ["include", "vars", "plays"];
        let mut own = VariableMap::default();
        let mut includes = Vec::new();
        let mut diagnostics = std::mem::take(&mut self.diagnostics);
        let mut reader = FieldReader {
            source: &document.source,
            diagnostics: &mut diagnostics,
        };
        reader.only_keys(
            document.root.as_table().unwrap_or_default(),
            "a playbook",
            &known,
        );
        if let Some(entry) = document.root.entry("include") {
            includes = read_includes(&mut reader, &entry.node);
        }
        if let Some(entries) = document
            .root
            .entry("vars")
            .and_then(|entry| reader.table(&entry.node, "vars"))
        {
            own = VariableMap::read(&mut reader, entries);
        }
        self.diagnostics = diagnostics;
        for include in &includes {
            self.include(path, document, include, tags, vars);
        }
        vars.merge(&own);
        if !runs {
            return;
        }
        let around = FileContext {
            tags,
            vars: &Arc::default(),
            folder: &PlaybookFolder::of(path, &self.allowed),
        };
        let mut reader = FieldReader {
            source: &document.source,
            diagnostics: &mut self.diagnostics,
        };
        for node in document
            .root
            .entry("plays")
            .and_then(|entry| reader.list(&entry.node, "plays"))
            .unwrap_or_default()
        {
            match Play::read(&mut reader, node, &around) {
                Some(play) => self.playbook.plays.push(play),
                None => self.playbook.broken = true,
            }
        }
    }

    fn include(
        &mut self,
        from: &Path,
        document: &TomlDocument,
        include: &IncludeEntry,
        tags: &[String],
        vars: &mut VariableMap,
    ) {
        let path = from.parent().unwrap_or(Path::new("")).join(&include.file);
        let place = document.place(&include.span);
        let canonical = match std::fs::canonicalize(&path) {
            Ok(canonical) => canonical,
            Err(error) => {
                let message = format!("cannot include {}: {error}", path.display());
                let hint = "the path is relative to the folder of this file";
                return self.refuse(Diagnostic::error(message).at(place).hint(hint).into());
            }
        };
        if let Some(first) = self.chain.iter().position(|(_, other)| *other == canonical) {
            let named = self
                .chain
                .iter()
                .skip(first)
                .map(|(path, _)| path.display().to_string());
            let chain: Vec<String> = named.chain([path.display().to_string()]).collect();
            let message = format!(
                "files include each other in a circle: {}",
                chain.join(" -> ")
            );
            return self.refuse(
                Diagnostic::error(message)
                    .at(place)
                    .hint("remove one of these includes")
                    .into(),
            );
        }
        let tags = [tags, include.tags.as_slice()].concat();
        match TomlDocument::read(&path) {
            Ok(document) => self.file(&path, &document, &tags, vars),
            Err(errors) => self.refuse(errors),
        }
    }
}

/// A file that a playbook includes and that already runs for an earlier playbook.
struct RepeatedFile {
    canonical: PathBuf,
    source: Arc<SourceFile>,
    first_root: PathBuf,
}

/// A variable that two playbooks give to one included file with different values.
#[derive(Debug)]
pub(super) struct IncludeConflict {
    /// Included file.
    pub(super) file: PathBuf,
    /// Name of the variable.
    pub(super) name: String,
    /// The playbooks, and the places of their values; `None` if a playbook does not set it.
    pub(super) values: [(PathBuf, Option<SourceSpan>); 2],
}

/// Returns the variables of an included file that differ between two playbooks: those that the file
/// names, and those that their values name.
fn include_conflicts(
    repeated: &RepeatedFile,
    first: &VariableMap,
    root: &Path,
    second: &VariableMap,
) -> Vec<IncludeConflict> {
    let mut conflicts = Vec::new();
    let mut next: Vec<String> = words_of(repeated.source.text())
        .map(str::to_owned)
        .collect();
    let mut seen = HashSet::new();
    while let Some(name) = next.pop() {
        let values = [first.get(&name), second.get(&name)];
        if values.iter().all(Option::is_none) || !seen.insert(name.clone()) {
            continue;
        }
        let texts = values.iter().flatten().map(|var| var.place.text());
        next.extend(texts.flat_map(words_of).map(str::to_owned));
        let [one, other] = values.map(|var| var.map(|var| var.node.to_json()));
        if one != other {
            let place = |var: Option<&VariableDecl>| var.map(|var| var.place.clone());
            conflicts.push(IncludeConflict {
                file: repeated.source.path().to_path_buf(),
                name,
                values: [
                    (repeated.first_root.clone(), place(values[0])),
                    (root.to_path_buf(), place(values[1])),
                ],
            });
        }
    }
    conflicts.sort_by(|one, other| one.name.cmp(&other.name));
    conflicts
}

struct IncludeEntry {
    file: String,
    tags: Vec<String>,
    span: std::ops::Range<usize>,
}

/// Reads `include = "a.toml"`, or a list of file names and of `{ file = "a.toml", tags = ["a"] }`.
fn read_includes(reader: &mut FieldReader<'_>, node: &TomlNode) -> Vec<IncludeEntry> {
    let items = if let TomlValue::Array(items) = &node.value {
        items.as_slice()
    } else {
        std::slice::from_ref(node)
    };
    items
        .iter()
        .filter_map(|item| read_include(reader, item))
        .collect()
}

fn read_include(reader: &mut FieldReader<'_>, node: &TomlNode) -> Option<IncludeEntry> {
    let Some(entries) = node.as_table() else {
        let file = reader.string(node, "include")?.to_owned();
        return Some(IncludeEntry {
            file,
            tags: Vec::new(),
            span: node.span.clone(),
        });
    };
    reader.only_keys(entries, "an include", &["file", "tags"]);
    let tags = node
        .entry("tags")
        .map(|entry| read_tags(reader, &entry.node))
        .unwrap_or_default();
    let Some(file) = node.entry("file") else {
        reader.error(
            &node.span,
            "this include has no `file`",
            Some("e.g. { file = \"docker.toml\", tags = [\"docker\"] }".into()),
        );
        return None;
    };
    Some(IncludeEntry {
        file: reader.string(&file.node, "file")?.to_owned(),
        tags,
        span: file.node.span.clone(),
    })
}
