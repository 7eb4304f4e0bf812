//! The difference between what is and what should be, as a value: fields with real before and after values, the steps
//! that would make it, and what they disturb. A plan is a list of changes; `check` shows the same list as drift.

use super::Step;

/// What a change does to its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is not there and will be.
    Create,
    /// It is there and differs.
    Update,
    /// It is there and will not be.
    Delete,
    /// A command that runs each time its condition holds.
    Run,
}

impl Action {
    /// The sign that opens the resource's line: `+`, `~`, `-` or `!`.
    #[must_use]
    pub fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Update => '~',
            Self::Delete => '-',
            Self::Run => '!',
        }
    }
}

/// A value as a plan shows it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisplayValue {
    /// Nothing is there.
    Absent,
    /// A short value, shown as it is.
    Text(String),
    /// A text of several lines, shown as a diff of both sides.
    Lines(String),
    /// A secret: shown as `(secret)`, compared but never printed.
    Secret,
    /// Learnt only while applying: shown as `(known after apply)`.
    KnownAfterApply,
}

impl DisplayValue {
    /// A short text value.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }
}

/// One field of a resource that differs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldChange {
    /// Name as in the playbook.
    pub field: String,
    /// What the host has.
    pub before: DisplayValue,
    /// What it should have.
    pub after: DisplayValue,
}

/// What performing a change disturbs, from harmless to grave.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Disruption {
    /// Nothing that runs.
    #[default]
    Nothing,
    /// A service reloads its configuration and keeps running.
    Reload,
    /// A service other than the Engine restarts.
    ServiceRestart,
    /// The Engine restarts: containers of the host stop, a manager is away for a while.
    EngineRestart,
    /// A manager is taken away for good: demoted, or leaves the swarm.
    ManagerLoss,
}

/// The difference to make for one resource on one host.
#[derive(Debug, Clone)]
pub struct Change {
    /// Create, update, delete or run.
    pub action: Action,
    /// The fields that differ; never empty (a change without a field could not be explained).
    pub fields: Vec<FieldChange>,
    /// What would be done, in order.
    pub steps: Vec<Step>,
    /// What doing it disturbs.
    pub disturbs: Disruption,
    /// Whether the resource differs again right after its steps by its nature (a command without a condition).
    pub repeats: bool,
    /// Remarks that a person should read before saying yes, e.g. that a file was edited behind our back.
    pub notes: Vec<String>,
}

impl Change {
    /// A change with no field and no step yet.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            action,
            fields: Vec::new(),
            steps: Vec::new(),
            disturbs: Disruption::Nothing,
            repeats: false,
            notes: Vec::new(),
        }
    }

    /// Adds a field that differs.
    #[must_use]
    pub fn field(
        mut self,
        field: impl Into<String>,
        before: DisplayValue,
        after: DisplayValue,
    ) -> Self {
        self.fields.push(FieldChange {
            field: field.into(),
            before,
            after,
        });
        self
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Says what performing the change disturbs.
    #[must_use]
    pub fn disturbing(mut self, disturbs: Disruption) -> Self {
        self.disturbs = disturbs;
        self
    }

    /// Adds a remark.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }
}
