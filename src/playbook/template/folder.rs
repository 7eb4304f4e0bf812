//! The folders in which templates and source files are searched, and the template engine that loads
//! from them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use minijinja::{
    AutoEscape, Environment, Error, ErrorKind, UndefinedBehavior, syntax::SyntaxConfig,
};

use super::confinement::SearchFolders;
use crate::diagnostic::SourceFile;
use crate::model::{CONTENT_LIMIT, InvalidField, TreeEntry, sha256};

/// Largest archive, in bytes (1 GiB): it is held in memory while it is sent.
const ARCHIVE_LIMIT: u64 = 1024 * 1024 * 1024;

/// Folder of a playbook.
pub(in crate::playbook) struct PlaybookFolder {
    folders: SearchFolders,
    pub(super) environment: Environment<'static>,
    read: Mutex<HashMap<PathBuf, Arc<[u8]>>>,
}

impl PlaybookFolder {
    /// Makes the folder of a playbook's file. `allowed` are further files and folders that its
    /// resources may read.
    pub(in crate::playbook) fn of(playbook: &Path, allowed: &[PathBuf]) -> Arc<Self> {
        let folders = SearchFolders::of(playbook, allowed);
        let environment = environment(folders.clone());
        Arc::new(Self {
            folders,
            environment,
            read: Mutex::default(),
        })
    }

    /// Returns the path of a file.
    ///
    /// # Errors
    /// [`InvalidField`] if the file is missing, or outside of the allowed folders.
    pub(super) fn find(&self, what: &str, name: &str) -> Result<PathBuf, InvalidField> {
        self.folders
            .file(name)?
            .ok_or_else(|| self.missing(what, name))
    }

    /// Returns the bytes of a source file.
    pub(super) fn source(&self, name: &str) -> Result<Vec<u8>, InvalidField> {
        let invalid = |message: String| InvalidField::new("", message);
        let path = self.find("file", name)?;
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(content) = read.get(&path) {
            return Ok(content.to_vec());
        }
        let unreadable =
            |error: std::io::Error| invalid(format!("cannot read {}: {error}", path.display()));
        let size = std::fs::metadata(&path).map_err(unreadable)?.len();
        if size > CONTENT_LIMIT {
            let message = format!(
                "{} is {size} bytes large, the limit is {CONTENT_LIMIT}",
                path.display()
            );
            return Err(invalid(message).hint("fetch large files with a package or a `command`"));
        }
        let content = std::fs::read(&path).map_err(unreadable)?;
        read.insert(path, content.as_slice().into());
        Ok(content)
    }

    /// Returns every entry below a folder, see [`super::tree`].
    pub(super) fn tree(&self, name: &str) -> Result<Vec<TreeEntry>, InvalidField> {
        let found = self.folders.directory(name)?;
        super::tree::read(&found.ok_or_else(|| self.missing("folder", name))?)
    }

    /// Returns the bytes of a large file, without caching them.
    pub(super) fn archive(&self, name: &str) -> Result<Vec<u8>, InvalidField> {
        let path = self.find("file", name)?;
        super::tree::file(&path, ARCHIVE_LIMIT)
    }

    /// Returns the error for a missing file.
    pub(super) fn missing(&self, what: &str, name: &str) -> InvalidField {
        let places: Vec<String> = self
            .folders
            .candidates(name)
            .map(|path| path.display().to_string())
            .collect();
        InvalidField::new("", format!("there is no {what} `{name}`"))
            .hint(format!("searched: {}", places.join(", ")))
    }
}

impl std::fmt::Debug for PlaybookFolder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_tuple("Folder")
            .field(&self.folders)
            .finish()
    }
}

fn environment(folders: SearchFolders) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    // Templates make configuration files, not web pages: nothing is escaped, whatever the
    // extension.
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    // In debug mode, errors carry the template's text, which is needed to show the failing place.
    environment.set_debug(true);
    let syntax = SyntaxConfig::builder()
        .trim_blocks(true)
        .lstrip_blocks(true)
        .keep_trailing_newline(true)
        .build();
    if let Ok(syntax) = syntax {
        environment.set_syntax(syntax);
    }
    environment.add_filter("to_json", minijinja::filters::tojson);
    // A service can be given the digest of its configuration, so that its state tells which
    // configuration it has loaded.
    environment.add_filter("sha256", |text: String| sha256(text.as_bytes()));
    environment.set_loader(move |name| {
        let found = folders.file(name).map_err(|outside| {
            let (message, hint) = outside.words();
            Error::new(ErrorKind::InvalidOperation, format!("{message}; {hint}"))
        })?;
        let Some(path) = found else {
            return Ok(None);
        };
        let source = SourceFile::read(&path).map_err(|errors| {
            let message = errors
                .iter()
                .map(|error| error.message.clone())
                .collect::<Vec<_>>()
                .join("; ");
            Error::new(ErrorKind::InvalidOperation, message)
        })?;
        Ok(Some(source.text().to_owned()))
    });
    environment
}
