//! Compares the measurements of a drill with its expectations. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{DrillPlan, RecoveryTimes, RequestStats};
use crate::names::HostName;

/// Limit for a new leader; raft's own election takes about 3 s.
pub(super) const LEADER_WITHIN: Duration = Duration::from_secs(30);
/// Limit until a manager reports a lost node as down, after missed heartbeats (5 s each, a grace of
/// three).
pub(super) const DOWN_WITHIN: Duration = Duration::from_secs(60);
/// Limit until tasks are started elsewhere, if the images are present.
pub(super) const SERVICES_WITHIN: Duration = Duration::from_secs(120);
/// Limit until the cluster is healthy again after the machines have booted.
pub(super) const WHOLE_WITHIN: Duration = Duration::from_secs(180);

/// Measurements of a drill.
#[derive(Debug, Clone, Default)]
pub struct DrillMeasurement {
    /// Observed recovery of the swarm.
    pub watched: RecoveryTimes,
    /// Results of the requests, if a port is published.
    pub requests: Option<BTreeMap<HostName, RequestStats>>,
    /// Time from the start of the machines to a healthy cluster; `None` if it is not healthy.
    pub whole: Option<Duration>,
    /// Problems at the end.
    pub problems: Vec<String>,
}

/// A line of the table.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DrillResult {
    /// Name of the measurement.
    pub what: String,
    /// Expectation; empty if there is none.
    pub expected: String,
    /// Measured value.
    pub measured: String,
    /// True if the expectation was met; `None` if there is none.
    pub held: Option<bool>,
}

/// Returns the table of results.
#[must_use]
pub fn drill_results(plan: &DrillPlan, measured: &DrillMeasurement) -> Vec<DrillResult> {
    let mut rows = Vec::new();
    let watched = &measured.watched;
    let within = |what: &str, limit: Duration, time: Option<Duration>| DrillResult {
        what: what.to_owned(),
        expected: format!("within {} s", limit.as_secs()),
        measured: time.map_or_else(|| format!("not within {}", seconds(watched.whole)), seconds),
        held: Some(time.is_some_and(|time| time <= limit)),
    };
    if plan.keeps_majority() {
        rows.push(within("a leader", LEADER_WITHIN, watched.leader));
        rows.push(within(
            "lost nodes reported down",
            DOWN_WITHIN,
            watched.down,
        ));
        rows.push(within(
            "services have all their tasks",
            SERVICES_WITHIN,
            watched.services,
        ));
        if !watched.pinned.is_empty() {
            rows.push(DrillResult {
                what: "services bound to lost machines".into(),
                expected: String::new(),
                measured: format!("waiting: {}", watched.pinned.join(", ")),
                held: None,
            });
        }
    } else {
        rows.push(DrillResult {
            what: "a leader".into(),
            expected: "none".into(),
            measured: watched.leader.map_or_else(
                || format!("none for {}", seconds(watched.whole)),
                |_| "there is a leader".into(),
            ),
            held: Some(watched.leader.is_none()),
        });
    }
    match &measured.requests {
        None => rows.push(DrillResult {
            what: "requests".into(),
            expected: String::new(),
            measured: "not measured: no port is published, or no machine answers on it".into(),
            held: None,
        }),
        Some(all_stats) => {
            let of = |lost: bool| {
                all_stats
                    .iter()
                    .filter(move |(host, _)| plan.lost.contains(host) == lost)
            };
            let sum = |lost: bool| {
                of(lost).fold((0, 0), |(sent, gone), (_, stats)| {
                    (sent + stats.sent, gone + stats.lost)
                })
            };
            let (sent, gone) = sum(false);
            rows.push(DrillResult {
                what: "lost requests to the other machines".into(),
                expected: "0".into(),
                measured: format!("{gone} of {sent}"),
                held: Some(gone == 0 && sent > 0),
            });
            if of(true).next().is_some() {
                let (sent, gone) = sum(true);
                let outage = of(true).map(|(_, stats)| stats.outage).max().flatten();
                let outage = outage.map_or_else(
                    || "no answer since".into(),
                    |time| format!("answered again after {}", seconds(time)),
                );
                rows.push(DrillResult {
                    what: "lost requests to the lost machines".into(),
                    expected: String::new(),
                    measured: format!("{gone} of {sent}; {outage}"),
                    held: None,
                });
            }
        }
    }
    rows.push(DrillResult {
        what: "healthy again after the start".into(),
        expected: format!("within {} s", WHOLE_WITHIN.as_secs()),
        measured: measured
            .whole
            .map_or_else(|| format!("no: {}", measured.problems.join("; ")), seconds),
        held: Some(measured.whole.is_some_and(|time| time <= WHOLE_WITHIN)),
    });
    rows
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(left: usize) -> DrillPlan {
        DrillPlan {
            lost: vec![HostName::new("m1")],
            managers: (3, left),
            expected: Vec::new(),
        }
    }

    fn measured(others_lost: u32) -> DrillMeasurement {
        let some = |time| Some(Duration::from_secs(time));
        let stats = |sent, lost, outage| RequestStats { sent, lost, outage };
        DrillMeasurement {
            watched: RecoveryTimes {
                leader: some(3),
                down: some(16),
                services: some(18),
                whole: Duration::from_secs(18),
                ..RecoveryTimes::default()
            },
            requests: Some(BTreeMap::from([
                (HostName::new("m1"), stats(100, 60, some(12))),
                (HostName::new("w1"), stats(100, others_lost, None)),
            ])),
            whole: some(9),
            problems: Vec::new(),
        }
    }

    fn failed(plan: &DrillPlan, measured: &DrillMeasurement) -> Vec<String> {
        drill_results(plan, measured)
            .into_iter()
            .filter(|row| row.held == Some(false))
            .map(|row| row.what)
            .collect()
    }

    #[test]
    fn measurements_are_compared_with_expectations() {
        assert!(failed(&plan(2), &measured(0)).is_empty());
        assert_eq!(
            failed(&plan(2), &measured(1)),
            ["lost requests to the other machines"]
        );
        assert_eq!(
            failed(&plan(1), &measured(0)),
            ["a leader"],
            "without a majority there must be none"
        );
        let mut slow = measured(0);
        (slow.watched.down, slow.watched.services, slow.whole) = (None, None, None);
        slow.problems.push("node x is down".into());
        let all = [
            "lost nodes reported down",
            "services have all their tasks",
            "healthy again after the start",
        ];
        assert_eq!(failed(&plan(2), &slow), all);
        let silent = DrillMeasurement {
            requests: None,
            ..measured(0)
        };
        assert!(
            failed(&plan(2), &silent).is_empty(),
            "a measurement that was not made is reported, and is no failure"
        );
    }
}
