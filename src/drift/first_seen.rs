//! Finds out from earlier reports since when each resource has drifted. A check that could not read
//! a host says nothing about the host: its drift continues through that check.

use std::collections::{BTreeMap, BTreeSet};
use std::time::SystemTime;

use serde::Serialize;

use super::HostState;
use super::report::{CheckReport, ReportDrift, ReportHost, ReportMember};
use crate::names::HostName;
use crate::swarm::CertificateValidity;

/// Fills in the values that only earlier reports know: since when each resource differs, and the
/// time of the last success. `earlier` yields the newest report first and is read only as far as
/// needed.
pub fn fill_from_history(report: &mut CheckReport, earlier: impl Iterator<Item = CheckReport>) {
    let success =
        |report: &CheckReport| matches!(report.state, HostState::InSync | HostState::Drift);
    report.last_success = success(report).then(|| report.started.clone());
    let mut pending: BTreeSet<(String, String)> = report
        .hosts
        .iter()
        .flat_map(|host| drifts(host).map(|drift| (host.host.clone(), drift.resource.clone())))
        .collect();
    let mut since: BTreeMap<(String, String), String> = BTreeMap::new();
    for old in earlier {
        if report.last_success.is_none() {
            report.last_success.clone_from(&old.last_success);
        }
        for host in &old.hosts {
            pending.retain(|key| {
                if key.0 != host.host {
                    return true;
                }
                match checked_state(host, &key.1) {
                    CheckedState::Drift => {
                        let found = drifts(host).find(|drift| drift.resource == key.1);
                        let began = found
                            .and_then(|drift| drift.since.clone())
                            .unwrap_or_else(|| old.started.clone());
                        since.insert(key.clone(), began);
                        false
                    }
                    CheckedState::InSync => false,
                    CheckedState::Unknown => true,
                }
            });
        }
        if pending.is_empty() && report.last_success.is_some() {
            break;
        }
    }
    let started = report.started.clone();
    for host in &mut report.hosts {
        let name = host.host.clone();
        let all = host
            .drift
            .iter_mut()
            .chain(host.ignored.iter_mut().map(|ignored| &mut ignored.drift));
        for drift in all {
            let key = (name.clone(), drift.resource.clone());
            drift.since = Some(since.get(&key).unwrap_or(&started).clone());
        }
    }
}

fn drifts(host: &ReportHost) -> impl Iterator<Item = &ReportDrift> {
    host.drift
        .iter()
        .chain(host.ignored.iter().map(|ignored| &ignored.drift))
}

/// Returns the certificates of the swarm's members from the latest report that has an overview of
/// the swarm.
#[must_use]
pub fn earlier_certificates(
    mut earlier: impl Iterator<Item = CheckReport>,
) -> BTreeMap<HostName, CertificateValidity> {
    let seconds = |text: &str| {
        let since = humantime::parse_rfc3339(text)
            .ok()?
            .duration_since(SystemTime::UNIX_EPOCH)
            .ok()?;
        i64::try_from(since.as_secs()).ok()
    };
    let cluster = earlier
        .find_map(|report| report.cluster)
        .unwrap_or_default();
    let of_member = |member: &ReportMember| {
        let (host, certificate) = (member.host.as_ref()?, member.certificate.as_ref()?);
        let validity = CertificateValidity {
            from: seconds(&certificate.from)?,
            until: seconds(&certificate.until)?,
        };
        Some((HostName::new(host), validity))
    };
    cluster.members.iter().filter_map(of_member).collect()
}

/// Result of one check for one resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckedState {
    /// The resource was in sync.
    InSync,
    /// The resource differed.
    Drift,
    /// The resource was not checked, or could not be read.
    Unknown,
}

fn checked_state(host: &ReportHost, resource: &str) -> CheckedState {
    let failed = host
        .failed
        .iter()
        .any(|failure| failure.resource == resource);
    if drifts(host).any(|drift| drift.resource == resource) {
        CheckedState::Drift
    } else if failed
        || host.failure.is_some()
        || matches!(host.state, HostState::Unreachable | HostState::NotLookedAt)
    {
        CheckedState::Unknown
    } else {
        CheckedState::InSync
    }
}

/// Resource in the output of `skep history`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HistoryRow {
    /// Name of the host.
    pub host: String,
    /// `kind[name]`.
    pub resource: String,
    /// Start of the latest drift, RFC 3339.
    pub since: String,
    /// First check that found the resource in sync again, RFC 3339; `None` while it drifts or could
    /// not be read.
    pub until: Option<String>,
    /// Result of every check, oldest first.
    pub checks: Vec<CheckedState>,
}

/// Returns every resource that drifted in any of these reports, which come oldest first. Resources
/// that still drift come first, by host; then those whose drift ended, the latest first.
#[must_use]
pub fn history_rows(reports: &[CheckReport]) -> Vec<HistoryRow> {
    let mut keys: BTreeSet<(&str, &str)> = BTreeSet::new();
    for host in reports.iter().flat_map(|report| &report.hosts) {
        keys.extend(drifts(host).map(|drift| (host.host.as_str(), drift.resource.as_str())));
    }
    let mut rows: Vec<HistoryRow> = keys
        .into_iter()
        .map(|(host, resource)| row(reports, host, resource))
        .collect();
    rows.sort_by(|one, other| match (&one.until, &other.until) {
        (Some(one), Some(other)) => other.cmp(one),
        (one, other) => one.is_some().cmp(&other.is_some()),
    });
    rows
}

fn row(reports: &[CheckReport], name: &str, resource: &str) -> HistoryRow {
    let mut row = HistoryRow {
        host: name.into(),
        resource: resource.into(),
        since: String::new(),
        until: None,
        checks: Vec::new(),
    };
    let mut drifting = false;
    for report in reports {
        let host = report.hosts.iter().find(|host| host.host == name);
        let state = host.map_or(CheckedState::Unknown, |host| checked_state(host, resource));
        match state {
            CheckedState::Drift if !drifting => {
                let drift =
                    host.and_then(|host| drifts(host).find(|drift| drift.resource == resource));
                row.since = drift
                    .and_then(|drift| drift.since.clone())
                    .unwrap_or_else(|| report.started.clone());
                (drifting, row.until) = (true, None);
            }
            CheckedState::InSync if drifting => {
                row.until = Some(report.started.clone());
                drifting = false;
            }
            _ => {}
        }
        row.checks.push(state);
    }
    row
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::drift::report::ReportTotals;
    use crate::runner::DriftCause;

    /// A check on a day of June: `d` drift, `s` in sync, `u` unreachable.
    fn check(day: u32, state: char) -> CheckReport {
        let drift = ReportDrift {
            play: "p".into(),
            resource: "file[/x]".into(),
            kind: "file".into(),
            action: "update".into(),
            disturbs: "nothing".into(),
            cause: DriftCause::NeverApplied,
            since: None,
            last_applied: None,
            fields: Vec::new(),
            notes: Vec::new(),
        };
        let state = match state {
            'd' => HostState::Drift,
            's' => HostState::InSync,
            _ => HostState::Unreachable,
        };
        let drift = if state == HostState::Drift {
            vec![drift]
        } else {
            Vec::new()
        };
        let host = ReportHost {
            host: "a".into(),
            state,
            failure: None,
            unreachable: None,
            notes: Vec::new(),
            resources: 1,
            drift,
            ignored: Vec::new(),
            failed: Vec::new(),
        };
        CheckReport {
            schema: 1,
            tool: String::new(),
            started: format!("2026-06-{day:02}T00:00:00Z"),
            millis: 1,
            inventory: Vec::new(),
            playbooks: Vec::new(),
            state,
            exit_code: 0,
            last_success: None,
            totals: ReportTotals::default(),
            hosts: vec![host],
            expired_rules: Vec::new(),
            cluster: None,
        }
    }

    /// Reports as the history keeps them, each filled in from those before it.
    fn kept(states: &str) -> Vec<CheckReport> {
        let mut kept: Vec<CheckReport> = Vec::new();
        for (state, day) in states.chars().zip(1..) {
            let mut report = check(day, state);
            fill_from_history(&mut report, kept.iter().rev().cloned());
            kept.push(report);
        }
        kept
    }

    #[test]
    fn drift_continues_through_checks_that_could_not_read_the_host() {
        let since = |states: &str| {
            kept(states).pop().unwrap().hosts[0].drift[0]
                .since
                .clone()
                .unwrap()
        };
        assert!(since("d").starts_with("2026-06-01"));
        assert!(since("sddd").starts_with("2026-06-02"));
        assert!(since("sduud").starts_with("2026-06-02"));
        assert!(since("sdsd").starts_with("2026-06-04"));
    }

    #[test]
    fn last_success_is_taken_from_earlier_reports() {
        let last = |states: &str| kept(states).pop().unwrap().last_success;
        assert_eq!(last("u"), None);
        assert!(last("sduu").unwrap().starts_with("2026-06-02"));
    }

    #[test]
    fn history_rows_have_the_start_and_end_of_drift() {
        let rows = history_rows(&kept("sdds"));
        assert_eq!(rows.len(), 1);
        assert!(rows[0].since.starts_with("2026-06-02"));
        assert!(rows[0].until.as_ref().unwrap().starts_with("2026-06-04"));
        assert_eq!(
            rows[0].checks,
            [
                CheckedState::InSync,
                CheckedState::Drift,
                CheckedState::Drift,
                CheckedState::InSync
            ]
        );
        let rows = history_rows(&kept("sdsdu"));
        assert!(rows[0].since.starts_with("2026-06-04") && rows[0].until.is_none());
        assert!(history_rows(&kept("sus")).is_empty());
    }
}
