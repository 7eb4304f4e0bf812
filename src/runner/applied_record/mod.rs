//! The record of the last apply on a host: `/var/lib/skep/applied.json`. It distinguishes "changed
//! behind our back" from "not yet applied", and never overrides the observed state. It contains
//! only digests, with a random key per host: two hosts with the same secret do not reveal it
//! (docs/decisions/0010).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::outcome::{DriftCause, Outcome, ResourceOutcome};
use crate::base::hex;
use crate::model::{APPLIED_RECORD, DefinitionDigest, HostAnswers, PathType, Query, Resource};

/// Path of the record on every host.
pub(super) const PATH: &str = APPLIED_RECORD;
/// Version of the record's form.
const VERSION: u32 = 1;
/// Maximum size of a written record in bytes; the resources applied longest ago are dropped first.
const SIZE_LIMIT: usize = 256 * 1024;

/// The record as read from a host.
#[derive(Default, Clone)]
pub(super) enum AppliedRecord {
    /// The host has no record.
    #[default]
    Absent,
    /// The record was read.
    Known(AppliedRecordFile),
    /// The record exists and cannot be used; the reason, in one sentence.
    Unusable(String),
}

/// Content of the file.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub(super) struct AppliedRecordFile {
    version: u32,
    /// Key of all digests, in hexadecimal.
    key: String,
    resources: BTreeMap<String, AppliedResource>,
}

/// A resource that was in sync at the end of an `apply`.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
struct AppliedResource {
    /// Keyed digests of the resource's definition: several if the playbook contains the resource
    /// several times.
    wanted: BTreeSet<String>,
    /// Time of the last apply, in seconds since 1970.
    applied: u64,
    /// File name of the playbook of the last apply; empty in records of earlier releases.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    playbook: String,
}

/// A resource that is in sync at the end of a run.
pub(super) struct AppliedDefinition {
    pub(super) id: String,
    pub(super) definition: DefinitionDigest,
    /// True if this run changed the resource.
    pub(super) changed: bool,
    /// File name of the playbook.
    pub(super) playbook: Arc<str>,
}

impl AppliedRecord {
    /// Returns the query that reads the record.
    pub(super) fn query() -> Query {
        Query::content(PATH)
    }

    /// Reads the record from the answers. Its content is not trusted: anything but a record of this
    /// version is [`AppliedRecord::Unusable`].
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
                "it has version {}, but this skep supports only version {VERSION}",
                head.version
            )),
            _ => Self::Unusable("it is damaged".into()),
        }
    }

    /// Returns a warning if the record cannot be used; `None` if it is sound or absent.
    pub(super) fn warning(&self) -> Option<String> {
        let Self::Unusable(why) = self else {
            return None;
        };
        Some(format!(
            "the record {PATH} is not used: {why}; `skep apply` writes a new one"
        ))
    }

    /// Returns true if the resource had this definition at the end of the last `apply`; `None` if
    /// the record does not contain it.
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

    /// Sets the cause of a resource's difference and the time of its last apply. `playbook` is the
    /// file name of the run's playbook; a change of what another playbook applied gets a note.
    pub(super) fn explain(
        &self,
        resource: &dyn Resource,
        playbook: &str,
        outcome: &mut ResourceOutcome,
    ) {
        outcome.cause = match &outcome.outcome {
            Outcome::Differs => Some(self.cause(
                resource,
                outcome.change.as_ref().is_some_and(|change| change.repeats),
            )),
            Outcome::Failed { .. } => Some(DriftCause::Unknown),
            _ => None,
        };
        if let (Some(_), Self::Known(document)) = (outcome.cause, self) {
            let entry = document.resources.get(&outcome.resource);
            outcome.last_applied = entry.map(|entry| entry.applied);
            let other = entry
                .map(|entry| entry.playbook.as_str())
                .filter(|other| !other.is_empty() && !playbook.is_empty() && *other != playbook);
            if let (Some(other), Some(change), Some(DriftCause::NotYetApplied)) =
                (other, &mut outcome.change, outcome.cause)
            {
                change.notes.push(format!(
                    "the playbook {other} applied another definition last: {playbook} changes what it set"
                ));
            }
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
            // A command without a condition differs after every run; nobody changed anything.
            (Some(_), _) if repeats => DriftCause::NotYetApplied,
            (Some(entry), Some(definition))
                if entry.wanted.contains(&keyed(&document.key, &definition)) =>
            {
                DriftCause::ChangedBehindOurBack
            }
            (Some(_), Some(_)) => DriftCause::NotYetApplied,
        }
    }

    /// Returns the file's new content for resources that are in sync now. `None` if the record
    /// contains all of it already. Resources of other playbooks stay.
    pub(super) fn updated(&self, applied: &[AppliedDefinition], now: u64) -> Option<Vec<u8>> {
        let old = match self {
            Self::Known(document) => document.clone(),
            Self::Absent | Self::Unusable(_) => {
                let key = hex(&rand::random::<[u8; 32]>());
                AppliedRecordFile {
                    version: VERSION,
                    key,
                    resources: BTreeMap::new(),
                }
            }
        };
        let mut wanted: BTreeMap<&str, (BTreeSet<String>, bool, &str)> = BTreeMap::new();
        for one in applied {
            let (digests, any, playbook) = wanted.entry(&one.id).or_default();
            digests.insert(keyed(&old.key, &one.definition));
            *any |= one.changed;
            *playbook = &one.playbook;
        }
        let mut new = old.clone();
        for (id, (wanted, changed, playbook)) in wanted {
            match new.resources.get_mut(id) {
                Some(entry) if entry.wanted == wanted && !changed => {}
                _ => drop(new.resources.insert(
                    id.to_owned(),
                    AppliedResource {
                        wanted,
                        applied: now,
                        playbook: playbook.to_owned(),
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

/// Returns the file's bytes; drops the resources applied longest ago if it would be too large.
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
        // A tenth per round: a far too large record is cut in a few rounds.
        for (_, id) in ages.iter().take(ages.len() / 10 + 1) {
            document.resources.remove(id);
        }
    }
}

fn is_key(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Returns the HMAC-SHA-256 of a definition, cut to 128 bits.
fn keyed(key: &str, definition: &DefinitionDigest) -> String {
    // HMAC accepts keys of any length: this cannot fail.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.as_bytes()) else {
        return String::new();
    };
    mac.update(definition.bytes());
    hex(&mac.finalize().into_bytes()[..16])
}

#[cfg(test)]
mod tests;
