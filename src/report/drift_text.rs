//! Text of a report's ignored drift and expired rules, and of the history as a table. The
//! differences themselves are shown by `plan`.

use std::fmt::Write as _;

use super::{TextTable, literal};
use crate::drift::report::CheckReport;
use crate::drift::{CheckedState, HistoryRow};

/// Maximum number of checks in a sparkline: the newest ones.
const MOST_CHECKS: usize = 40;
/// Maximum number of listed resources whose drift has ended; further ones are only counted.
const MOST_ENDED: usize = 20;

/// Returns the ignored drift and the expired rules, one line each; empty if there are none.
#[must_use]
pub fn ignored_text(report: &CheckReport) -> String {
    let mut text = String::new();
    for host in &report.hosts {
        for ignored in &host.ignored {
            let fields: Vec<&str> = ignored
                .drift
                .fields
                .iter()
                .map(|field| field.field.as_str())
                .collect();
            let what = format!(
                "{}: {} ({})",
                host.host,
                ignored.drift.resource,
                fields.join(", ")
            );
            let _ = writeln!(
                text,
                "ignored until {}: {}, because {}",
                ignored.expires,
                literal(&what),
                literal(&ignored.reason)
            );
        }
    }
    for rule in &report.expired_rules {
        let (place, resource) = (literal(&rule.place), literal(&rule.resource));
        let _ = writeln!(
            text,
            "the ignore rule for {resource} at {place} expired on {}",
            rule.expires
        );
    }
    text
}

/// Returns the history: the number of drifted resources in each check, and one line per resource
/// that drifted. Reports come oldest first.
#[must_use]
pub fn history_text(reports: &[CheckReport], rows: &[HistoryRow], whole: bool) -> String {
    let (Some(first), Some(last)) = (reports.first(), reports.last()) else {
        return "no report is kept; each `skep check` with the same arguments keeps one\n".into();
    };
    let shown = &reports[reports.len().saturating_sub(MOST_CHECKS)..];
    let mut text = match reports.len() {
        1 => format!("1 check, on {}\n", first.started),
        number => format!(
            "{number} checks from {} to {}\n",
            first.started, last.started
        ),
    };
    let _ = writeln!(
        text,
        "drifted resources  {}  now {}\n",
        sparkline(shown),
        last.totals.drifted_resources
    );
    if rows.is_empty() {
        text.push_str("no resource drifted\n");
        return text;
    }
    let mut table = TextTable::new(&[
        "HOST",
        "RESOURCE",
        "SINCE",
        "UNTIL",
        "CHECKS (x drift, . in sync, ? unknown)",
    ]);
    let ended = rows.iter().filter(|row| row.until.is_some()).count();
    let listed = if whole {
        rows.len()
    } else {
        rows.len() - ended.saturating_sub(MOST_ENDED)
    };
    for row in &rows[..listed] {
        let until = row.until.clone().unwrap_or_else(|| "now".into());
        let checks = &row.checks[row.checks.len().saturating_sub(MOST_CHECKS)..];
        let checks: String = checks.iter().map(|seen| sign(*seen)).collect();
        table.row([
            row.host.clone(),
            row.resource.clone(),
            row.since.clone(),
            until,
            checks,
        ]);
    }
    text.push_str(&table.text());
    if listed < rows.len() {
        let _ = writeln!(
            text,
            "and {} more whose drift ended earlier (-v lists them)",
            rows.len() - listed
        );
    }
    text
}

fn sign(seen: CheckedState) -> char {
    match seen {
        CheckedState::InSync => '.',
        CheckedState::Drift => 'x',
        CheckedState::Unknown => '?',
    }
}

/// Draws the number of drifted resources of each check as bars; the highest bar is full.
fn sparkline(reports: &[CheckReport]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let counts: Vec<usize> = reports
        .iter()
        .map(|report| report.totals.drifted_resources)
        .collect();
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    // A check with any drift must look different from a check without drift.
    let bar = |count: &usize| BARS.get((count * 7).div_ceil(most)).copied().unwrap_or('█');
    counts.iter().map(bar).collect()
}
