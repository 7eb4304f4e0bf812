//! Loads the files beside the playbook for kinds, which do no I/O themselves.

use std::sync::{Arc, Mutex, PoisonError};

use minijinja::ErrorKind;
use sha2::{Digest as _, Sha256};

use super::TemplateScope;
use super::explain::{explain_error, innermost};
use crate::diagnostic::Diagnostic;
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::model::{FileLoader, InvalidField, TreeContent, TreeEntry};

/// Reads files and renders templates for one resource on one host.
pub(in crate::playbook) struct PlaybookFiles {
    scope: Arc<TemplateScope>,
    /// Path of the last requested file; an error without a field is about this file.
    asked: Mutex<Option<String>>,
    /// Digest of everything that was read, in order.
    read: Mutex<Sha256>,
}

impl PlaybookFiles {
    /// Makes a loader for one scope.
    pub(in crate::playbook) fn new(scope: &Arc<TemplateScope>) -> Self {
        Self {
            scope: Arc::clone(scope),
            asked: Mutex::default(),
            read: Mutex::default(),
        }
    }

    /// Returns the path of the last requested file.
    pub(in crate::playbook) fn last_asked(&self) -> Option<String> {
        self.asked
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Returns the digest of everything that was read and rendered, for the resource's definition.
    pub(in crate::playbook) fn digest(&self) -> Vec<u8> {
        self.read
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
            .finalize()
            .to_vec()
    }

    fn note(&self, content: &[u8]) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        read.update((content.len() as u64).to_be_bytes());
        read.update(content);
    }

    fn ask(&self, path: &str) {
        *self.asked.lock().unwrap_or_else(PoisonError::into_inner) = Some(path.to_owned());
    }
}

impl FileLoader for PlaybookFiles {
    fn source(&self, path: &str) -> Result<Vec<u8>, InvalidField> {
        self.ask(path);
        let content = self.scope.context.folder.source(path)?;
        self.note(&content);
        Ok(content)
    }

    fn tree(&self, path: &str) -> Result<Vec<TreeEntry>, InvalidField> {
        self.ask(path);
        let entries = self.scope.context.folder.tree(path)?;
        for entry in &entries {
            self.note(entry.path.as_bytes());
            self.note(&[u8::from(entry.executable)]);
            match &entry.content {
                TreeContent::Folder => self.note(b"folder"),
                TreeContent::File(content) => self.note(content),
                TreeContent::Link(target) => self.note(target.as_bytes()),
            }
        }
        Ok(entries)
    }

    fn archive(&self, path: &str) -> Result<Vec<u8>, InvalidField> {
        self.ask(path);
        let content = self.scope.context.folder.archive(path)?;
        self.note(&content);
        Ok(content)
    }

    fn template(&self, path: &str) -> Result<String, InvalidField> {
        self.ask(path);
        let folder = &self.scope.context.folder;
        folder.find("template", path)?;
        let template = folder.environment.get_template(path);
        let rendered = template.and_then(|template| template.render(self.scope.root()));
        let rendered = rendered.map_err(|error| self.explain(path, innermost(&error)))?;
        self.note(rendered.as_bytes());
        Ok(rendered)
    }
}

impl PlaybookFiles {
    fn explain(&self, path: &str, error: &minijinja::Error) -> InvalidField {
        let folder = &self.scope.context.folder;
        let name = error.name().unwrap_or(path);
        let text = error
            .template_source()
            .map(str::to_owned)
            .unwrap_or_default();
        let mut explained = explain_error(&self.scope, error, &text);
        if error.kind() == ErrorKind::TemplateNotFound {
            // The template itself was found before rendering, so only an include can be missing
            // here.
            let included = error
                .detail()
                .and_then(|detail| detail.split(['"', '\'']).nth(1))
                .unwrap_or("?");
            let missing = folder.missing("template", included);
            (explained.message, explained.hint) = (missing.message, missing.hint);
        }
        let line = error.line().unwrap_or(1);
        let invalid = InvalidField::new(
            "",
            format!("template {name}, line {line}: {}", explained.message),
        );
        if let Some(file) = folder
            .find("template", name)
            .ok()
            .filter(|_| !text.is_empty())
        {
            let source = SourceFile::new(file, text);
            let start_of_line = source
                .text()
                .split_inclusive('\n')
                .take(line - 1)
                .map(str::len)
                .sum::<usize>();
            let place = SourceSpan::new(
                &source,
                explained.range.unwrap_or(start_of_line..start_of_line),
            );
            self.scope.keep(
                Diagnostic::error(&invalid.message)
                    .at(place)
                    .maybe_hint(explained.hint.clone()),
            );
        }
        InvalidField {
            hint: explained.hint,
            ..invalid
        }
    }
}
