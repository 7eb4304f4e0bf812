//! Compares the measurements of a drill with the expectations. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{DrillPlan, RecoveryTimes};
use crate::names::HostName;
use crate::probe::RequestStats;

/// Time limit for the election of a new leader; Raft's own election takes about 3 s.
pub(super) const LEADER_WITHIN: Duration = Duration::from_secs(30);
/// Time limit until the managers report a lost node as down: after three missed heartbeats of 5 s
/// each.
pub(super) const DOWN_WITHIN: Duration = Duration::from_secs(60);
/// Time limit until the tasks run on other nodes, which have the images already.
pub(super) const SERVICES_WITHIN: Duration = Duration::from_secs(120);
/// Time limit until the cluster is whole again; the boot of the machines is included.
pub(super) const WHOLE_WITHIN: Duration = Duration::from_secs(180);

/// All measurements of a drill.
#[derive(Debug, Clone, Default)]
pub struct DrillMeasurement {
    /// Reaction of the swarm.
    pub watched: RecoveryTimes,
    /// Counts of the requests; `None` if no port is published.
    pub requests: Option<BTreeMap<HostName, RequestStats>>,
    /// Time from the start of the machines until the cluster is whole; `None` if it is not whole.
    pub whole: Option<Duration>,
    /// Problems of the cluster at the end.
    pub problems: Vec<String>,
}

/// Row of the table: an expectation, or a measurement without one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct DrillResult {
    /// Name of the measurement.
    pub what: String,
    /// Expected value; empty without an expectation.
    pub expected: String,
    /// Measured value.
    pub measured: String,
    /// True if the expectation was met; `None` without an expectation.
    pub held: Option<bool>,
}

/// Returns the table of expectations and measurements.
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
        rows.push(within("lost nodes called down", DOWN_WITHIN, watched.down));
        rows.push(within(
            "services have their tasks",
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
                |_| "there is one".into(),
            ),
            held: Some(watched.leader.is_none()),
        });
    }
    match &measured.requests {
        None => rows.push(DrillResult {
            what: "requests".into(),
            expected: String::new(),
            measured: "not measured: no port is published, or nothing answers at it".into(),
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
                what: "requests to the others lost".into(),
                expected: "0".into(),
                measured: format!("{gone} of {sent}"),
                held: Some(gone == 0 && sent > 0),
            });
            if of(true).next().is_some() {
                let (sent, gone) = sum(true);
                let outage = of(true).map(|(_, stats)| stats.outage).max().flatten();
                let outage = outage.map_or_else(
                    || "no answer again".into(),
                    |time| format!("answered again after {}", seconds(time)),
                );
                rows.push(DrillResult {
                    what: "requests to the lost machines lost".into(),
                    expected: String::new(),
                    measured: format!("{gone} of {sent}; {outage}"),
                    held: None,
                });
            }
        }
    }
    rows.push(DrillResult {
        what: "whole again after the start".into(),
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
    fn expectations_that_were_not_met() {
        assert!(failed(&plan(2), &measured(0)).is_empty());
        assert_eq!(
            failed(&plan(2), &measured(1)),
            ["requests to the others lost"]
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
            "lost nodes called down",
            "services have their tasks",
            "whole again after the start",
        ];
        assert_eq!(failed(&plan(2), &slow), all);
        let silent = DrillMeasurement {
            requests: None,
            ..measured(0)
        };
        assert!(
            failed(&plan(2), &silent).is_empty(),
            "a missing measurement is no failure"
        );
    }
}
