//! The definition of a resource in a playbook, as one digest. Comparing digests tells whether the
//! playbook has changed since it was last applied.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};

use super::{
    Examination, ExamineError, ExpectedMember, ForeignData, HostAnswers, PinnedVersion, Query,
    Resource,
};

/// Path of the record of the last apply on every host (`runner::applied_record`). Only root can
/// read it.
pub const APPLIED_RECORD: &str = "/var/lib/skep/applied.json";

/// SHA-256 over a resource's kind, its rendered table, the files that it was made from and its
/// inventory inputs. The digest may cover a short secret that could be guessed from it, so it is
/// never shown and is stored only as a keyed digest (`runner::record`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DefinitionDigest([u8; 32]);

impl DefinitionDigest {
    /// Returns the digest of a rendered table. `files` is the digest of all files that binding
    /// read; for `taken`, see [`super::ResourceKind::inventory_inputs`].
    #[must_use]
    pub fn of(kind: &str, table: &serde_json::Value, files: &[u8], taken: &str) -> Self {
        DefinitionStart::new(kind, table).with(files, taken)
    }

    /// Returns the bytes of the digest.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

// Not derived: a short secret could be guessed from the digest, see above.
impl std::fmt::Debug for DefinitionDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Definition")
    }
}

/// Start of a definition digest, which many hosts share: a kind and its rendered table.
#[derive(Clone)]
pub struct DefinitionStart(Sha256);

impl DefinitionStart {
    /// Starts the digest with a kind and its rendered table.
    #[must_use]
    pub fn new(kind: &str, table: &serde_json::Value) -> Self {
        let mut digest = Sha256::new();
        for part in [kind.as_bytes(), table.to_string().as_bytes()] {
            add(&mut digest, part);
        }
        Self(digest)
    }

    /// Finishes the digest, see [`DefinitionDigest::of`].
    #[must_use]
    pub fn with(&self, files: &[u8], taken: &str) -> DefinitionDigest {
        let mut digest = self.0.clone();
        for part in [files, taken.as_bytes()] {
            add(&mut digest, part);
        }
        DefinitionDigest(digest.finalize().into())
    }
}

/// Adds a part, preceded by its length. Without the length, a part could be mistaken for the end of
/// the previous part.
fn add(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_be_bytes());
    digest.update(part);
}

/// A resource together with its definition digest.
pub struct DefinedResource {
    resource: Arc<dyn Resource>,
    definition: DefinitionDigest,
}

impl DefinedResource {
    /// Attaches a definition to a resource.
    #[must_use]
    pub fn wrap(resource: Arc<dyn Resource>, definition: DefinitionDigest) -> Arc<dyn Resource> {
        Arc::new(Self {
            resource,
            definition,
        })
    }
}

impl Resource for DefinedResource {
    fn id(&self) -> String {
        self.resource.id()
    }

    fn kind(&self) -> &'static str {
        self.resource.kind()
    }

    fn queries(&self) -> Vec<Query> {
        self.resource.queries()
    }

    fn examine(&self, answers: &HostAnswers) -> Result<Examination, ExamineError> {
        self.resource.examine(answers)
    }

    fn singleton_claim(&self) -> Option<String> {
        self.resource.singleton_claim()
    }

    fn inventory_inputs(&self) -> String {
        self.resource.inventory_inputs()
    }

    fn definition(&self) -> Option<DefinitionDigest> {
        Some(self.definition)
    }

    fn expected_member(&self) -> Option<ExpectedMember> {
        self.resource.expected_member()
    }

    fn pinned_versions(&self) -> Vec<PinnedVersion> {
        self.resource.pinned_versions()
    }

    fn swarm_conflict(&self) -> Option<String> {
        self.resource.swarm_conflict()
    }

    fn warnings(&self) -> Vec<String> {
        self.resource.warnings()
    }

    fn data_directories(&self) -> Vec<String> {
        self.resource.data_directories()
    }

    fn closed_directory(&self) -> Option<&str> {
        self.resource.closed_directory()
    }

    // The table in the playbook is unchanged, and so is its digest.
    fn accepting(&self, data: ForeignData) -> Option<Arc<dyn Resource>> {
        let resource = self.resource.accepting(data)?;
        Some(Self::wrap(resource, self.definition))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_changes_the_digest_and_parts_are_delimited() {
        let of = |kind, files: &[u8], taken| {
            DefinitionDigest::of(kind, &serde_json::json!({"a": 1}), files, taken)
        };
        assert_eq!(of("file", b"x", "y"), of("file", b"x", "y"));
        assert_ne!(of("file", b"x", "y"), of("file", b"xy", ""));
        assert_ne!(of("file", b"x", "y"), of("group", b"x", "y"));
        assert_ne!(
            of("file", b"x", ""),
            DefinitionDigest::of("file", &serde_json::json!({"a": 2}), b"x", "")
        );
        assert_eq!(format!("{:?}", of("file", b"x", "y")), "Definition");
    }
}
