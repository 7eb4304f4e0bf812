//! What a report says beside the differences themselves: ignored drift, expired rules; and the history as a table.

use std::fmt::Write as _;

use super::{TextTable, literal};
use crate::drift::report::CheckReport;
use crate::drift::{CheckedState, HistoryRow};

/// Checks that a sparkline shows at the most: the newest ones.
const MOST_CHECKS: usize = 40;
/// Resources that drift no more which are listed; the others are counted.
const MOST_ENDED: usize = 20;

/// Ignored drift, one line each, and rules that ignore nothing any more. Empty when there is neither.
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
            "expired on {}: the ignore rule for {resource} at {place} ignores nothing any more",
            rule.expires
        );
    }
    text
}

/// The history: how many resources drifted in each check, and a line for each resource that did. Reports come oldest first.
#[must_use]
pub fn history_text(reports: &[CheckReport], rows: &[HistoryRow], whole: bool) -> String {
    let (Some(first), Some(last)) = (reports.first(), reports.last()) else {
        return "no report is kept: `skep check` with the same arguments keeps one each time\n"
            .into();
    };
    let shown = &reports[reports.len().saturating_sub(MOST_CHECKS)..];
    let mut text = format!(
        "{} checks from {} to {}\n",
        reports.len(),
        first.started,
        last.started
    );
    let _ = writeln!(
        text,
        "drifted resources  {}  now {}\n",
        sparkline(shown),
        last.totals.drifted_resources
    );
    if rows.is_empty() {
        text.push_str("nothing drifted in any of them\n");
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
            "and {} more that ended before (-v lists them)",
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

/// Drifted resources of each check as bars, the highest of them full.
fn sparkline(reports: &[CheckReport]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let counts: Vec<usize> = reports
        .iter()
        .map(|report| report.totals.drifted_resources)
        .collect();
    let most = counts.iter().copied().max().unwrap_or(0).max(1);
    // Any drift at all stands above the line of none.
    let bar = |count: &usize| BARS.get((count * 7).div_ceil(most)).copied().unwrap_or('█');
    counts.iter().map(bar).collect()
}
