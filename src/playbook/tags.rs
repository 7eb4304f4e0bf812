//! Filters resources by `--tags` and `--skip-tags`.

use std::collections::BTreeSet;

use super::{Playbook, ResourceDecl};
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::diagnostic::{SourceFile, SourceSpan};
use crate::document::did_you_mean;

/// Tag of resources that run whatever `--tags` says, unless `--skip-tags` names one of their tags.
const ALWAYS: &str = "always";

/// Selection of resources by tag.
#[derive(Debug, Clone, Default)]
pub(super) struct TagFilter {
    wanted: BTreeSet<String>,
    skipped: BTreeSet<String>,
}

impl TagFilter {
    /// Reads the options; each argument may hold several tags, separated by commas.
    ///
    /// # Errors
    /// A tag that no resource has. Without the error, a run that does nothing would look in sync.
    pub(super) fn new(
        tags: &[String],
        skip_tags: &[String],
        playbook: &Playbook,
    ) -> Result<Self, Diagnostics> {
        let known: BTreeSet<&str> = playbook
            .plays
            .iter()
            .flat_map(|play| &play.declarations)
            .flat_map(|declaration| declaration.tags.iter().map(String::as_str))
            .chain([ALWAYS])
            .collect();
        let mut diagnostics = Diagnostics::default();
        let mut read = |option: &str, arguments: &[String]| {
            let mut found = BTreeSet::new();
            for argument in arguments {
                for tag in argument
                    .split(',')
                    .map(str::trim)
                    .filter(|tag| !tag.is_empty())
                {
                    if known.contains(tag) || playbook.is_broken() {
                        found.insert(tag.to_owned());
                    } else {
                        let start = argument.find(tag).unwrap_or_default();
                        let place = SourceSpan::new(
                            &SourceFile::new(option, argument.as_str()),
                            start..start + tag.len(),
                        );
                        let error =
                            Diagnostic::error(format!("no resource has the tag `{tag}`")).at(place);
                        diagnostics
                            .push(error.maybe_hint(did_you_mean(tag, known.iter().copied())));
                    }
                }
            }
            found
        };
        let filter = Self {
            wanted: read("--tags", tags),
            skipped: read("--skip-tags", skip_tags),
        };
        diagnostics.into_result().map(|_| filter)
    }

    /// Returns true if the filter selects a resource.
    pub(super) fn selects(&self, declaration: &ResourceDecl) -> bool {
        let has = |tags: &BTreeSet<String>| declaration.tags.iter().any(|tag| tags.contains(tag));
        let is_wanted = self.wanted.is_empty()
            || has(&self.wanted)
            || declaration.tags.iter().any(|tag| tag == ALWAYS);
        is_wanted && !has(&self.skipped)
    }
}
