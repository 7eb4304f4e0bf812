//! The record of what was applied last on a host: `/var/lib/skep/applied.json`. It tells "changed behind our back" from "not
//! yet applied", and is never trusted over what was observed. It holds digests only, keyed with a random key of the host's
//! own, so that two hosts with the same secret do not show it (docs/decisions/0010).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::outcome::{DriftCause, Outcome, ResourceOutcome};
use crate::model::{DefinitionDigest, HostAnswers, PathType, Query, Resource};

/// Where it is, on every host.
pub(super) const PATH: &str = "/var/lib/skep/applied.json";
/// Version of its form.
const VERSION: u32 = 1;
/// Largest record that is written, in bytes; what was applied longest ago goes first.
const SIZE_LIMIT: usize = 256 * 1024;

/// The record as it was found.
#[derive(Default, Clone)]
pub(super) enum AppliedRecord {
    /// There is none.
    #[default]
    Absent,
    /// It was read.
    Known(AppliedRecordFile),
    /// It is there and cannot be used: why, in one sentence.
    Unusable(String),
}

/// The file.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(super) struct AppliedRecordFile {
    version: u32,
    /// Hexadecimal; the key of all digests.
    key: String,
    resources: BTreeMap<String, AppliedResource>,
}

/// One resource that was as asked at the end of an `apply`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct AppliedResource {
    /// Keyed digests of its definition: several where a playbook has the resource several times.
    wanted: BTreeSet<String>,
    /// Seconds since 1970.
    applied: u64,
}

impl AppliedRecord {
    /// What must be asked to read it.
    pub(super) fn query() -> Query {
        Query::content(PATH)
    }

    /// Reads it. It may say anything: whatever is not a record of this version is [`AppliedRecord::Unusable`].
    pub(super) fn read(answers: &HostAnswers) -> Self {
        let state = match answers.path(PATH) {
            Ok(None) => return Self::Absent,
            Ok(Some(state)) => state,
            Err(error) => return Self::Unusable(error.to_string()),
        };
        if state.kind != PathType::File || state.uid != 0 || state.mode & 0o077 != 0 {
            return Self::Unusable("it is not a file that only root can read and write".into());
        }
        match &state.content {
            Some(content) => Self::parse(content),
            None => Self::Unusable("its content could not be read".into()),
        }
    }

    fn parse(content: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct RecordHeader {
            version: u32,
        }
        if let Ok(document) = serde_json::from_slice::<AppliedRecordFile>(content)
            && document.version == VERSION
            && is_key(&document.key)
        {
            return Self::Known(document);
        }
        match serde_json::from_slice::<RecordHeader>(content) {
            Ok(head) if head.version > VERSION => Self::Unusable(format!(
                "it is of version {}, this skep knows {VERSION}",
                head.version
            )),
            _ => Self::Unusable("it is damaged".into()),
        }
    }

    /// What people should know of it; `None` when it is well.
    pub(super) fn warning(&self) -> Option<String> {
        let Self::Unusable(why) = self else {
            return None;
        };
        Some(format!(
            "the record {PATH} is not used: {why}. `skep apply` writes it anew"
        ))
    }

    /// Whether this was so at the end of the last `apply`; `None` where the record says nothing about it.
    pub(super) fn matches(&self, id: &str, definition: &DefinitionDigest) -> Option<bool> {
        let Self::Known(document) = self else {
            return None;
        };
        Some(
            document
                .resources
                .get(id)?
                .wanted
                .contains(&keyed(&document.key, definition)),
        )
    }

    /// Says why a resource differs.
    pub(super) fn explain(&self, resource: &dyn Resource, outcome: &mut ResourceOutcome) {
        outcome.cause = match &outcome.outcome {
            Outcome::Differs => Some(self.cause(
                resource,
                outcome.change.as_ref().is_some_and(|change| change.repeats),
            )),
            Outcome::Failed { .. } => Some(DriftCause::Unknown),
            _ => None,
        };
        if let (Some(_), Self::Known(document)) = (outcome.cause, self) {
            outcome.last_applied = document
                .resources
                .get(&outcome.resource)
                .map(|entry| entry.applied);
        }
    }

    fn cause(&self, resource: &dyn Resource, repeats: bool) -> DriftCause {
        let document = match self {
            Self::Absent => return DriftCause::NeverApplied,
            Self::Unusable(_) => return DriftCause::Unknown,
            Self::Known(document) => document,
        };
        match (
            document.resources.get(&resource.id()),
            resource.definition(),
        ) {
            (None, _) => DriftCause::NeverApplied,
            (Some(_), None) => DriftCause::Unknown,
            // A command without a condition differs by its nature: nobody changed anything.
            (Some(_), _) if repeats => DriftCause::NotYetApplied,
            (Some(entry), Some(definition))
                if entry.wanted.contains(&keyed(&document.key, &definition)) =>
            {
                DriftCause::ChangedBehindOurBack
            }
            (Some(_), Some(_)) => DriftCause::NotYetApplied,
        }
    }

    /// The file's new content when these resources are as asked now, `true` for those that were just changed; `None` when it
    /// says all of it already. Resources of other playbooks stay.
    pub(super) fn updated(
        &self,
        applied: &[(String, DefinitionDigest, bool)],
        now: u64,
    ) -> Option<Vec<u8>> {
        let old = match self {
            Self::Known(document) => document.clone(),
            Self::Absent | Self::Unusable(_) => {
                let key = hexadecimal(&rand::random::<[u8; 32]>());
                AppliedRecordFile {
                    version: VERSION,
                    key,
                    resources: BTreeMap::new(),
                }
            }
        };
        let mut wanted: BTreeMap<&str, (BTreeSet<String>, bool)> = BTreeMap::new();
        for (id, definition, changed) in applied {
            let (digests, any) = wanted.entry(id).or_default();
            digests.insert(keyed(&old.key, definition));
            *any |= changed;
        }
        let mut new = old.clone();
        for (id, (wanted, changed)) in wanted {
            match new.resources.get_mut(id) {
                Some(entry) if entry.wanted == wanted && !changed => {}
                _ => drop(new.resources.insert(
                    id.to_owned(),
                    AppliedResource {
                        wanted,
                        applied: now,
                    },
                )),
            }
        }
        if new == old {
            return None;
        }
        bounded(new)
    }
}

/// The file's bytes, without what was applied longest ago where it would be too large.
fn bounded(mut document: AppliedRecordFile) -> Option<Vec<u8>> {
    loop {
        let text = serde_json::to_vec(&document).ok()?;
        if text.len() <= SIZE_LIMIT {
            return Some(text);
        }
        let mut ages: Vec<(u64, String)> = document
            .resources
            .iter()
            .map(|(id, entry)| (entry.applied, id.clone()))
            .collect();
        ages.sort();
        // In tenths, so that a far too large record is cut in a few rounds.
        for (_, id) in ages.iter().take(ages.len() / 10 + 1) {
            document.resources.remove(id);
        }
    }
}

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// HMAC-SHA-256 of a definition, cut to 128 bits.
fn keyed(key: &str, definition: &DefinitionDigest) -> String {
    // HMAC takes keys of any length: this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return String::new();
    };
    mac.update(definition.bytes());
    hexadecimal(&mac.finalize().into_bytes()[..16])
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
            // Writing to a string does not fail.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

#[cfg(test)]
mod tests;
