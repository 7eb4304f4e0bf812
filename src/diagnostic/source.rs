//! The text of a file, and places in it as line and column.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostic::{Diagnostic, Diagnostics};

/// Largest file that is read, in bytes (1 MiB): a larger file is a mistake, such as an image given
/// as a playbook.
pub const FILE_LIMIT: u64 = 1024 * 1024;

/// A text and the path of the file that it was read from.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    path: PathBuf,
    text: String,
}

impl SourceFile {
    /// Wraps a text that was already read. The path may also name an option, such as `--limit`.
    pub fn new(path: impl Into<PathBuf>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self {
            path: path.into(),
            text: text.into(),
        })
    }

    /// Reads a file.
    ///
    /// # Errors
    /// If the file cannot be read, is larger than [`FILE_LIMIT`] or is not UTF-8 (with the place of
    /// the first invalid byte).
    pub fn read(path: &Path) -> Result<Arc<Self>, Diagnostics> {
        let at_top = || SourceSpan::new(&Self::new(path, ""), 0..0);
        let unreadable = |error: std::io::Error| -> Diagnostics {
            let hint = (error.kind() == std::io::ErrorKind::NotFound).then(|| {
                "check the path; README.md shows a small inventory and how to use it".to_owned()
            });
            Diagnostic::error(format!("cannot read {}: {error}", path.display()))
                .at(at_top())
                .maybe_hint(hint)
                .into()
        };
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.len() > FILE_LIMIT {
            let message = format!(
                "{} is {} bytes large, the limit is {FILE_LIMIT}",
                path.display(),
                metadata.len()
            );
            return Err(Diagnostic::error(message)
                .at(at_top())
                .hint("is this the file that you meant?")
                .into());
        }
        let text = String::from_utf8(std::fs::read(path).map_err(unreadable)?).map_err(
            |error| -> Diagnostics {
                let offset = error.utf8_error().valid_up_to();
                let lossy = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let message = format!(
                    "{} is not UTF-8: the byte at offset {offset} is wrong",
                    path.display()
                );
                Diagnostic::error(message)
                    .at(SourceSpan::new(
                        &Self::new(path, lossy),
                        offset..offset + '\u{fffd}'.len_utf8(),
                    ))
                    .hint("save the file as UTF-8")
                    .into()
            },
        )?;
        Ok(Self::new(path, text))
    }

    /// Returns the path as it was given.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// A range of bytes in a source.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceSpan {
    /// The file.
    pub source: Arc<SourceFile>,
    /// Byte range in the text of the file.
    pub span: Range<usize>,
}

impl SourceSpan {
    /// Makes a place; a range that goes beyond the text is cut to its end.
    #[must_use]
    pub fn new(source: &Arc<SourceFile>, span: Range<usize>) -> Self {
        let floor = |offset: usize| {
            let offset = offset.min(source.text.len());
            (0..=offset)
                .rev()
                .find(|&offset| source.text.is_char_boundary(offset))
                .unwrap_or(0)
        };
        let start = floor(span.start);
        Self {
            source: Arc::clone(source),
            span: start..floor(span.end).max(start),
        }
    }

    /// Returns the line, from 1.
    #[must_use]
    pub fn line(&self) -> usize {
        self.before().matches('\n').count() + 1
    }

    /// Returns the column in characters, from 1.
    #[must_use]
    pub fn column(&self) -> usize {
        self.before()
            .rsplit('\n')
            .next()
            .unwrap_or_default()
            .chars()
            .count()
            + 1
    }

    /// Returns the text at the place.
    #[must_use]
    pub fn text(&self) -> &str {
        self.source.text.get(self.span.clone()).unwrap_or_default()
    }

    fn before(&self) -> &str {
        self.source.text.get(..self.span.start).unwrap_or_default()
    }
}

/// `file:line:column`.
impl fmt::Display for SourceSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}:{}",
            self.source.path.display(),
            self.line(),
            self.column()
        )
    }
}

impl fmt::Debug for SourceSpan {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}
