//! The contract of a kind of resource: three pure, synchronous functions over data, and the values
//! that they return. A kind never sees a connection; all I/O happens elsewhere.

use std::sync::Arc;

use super::{
    Change, DefinitionDigest, ExpectedMember, ForeignData, HostAnswers, HostContext, PinnedVersion,
    ProbeError, Query,
};

/// A kind of resource; its author implements this trait.
///
/// The struct itself is deserialized from the playbook's table, after templates were rendered; use
/// `#[serde(deny_unknown_fields)]` so that a typo is an error at its own line.
pub trait ResourceKind: serde::de::DeserializeOwned + Send + Sync + 'static {
    /// The kind's name in playbooks, e.g. `package`.
    const NAME: &'static str;
    /// Scope of the kind's resources: one per host of a play, or one for the cluster.
    const SCOPE: ResourceScope = ResourceScope::Host;
    /// True if neither the state nor the change of such a resource can depend on another host: its
    /// host does not wait for others before a play of such resources alone. Default `false`.
    const IS_LOCAL: bool = false;
    /// Typed state of the resource on the host.
    type Observed;

    /// Returns the resource's own name: `docker-ce` in `package[docker-ce]`.
    fn name(&self) -> String;

    /// Checks the fields and takes the needed data from the context (templates, source files, other
    /// hosts). Performs no I/O.
    ///
    /// # Errors
    /// [`InvalidField`] with the wrong field, the reason and a suggestion.
    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        let _ = context;
        Ok(())
    }

    /// Returns the queries that must be answered to know the resource's state.
    fn queries(&self) -> Vec<Query>;

    /// Turns answers into the typed state, or returns further queries that depend on the first
    /// answers.
    ///
    /// # Errors
    /// [`ProbeError`] if the state cannot be determined. Absence is a state, never an error.
    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError>;

    /// Returns the change to make, or `None` if the resource is in sync.
    ///
    /// # Errors
    /// [`Refusal`] if the change would do harm: the resource fails and the host stays unchanged.
    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal>;

    /// Returns the action that at most one host of a run may take, such as `swarm init`. The error
    /// that names both hosts quotes the text. Checked when the playbook is resolved, before any
    /// connection.
    fn singleton_claim(&self) -> Option<String> {
        None
    }

    /// Returns the inventory values that the resource depends on besides its own table, as text.
    /// They are part of the definition digest, so a changed value counts as a changed definition.
    /// Templates and source files are hashed separately.
    fn inventory_inputs(&self) -> String {
        String::new()
    }

    /// Returns the node that the resource makes of its host; `None` if the kind has no influence on
    /// the membership in the swarm.
    fn expected_member(&self) -> Option<ExpectedMember> {
        None
    }

    /// Returns the versions that the resource wants for packages.
    fn pinned_versions(&self) -> Vec<PinnedVersion> {
        Vec::new()
    }

    /// Returns the setting of the resource with which Docker Engine does not start on a node of a
    /// swarm. A host with such a resource and with one that makes it a member of the swarm is an
    /// error, found before any connection.
    fn swarm_conflict(&self) -> Option<String> {
        None
    }

    /// Returns warnings about the table, one sentence each. They do not stop a run.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the directory in which only root can write once the resource is applied. A later
    /// resource of the host may be unreadable until then.
    fn closed_directory(&self) -> Option<&str> {
        None
    }

    /// Returns the directories whose content the resource declares to the services.
    fn data_directories(&self) -> Vec<String> {
        Vec::new()
    }

    /// Returns the resource with another treatment of data that it would refuse; `None` if the kind
    /// declares no data.
    fn accepting(&self, data: ForeignData) -> Option<Self> {
        let _ = data;
        None
    }
}

/// Owner of a kind's resources: a host or the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceScope {
    /// Each host of the play: a package, a file.
    Host,
    /// The cluster: a network, a stack. The first host of the play is the delegate that runs the
    /// resource, and it reaches the cluster through any manager that answers.
    Cluster,
}

/// Result of `observe`.
pub enum Observation<T> {
    /// The state is known.
    Known(T),
    /// Further queries that must be answered first; `observe` is called again with all answers.
    Needs(Vec<Query>),
}

/// A field whose value in the playbook is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidField {
    /// Field of the resource, e.g. `mode`; empty if the error is about the whole resource.
    pub field: String,
    /// Description of the error.
    pub message: String,
    /// Suggestion for a fix.
    pub hint: Option<String>,
}

impl InvalidField {
    /// Makes an error about a field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// Sets the suggestion.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Reason why skep refuses to do what the playbook says on this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// Harm that the change would do, in one sentence.
    pub why: String,
    /// Remedy to try, in one sentence.
    pub hint: String,
}

/// Result of examining a resource.
pub enum Examination {
    /// Further queries must be answered first.
    Needs(Vec<Query>),
    /// The resource is in sync.
    InSync,
    /// The resource differs.
    Differs(Change),
}

/// Reason why a resource could not be examined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExamineError {
    /// The state could not be read.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// The change is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A resource of any kind; the runner works with this trait.
pub trait Resource: Send + Sync {
    /// Returns `kind[name]`.
    fn id(&self) -> String;
    /// Returns the name of the kind.
    fn kind(&self) -> &'static str;
    /// See [`ResourceKind::queries`].
    fn queries(&self) -> Vec<Query>;
    /// Observes and plans.
    ///
    /// # Errors
    /// [`ExamineError`] if the state is unknown or the change is refused.
    fn examine(&self, answers: &HostAnswers) -> Result<Examination, ExamineError>;
    /// See [`ResourceKind::singleton_claim`].
    fn singleton_claim(&self) -> Option<String> {
        None
    }
    /// See [`ResourceKind::inventory_inputs`].
    fn inventory_inputs(&self) -> String {
        String::new()
    }
    /// Returns the digest of the definition; `None` for a resource that comes from no playbook.
    fn definition(&self) -> Option<DefinitionDigest> {
        None
    }
    /// See [`ResourceKind::expected_member`].
    fn expected_member(&self) -> Option<ExpectedMember> {
        None
    }
    /// See [`ResourceKind::pinned_versions`].
    fn pinned_versions(&self) -> Vec<PinnedVersion> {
        Vec::new()
    }
    /// See [`ResourceKind::swarm_conflict`].
    fn swarm_conflict(&self) -> Option<String> {
        None
    }
    /// See [`ResourceKind::warnings`].
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
    /// See [`ResourceKind::closed_directory`].
    fn closed_directory(&self) -> Option<&str> {
        None
    }
    /// See [`ResourceKind::data_directories`].
    fn data_directories(&self) -> Vec<String> {
        Vec::new()
    }
    /// See [`ResourceKind::accepting`].
    fn accepting(&self, data: ForeignData) -> Option<Arc<dyn Resource>> {
        let _ = data;
        None
    }
}

impl<K: ResourceKind> Resource for K {
    fn id(&self) -> String {
        format!("{}[{}]", K::NAME, self.name())
    }

    fn kind(&self) -> &'static str {
        K::NAME
    }

    fn queries(&self) -> Vec<Query> {
        ResourceKind::queries(self)
    }

    fn singleton_claim(&self) -> Option<String> {
        ResourceKind::singleton_claim(self)
    }

    fn inventory_inputs(&self) -> String {
        ResourceKind::inventory_inputs(self)
    }

    fn expected_member(&self) -> Option<ExpectedMember> {
        ResourceKind::expected_member(self)
    }

    fn pinned_versions(&self) -> Vec<PinnedVersion> {
        ResourceKind::pinned_versions(self)
    }

    fn swarm_conflict(&self) -> Option<String> {
        ResourceKind::swarm_conflict(self)
    }

    fn warnings(&self) -> Vec<String> {
        ResourceKind::warnings(self)
    }

    fn closed_directory(&self) -> Option<&str> {
        ResourceKind::closed_directory(self)
    }

    fn data_directories(&self) -> Vec<String> {
        ResourceKind::data_directories(self)
    }

    fn accepting(&self, data: ForeignData) -> Option<Arc<dyn Resource>> {
        ResourceKind::accepting(self, data).map(|kind| Arc::new(kind) as Arc<dyn Resource>)
    }

    fn examine(&self, answers: &HostAnswers) -> Result<Examination, ExamineError> {
        Ok(match self.observe(answers)? {
            Observation::Needs(queries) => Examination::Needs(queries),
            Observation::Known(observed) => match self.plan(&observed)? {
                None => Examination::InSync,
                Some(change) => Examination::Differs(change),
            },
        })
    }
}
