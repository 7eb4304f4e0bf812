//! The contract of a kind of resource: three pure, synchronous functions over data, and the values
//! that they return. A kind never sees a connection; all I/O happens elsewhere.

use std::sync::Arc;

use super::{
    Change, DefinitionDigest, ExpectedMember, ForeignData, HostAnswers, HostContext, ProbeError,
    Query,
};

/// One kind of resource, as its author writes it.
///
/// The struct itself is deserialized from the playbook's table, after templates were rendered; use
/// `#[serde(deny_unknown_fields)]` so that a typo is an error at its own line.
pub trait ResourceKind: serde::de::DeserializeOwned + Send + Sync + 'static {
    /// The kind's name in playbooks, e.g. `package`.
    const NAME: &'static str;
    /// Whether each host of a play has one, or the cluster as a whole.
    const SCOPE: ResourceScope = ResourceScope::Host;
    /// The typed state of the resource on the host.
    type Observed;

    /// The resource's own name: `docker-ce` in `package[docker-ce]`.
    fn name(&self) -> String;

    /// Checks the fields, and takes from the context what the kind needs (templates, sources, other hosts). No I/O.
    ///
    /// # Errors
    /// A [`InvalidField`]: which field is wrong, why, and what would be right.
    fn bind(&mut self, context: &HostContext<'_>) -> Result<(), InvalidField> {
        let _ = context;
        Ok(())
    }

    /// What must be read to know the resource's state.
    fn queries(&self) -> Vec<Query>;

    /// Turns answers into the typed state, or asks further questions that depend on the first answers.
    ///
    /// # Errors
    /// [`ProbeError`] when the state cannot be known. Absence is a state, never an error.
    fn observe(&self, answers: &HostAnswers) -> Result<Observation<Self::Observed>, ProbeError>;

    /// What differs, or `None` when the resource is as asked.
    ///
    /// # Errors
    /// [`Refusal`] when making it so would hurt: the resource fails and the host is left as it is.
    fn plan(&self, observed: &Self::Observed) -> Result<Option<Change>, Refusal>;

    /// What at most one host of a run may do, in the words of the error that names both: `swarm init`. Checked when the
    /// playbook is resolved, before any connection.
    fn singleton_claim(&self) -> Option<String> {
        None
    }

    /// What the kind took from the inventory beside its own table, as text: when it changes, so did what is asked for. Templates
    /// and sources count by themselves.
    fn inventory_inputs(&self) -> String {
        String::new()
    }

    /// Returns the node that the resource makes of its host; `None` if the kind has no influence on
    /// the membership in the swarm.
    fn expected_member(&self) -> Option<ExpectedMember> {
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

/// What a kind's resource belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResourceScope {
    /// Each host of the play: a package, a file.
    Host,
    /// The cluster: a network, a stack. The first host of the play carries it for all, and reaches the cluster through
    /// whichever manager answers.
    Cluster,
}

/// What `observe` found.
pub enum Observation<T> {
    /// The state is known.
    Known(T),
    /// These further queries must be answered first; `observe` is called again with all answers.
    Needs(Vec<Query>),
}

/// A field that cannot be as the playbook says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct InvalidField {
    /// Field of the resource, e.g. `mode`; empty when the whole resource is meant.
    pub field: String,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl InvalidField {
    /// An invalid field.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
            hint: None,
        }
    }

    /// The same with what would be right.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Why skep will not do what the playbook says on this host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// What would be hurt, in one sentence.
    pub why: String,
    /// What to try, in one sentence.
    pub hint: String,
}

/// What an examination of a resource came to.
pub enum Examination {
    /// Further questions come first.
    Needs(Vec<Query>),
    /// The resource is as asked.
    InSync,
    /// The resource differs.
    Differs(Change),
}

/// Why a resource could not be examined.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExamineError {
    /// Its state could not be read.
    #[error(transparent)]
    Probe(#[from] ProbeError),
    /// It is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// A resource of any kind, as the engine sees it.
pub trait Resource: Send + Sync {
    /// `kind[name]`.
    fn id(&self) -> String;
    /// The kind's name.
    fn kind(&self) -> &'static str;
    /// See [`ResourceKind::queries`].
    fn queries(&self) -> Vec<Query>;
    /// Observes and plans.
    ///
    /// # Errors
    /// [`ExamineError`] when the state is unknown or acting is refused.
    fn examine(&self, answers: &HostAnswers) -> Result<Examination, ExamineError>;
    /// See [`ResourceKind::singleton_claim`].
    fn singleton_claim(&self) -> Option<String> {
        None
    }
    /// See [`ResourceKind::inventory_inputs`].
    fn inventory_inputs(&self) -> String {
        String::new()
    }
    /// What the playbook asks, as a digest; `None` for a resource that no playbook made.
    fn definition(&self) -> Option<DefinitionDigest> {
        None
    }
    /// See [`ResourceKind::expected_member`].
    fn expected_member(&self) -> Option<ExpectedMember> {
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
