//! A change: the difference between the observed and the desired state of a resource, as data. It
//! has fields with values before and after, the steps, and their disruption. A plan is a list of
//! changes; `check` shows the same list as drift.

use super::{ChangeEffect, Step};
use crate::base::mask_url_passwords;

/// Effect of a change on its resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The resource does not exist and is created.
    Create,
    /// The resource exists and differs.
    Update,
    /// The resource exists and is deleted.
    Delete,
    /// A command runs, each time its condition holds.
    Run,
}

impl Action {
    /// Returns the sign at the start of the resource's line: `+`, `~`, `-` or `!`.
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

/// A value in the form that a plan shows.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DisplayValue {
    /// There is no value.
    Absent,
    /// A short value, shown literally.
    Text(String),
    /// A text of several lines, shown as a diff between before and after.
    Lines(String),
    /// A secret: shown as `(secret)`, compared but never printed.
    Secret,
    /// A value that is known only while applying: shown as `(known after apply)`.
    KnownAfterApply,
}

impl DisplayValue {
    /// Makes a short text value. Passwords in its URLs are replaced by `***`.
    pub fn text(value: impl Into<String>) -> Self {
        Self::Text(mask_url_passwords(&value.into()).into_owned())
    }
}

/// A field of a resource that differs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct FieldChange {
    /// Name of the field in the playbook.
    pub field: String,
    /// Value on the host.
    pub before: DisplayValue,
    /// Value that the playbook asks for.
    pub after: DisplayValue,
}

/// Disruption that a change causes, in order of severity.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Disruption {
    /// No running service is affected.
    #[default]
    Nothing,
    /// A service reloads its configuration and keeps running.
    Reload,
    /// A service other than the Engine restarts.
    ServiceRestart,
    /// The Engine restarts: containers of the host stop, and a manager is unavailable for a while.
    EngineRestart,
    /// The host leaves the swarm, of which it was no manager: its tasks move to other nodes.
    NodeLoss,
    /// The swarm permanently loses a manager: the node is demoted or leaves the swarm.
    ManagerLoss,
}

/// A change to one resource on one host.
#[derive(Debug, Clone)]
pub struct Change {
    /// Create, update, delete or run.
    pub action: Action,
    /// Fields that differ; never empty (a change without a field could not be explained).
    pub fields: Vec<FieldChange>,
    /// Steps that change nothing and must succeed before a disruption. They are performed before
    /// the quorum check, so that nothing stands between its answer and the disruption.
    pub preparation: Vec<Step>,
    /// Steps that make the change, in order.
    pub steps: Vec<Step>,
    /// Disruption that the steps cause.
    pub disturbs: Disruption,
    /// True if the resource by its nature differs again right after its steps (a command without a
    /// condition).
    pub repeats: bool,
    /// Notes that a person should read before confirming, e.g. that a file was edited outside skep.
    pub notes: Vec<String>,
    /// Effect that the kind declares; see [`Change::effect`].
    pub(super) declared_effect: ChangeEffect,
}

impl Change {
    /// Makes a change without fields and steps.
    #[must_use]
    pub fn new(action: Action) -> Self {
        Self {
            action,
            fields: Vec::new(),
            preparation: Vec::new(),
            steps: Vec::new(),
            disturbs: Disruption::Nothing,
            repeats: false,
            notes: Vec::new(),
            declared_effect: ChangeEffect::Unknown,
        }
    }

    /// Returns true if the host leaves its swarm, so its node must be drained first.
    #[must_use]
    pub fn leaves_swarm(&self) -> bool {
        self.disturbs >= Disruption::NodeLoss && self.action == Action::Delete
    }

    /// Adds a field that differs. If both values look alike, because they differ in a password
    /// that is not shown, the plan says so.
    #[must_use]
    pub fn field(
        mut self,
        field: impl Into<String>,
        before: DisplayValue,
        mut after: DisplayValue,
    ) -> Self {
        let is_alike = before == after;
        if let DisplayValue::Text(text) | DisplayValue::Lines(text) = &mut after
            && is_alike
            && text.contains(":***@")
        {
            text.push_str(" (with another password)");
        }
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

    /// Adds a step that must succeed before the disruption.
    #[must_use]
    pub fn preparing(mut self, step: Step) -> Self {
        self.preparation.push(step);
        self
    }

    /// Sets the disruption that the change causes.
    #[must_use]
    pub fn disturbing(mut self, disturbs: Disruption) -> Self {
        self.disturbs = disturbs;
        self
    }

    /// Adds a note. Passwords in its URLs are replaced by `***`.
    #[must_use]
    pub fn note(mut self, note: impl Into<String>) -> Self {
        self.notes
            .push(mask_url_passwords(&note.into()).into_owned());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_in_urls_are_in_no_value_and_no_note() {
        let proxy = |password: &str| format!("http://u:{password}@proxy:3128");
        let change = Change::new(Action::Update)
            .field(
                "http-proxy",
                DisplayValue::text(proxy("OLD")),
                DisplayValue::text(proxy("NEW")),
            )
            .field(
                "/etc/x.conf",
                DisplayValue::content(format!("a\nP={}\n", proxy("OLD")).as_bytes()),
                DisplayValue::content(format!("b\nP={}\n", proxy("NEW")).as_bytes()),
            )
            .note(proxy("OLD"));
        let shown = format!("{change:?}");
        assert!(!shown.contains("OLD") && !shown.contains("NEW"), "{shown}");
        assert_eq!(
            change.fields[0].after,
            DisplayValue::text("http://u:***@proxy:3128 (with another password)")
        );
        assert_eq!(
            change.fields[1].after,
            DisplayValue::Lines("b\nP=http://u:***@proxy:3128\n".into())
        );
    }
}
