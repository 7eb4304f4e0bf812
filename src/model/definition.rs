//! What a playbook asks of a resource, as one digest: tells whether the playbook has changed since it was last applied.

use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::{Examination, ExamineError, ExpectedMember, ForeignData, HostAnswers, Query, Resource};

/// SHA-256 over a resource's kind, its rendered table, the files it was made of and what it took from the inventory. It may be
/// the digest of a short secret: it is never shown, and never written down but keyed (`runner::record`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct DefinitionDigest([u8; 32]);

impl DefinitionDigest {
    /// The digest of a rendered table; `files` is the digest of all files that binding read, `taken` see [`super::ResourceKind::inventory_inputs`].
    #[must_use]
    pub fn of(kind: &str, table: &serde_json::Value, files: &[u8], taken: &str) -> Self {
        DefinitionStart::new(kind, table).with(files, taken)
    }

    /// The digest's bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

// By hand: see above, it may be the digest of a short secret.
impl std::fmt::Debug for DefinitionDigest {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Definition")
    }
}

/// The part of a definition that many hosts share: a kind and its rendered table.
#[derive(Clone)]
pub struct DefinitionStart(Sha256);

impl DefinitionStart {
    /// Of a rendered table.
    #[must_use]
    pub fn new(kind: &str, table: &serde_json::Value) -> Self {
        let mut digest = Sha256::new();
        for part in [kind.as_bytes(), table.to_string().as_bytes()] {
            add(&mut digest, part);
        }
        Self(digest)
    }

    /// The whole definition, see [`DefinitionDigest::of`].
    #[must_use]
    pub fn with(&self, files: &[u8], taken: &str) -> DefinitionDigest {
        let mut digest = self.0.clone();
        for part in [files, taken.as_bytes()] {
            add(&mut digest, part);
        }
        DefinitionDigest(digest.finalize().into())
    }
}

/// With its length in front, no part can be taken for the end of another.
fn add(digest: &mut Sha256, part: &[u8]) {
    digest.update((part.len() as u64).to_be_bytes());
    digest.update(part);
}

/// A resource that knows its definition.
pub struct DefinedResource {
    resource: Arc<dyn Resource>,
    definition: DefinitionDigest,
}

impl DefinedResource {
    /// Puts a definition beside a resource.
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

    fn data_directories(&self) -> Vec<String> {
        self.resource.data_directories()
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
    fn each_part_counts_and_none_runs_into_the_next() {
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
