//! Assembles the report of a check from the run's summary. Pure: it reads nothing and prints
//! nothing; the history is filled in by `first_seen`.

use std::time::{Duration, SystemTime};

use super::report::{
    CheckReport, REPORT_SCHEMA, ReportCertificate, ReportCluster, ReportDrift, ReportExpiredRule,
    ReportFailure, ReportField, ReportHost, ReportIgnored, ReportMember, ReportProblem,
    ReportTotals, ReportValue,
};
use super::{FilteredRun, HostState, IgnoreRules, IgnoredDrift};
use crate::model::DisplayValue;
use crate::runner::{DriftCause, HostOutcome, Outcome, ResourceOutcome};
use crate::swarm::CertificateValidity;
use crate::swarm::overview::ClusterOverview;

/// Scope and result of a check.
pub struct CheckMetadata<'a> {
    /// Time at which the check began.
    pub started: SystemTime,
    /// Inventory files and folders, as the user named them.
    pub inventory: Vec<String>,
    /// Playbooks, as the user named them.
    pub playbooks: Vec<String>,
    /// Exit code of the check.
    pub exit_code: u8,
    /// Ignore rules that were applied.
    pub rules: &'a IgnoreRules,
    /// Overview of the swarm; `None` if it was not read.
    pub cluster: Option<&'a ClusterOverview>,
}

/// Assembles the report; `since` and `last_success` are filled in later from the history.
#[must_use]
pub fn assemble(filtered: &FilteredRun, about: &CheckMetadata<'_>) -> CheckReport {
    let summary = &filtered.summary;
    let mut hosts: Vec<ReportHost> = summary
        .hosts
        .iter()
        .map(|(name, outcome)| {
            let ignored = filtered.ignored.iter().filter(|drift| drift.host == *name);
            host(
                name.as_str(),
                outcome,
                HostState::of(outcome, summary.interrupted),
                ignored,
            )
        })
        .collect();
    hosts.sort_by(|one, other| one.host.cmp(&other.host));
    let rule = |rule: &super::IgnoreRule| ReportExpiredRule {
        place: rule.place.clone(),
        resource: rule.resource.clone(),
        reason: rule.reason.clone(),
        expires: rule.expires.clone(),
    };
    CheckReport {
        schema: REPORT_SCHEMA,
        tool: format!("skep {}", env!("CARGO_PKG_VERSION")),
        started: rfc3339(about.started),
        millis: summary.millis,
        inventory: about.inventory.clone(),
        playbooks: about.playbooks.clone(),
        state: hosts
            .iter()
            .map(|host| host.state)
            .max()
            .unwrap_or(HostState::InSync),
        exit_code: about.exit_code,
        last_success: None,
        totals: totals(&hosts),
        hosts,
        expired_rules: about.rules.expired.iter().map(rule).collect(),
        cluster: about.cluster.map(cluster),
    }
}

fn totals(hosts: &[ReportHost]) -> ReportTotals {
    let count = |state: HostState| hosts.iter().filter(|host| host.state == state).count();
    ReportTotals {
        hosts: hosts.len(),
        in_sync: count(HostState::InSync),
        drift: count(HostState::Drift),
        unreachable: count(HostState::Unreachable),
        failed: count(HostState::Failed),
        not_looked_at: count(HostState::NotLookedAt),
        resources: hosts.iter().map(|host| host.resources).sum(),
        drifted_resources: hosts.iter().map(|host| host.drift.len()).sum(),
        failed_resources: hosts.iter().map(|host| host.failed.len()).sum(),
        ignored: hosts.iter().map(|host| host.ignored.len()).sum(),
    }
}

fn host<'a>(
    name: &str,
    outcome: &HostOutcome,
    state: HostState,
    ignored: impl Iterator<Item = &'a IgnoredDrift>,
) -> ReportHost {
    ReportHost {
        host: name.to_owned(),
        state,
        unreachable: outcome.unreachable.as_ref().map(trouble),
        failure: outcome.failure.as_ref().map(trouble),
        notes: outcome.notes.clone(),
        resources: outcome.resources.len(),
        drift: outcome.resources.iter().filter_map(drift).collect(),
        ignored: ignored
            .filter_map(|ignored| {
                let (reason, expires) = (ignored.reason.clone(), ignored.expires.clone());
                Some(ReportIgnored {
                    drift: drift(&ignored.resource)?,
                    reason,
                    expires,
                })
            })
            .collect(),
        failed: outcome.resources.iter().filter_map(failure).collect(),
    }
}

fn trouble(trouble: &crate::runner::outcome::Problem) -> ReportProblem {
    ReportProblem {
        why: trouble.why.clone(),
        hint: trouble.hint.clone(),
    }
}

fn drift(resource: &ResourceOutcome) -> Option<ReportDrift> {
    let change = resource
        .change
        .as_ref()
        .filter(|_| resource.outcome == Outcome::Differs)?;
    let word = |value: serde_json::Result<serde_json::Value>| {
        value
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    };
    let field = |field: &crate::model::FieldChange| ReportField {
        field: field.field.clone(),
        before: value(&field.before),
        after: value(&field.after),
    };
    Some(ReportDrift {
        play: resource.play.clone(),
        resource: resource.resource.clone(),
        kind: kind(&resource.resource),
        action: word(serde_json::to_value(change.action)),
        disturbs: word(serde_json::to_value(change.disturbs)),
        cause: resource.cause.unwrap_or(DriftCause::Unknown),
        since: None,
        last_applied: resource.last_applied.and_then(moment),
        fields: change.fields.iter().map(field).collect(),
        notes: change.notes.clone(),
    })
}

/// Formats a time as RFC 3339. The clock may be wrong: a time before 1970 or after 9999 is shown as
/// 1970.
#[must_use]
pub fn rfc3339(time: SystemTime) -> String {
    let seconds = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    moment(seconds).or_else(|| moment(0)).unwrap_or_default()
}

/// Formats seconds since 1970 as RFC 3339. The value may come from a damaged record: `None` if it
/// lies outside the calendar.
fn moment(seconds: u64) -> Option<String> {
    // The last second of the year 9999; RFC 3339 has no form for later years.
    let limit = 253_402_300_799;
    (seconds <= limit).then(|| {
        humantime::format_rfc3339_seconds(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
            .to_string()
    })
}

fn failure(resource: &ResourceOutcome) -> Option<ReportFailure> {
    let Outcome::Failed { why, hint } = &resource.outcome else {
        return None;
    };
    Some(ReportFailure {
        play: resource.play.clone(),
        resource: resource.resource.clone(),
        kind: kind(&resource.resource),
        cause: resource.cause.unwrap_or(DriftCause::Unknown),
        why: why.clone(),
        hint: hint.clone(),
    })
}

fn kind(id: &str) -> String {
    id.split('[').next().unwrap_or_default().to_owned()
}

fn value(shown: &DisplayValue) -> ReportValue {
    match shown {
        DisplayValue::Absent => ReportValue::Absent,
        DisplayValue::Text(text) => ReportValue::Text(text.clone()),
        DisplayValue::Lines(text) => ReportValue::Lines(text.clone()),
        DisplayValue::Secret => ReportValue::Secret,
        DisplayValue::KnownAfterApply => ReportValue::KnownAfterApply,
    }
}

fn certificate(validity: CertificateValidity) -> Option<ReportCertificate> {
    let moment = |seconds: i64| moment(u64::try_from(seconds).ok()?);
    Some(ReportCertificate {
        from: moment(validity.from)?,
        until: moment(validity.until)?,
    })
}

fn cluster(page: &ClusterOverview) -> ReportCluster {
    let member = |row: &crate::swarm::overview::OverviewRow| ReportMember {
        host: row.host.as_ref().map(ToString::to_string),
        hostname: row.hostname.clone(),
        node_id: row.node_id.clone(),
        role: row.role.clone(),
        availability: row.availability.clone(),
        state: row.state.clone(),
        leader: row.leader,
        labels: row.labels.clone(),
        engine_version: row.engine_version.clone(),
        address: row.address.clone(),
        certificate: row.certificate.and_then(certificate),
    };
    let (managers, voters) = page.managers;
    ReportCluster {
        members: page.rows.iter().map(member).collect(),
        managers,
        voters,
        problems: page.problems.clone(),
    }
}
