//! Removes ignored drift from a run's summary, field by field, and keeps it with the rule that
//! ignores it: ignored drift is counted and listed, never silent.

use serde::Serialize;

use super::IgnoreRules;
use crate::names::HostName;
use crate::runner::{HostOutcome, Outcome, ResourceOutcome, RunSummary};

/// Drift that a rule ignores, on one host.
#[derive(Debug, Clone)]
pub struct IgnoredDrift {
    /// Name of the host.
    pub host: HostName,
    /// The resource with the ignored fields only.
    pub resource: ResourceOutcome,
    /// Reason why the drift is accepted.
    pub reason: String,
    /// Last day of the rule, `YYYY-MM-DD`.
    pub expires: String,
}

/// A run without its ignored drift, and the ignored drift.
#[derive(Debug, Clone, Default)]
pub struct FilteredRun {
    /// Summary without the ignored drift.
    pub summary: RunSummary,
    /// Drift that rules ignore.
    pub ignored: Vec<IgnoredDrift>,
}

/// Applies the active rules. A resource that could not be read is never ignored: its differences
/// are unknown.
#[must_use]
pub fn apply_ignore_rules(mut summary: RunSummary, rules: &IgnoreRules) -> FilteredRun {
    let mut ignored = Vec::new();
    for (host, outcome) in &mut summary.hosts {
        for resource in outcome
            .resources
            .iter_mut()
            .filter(|resource| resource.outcome == Outcome::Differs)
        {
            let whole = resource.clone();
            let Some(change) = &mut resource.change else {
                continue;
            };
            for rule in rules
                .active
                .iter()
                .filter(|rule| rule.is_about(host, &resource.resource))
            {
                let (out, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut change.fields)
                    .into_iter()
                    .partition(|field| rule.covers(&field.field));
                change.fields = kept;
                if out.is_empty() {
                    continue;
                }
                let mut part = whole.clone();
                part.change = part
                    .change
                    .map(|change| crate::runner::outcome::ChangeView {
                        fields: out,
                        ..change
                    });
                let (reason, expires) = (rule.reason.clone(), rule.expires.clone());
                ignored.push(IgnoredDrift {
                    host: host.clone(),
                    resource: part,
                    reason,
                    expires,
                });
            }
            if change.fields.is_empty() {
                (resource.outcome, resource.change, resource.cause) =
                    (Outcome::Unchanged, None, None);
            }
        }
    }
    FilteredRun { summary, ignored }
}

/// Fields of a differing resource that one rule ignores, for the events of `--json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct IgnoredFields {
    /// Names of the fields.
    pub fields: Vec<String>,
    /// Reason why the drift is accepted.
    pub reason: String,
    /// Last day of the rule, `YYYY-MM-DD`.
    pub expires: String,
}

/// Returns the fields of one resource that the rules ignore, and whether they cover all of its
/// drift.
#[must_use]
pub fn ignored_fields(
    host: &HostName,
    resource: &ResourceOutcome,
    rules: &IgnoreRules,
) -> (Vec<IgnoredFields>, bool) {
    let one = HostOutcome {
        resources: vec![resource.clone()],
        ..HostOutcome::default()
    };
    let hosts = [(host.clone(), one)].into_iter().collect();
    let filtered = apply_ignore_rules(
        RunSummary {
            hosts,
            ..RunSummary::default()
        },
        rules,
    );
    let fields = |ignored: IgnoredDrift| IgnoredFields {
        fields: ignored
            .resource
            .change
            .into_iter()
            .flat_map(|change| change.fields)
            .map(|field| field.field)
            .collect(),
        reason: ignored.reason,
        expires: ignored.expires,
    };
    let nothing_left = !filtered.summary.differs();
    (
        filtered.ignored.into_iter().map(fields).collect(),
        nothing_left,
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::drift::IgnoreRule;
    use crate::model::{Action, Change, DisplayValue};
    use crate::runner::outcome::ChangeView;

    fn rule(resource: &str, field: Option<&str>) -> IgnoreRule {
        IgnoreRule {
            hosts: [HostName::new("a")].into_iter().collect(),
            resource: resource.into(),
            field: field.map(str::to_owned),
            reason: "known".into(),
            expires: "2030-01-01".into(),
            place: String::new(),
        }
    }

    fn summary() -> RunSummary {
        let change = Change::new(Action::Update)
            .field(
                "mode",
                DisplayValue::text("0600"),
                DisplayValue::text("0644"),
            )
            .field(
                "owner",
                DisplayValue::text("ann"),
                DisplayValue::text("root"),
            );
        let resource = ResourceOutcome {
            change: Some(ChangeView::from(&change)),
            ..ResourceOutcome::new("p", "file[/x]", Outcome::Differs)
        };
        let failed = Outcome::Failed {
            why: "unreadable".into(),
            hint: String::new(),
        };
        let host = |resources| HostOutcome {
            resources,
            ..HostOutcome::default()
        };
        let hosts = [
            (
                HostName::new("a"),
                host(vec![
                    resource.clone(),
                    ResourceOutcome::new("p", "file[/y]", failed),
                ]),
            ),
            (HostName::new("b"), host(vec![resource])),
        ];
        RunSummary {
            hosts: hosts.into_iter().collect(),
            ..RunSummary::default()
        }
    }

    #[test]
    fn fields_are_ignored_one_by_one_and_kept_with_their_reason() {
        let rules = IgnoreRules {
            active: vec![rule("file[*]", Some("mode"))],
            expired: vec![rule("*", None)],
        };
        let filtered = apply_ignore_rules(summary(), &rules);
        let left = &filtered.summary.hosts[0].resources[0];
        assert_eq!(left.outcome, Outcome::Differs);
        assert_eq!(left.change.as_ref().unwrap().fields[0].field, "owner");
        assert_eq!(filtered.ignored.len(), 1);
        assert_eq!(
            filtered.ignored[0].resource.change.as_ref().unwrap().fields[0].field,
            "mode"
        );
        assert_eq!(
            filtered.summary.hosts[1].resources[0]
                .change
                .as_ref()
                .unwrap()
                .fields
                .len(),
            2,
            "another host"
        );
    }

    #[test]
    fn whole_resource_is_ignored_and_a_failed_one_never_is() {
        let rules = IgnoreRules {
            active: vec![rule("*", None)],
            expired: Vec::new(),
        };
        let filtered = apply_ignore_rules(summary(), &rules);
        assert_eq!(
            filtered.summary.hosts[0].resources[0].outcome,
            Outcome::Unchanged
        );
        assert!(
            filtered.summary.failed() && filtered.summary.differs(),
            "the failure, and the other host"
        );
        assert_eq!(filtered.ignored.len(), 1);
    }
}
