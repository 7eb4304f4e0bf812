//! Loads playbooks and the files that they include. Included plays come first, in the order of
//! `include`. A file that is included several times runs once, at its first place.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::play::{FileContext, Play, read_tags};
use super::template::PlaybookFolder;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::document::{FieldReader, TomlDocument, TomlNode, TomlValue};
use crate::inventory::VariableMap;

/// Plays in the order in which they run.
#[derive(Debug, Default)]
pub struct Playbook {
    /// Plays of all files.
    pub plays: Vec<Play>,
    /// True if plays are missing because of an error; errors that follow from that are not
    /// reported.
    pub(super) broken: bool,
}

#[derive(Default)]
struct PlaybookLoader {
    playbook: Playbook,
    diagnostics: Diagnostics,
    seen: HashSet<PathBuf>,
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
        match TomlDocument::read(path) {
            Ok(document) => self.file(path, &document, &[], &mut vars),
            Err(errors) => self.refuse(errors),
        }
        // Set only now because the variables are complete only after all includes: a playbook's own
        // variables override those of the files that it includes.
        let vars = Arc::new(vars);
        for play in self.playbook.plays.iter_mut().skip(before) {
            play.vars = Arc::clone(&vars);
        }
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
        if !self.seen.insert(canonical.clone()) {
            return;
        }
        self.chain.push((path.to_path_buf(), canonical));
        self.sections(path, document, tags, vars);
        self.chain.pop();
    }

    fn sections(
        &mut self,
        path: &Path,
        document: &TomlDocument,
        tags: &[String],
        vars: &mut VariableMap,
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
