//! The table at the end of a run: one line per host.

use super::TextTable;
use crate::runner::{Outcome, RunSummary};

/// Returns the recap of a run. Hosts that are in sync and had no change are summed up in one line
/// if there are more than `most` of them.
#[must_use]
pub fn recap_text(summary: &RunSummary, most: usize) -> String {
    let mut table = TextTable::new(&[
        "HOST", "IN SYNC", "CHANGED", "DIFFERS", "FAILED", "SKIPPED", "STATE",
    ]);
    let quiet = |host: &crate::runner::HostOutcome| {
        !host.is_lost() && host.count(|outcome| *outcome != Outcome::Unchanged) == 0
    };
    let quiet_hosts = summary.hosts.values().filter(|host| quiet(host)).count();
    let fold = quiet_hosts > most;
    for (name, host) in summary
        .hosts
        .iter()
        .filter(|(_, host)| !(fold && quiet(host)))
    {
        let changed = host.count(|outcome| *outcome == Outcome::Changed);
        let differs = host.count(|outcome| *outcome == Outcome::Differs);
        let state = match &host.unreachable {
            Some(_) => "unreachable",
            None if host.failed() => "failed",
            None if differs > 0 => "differs",
            None if host.count(|outcome| matches!(outcome, Outcome::Skipped { .. })) > 0 => {
                "skipped"
            }
            None if changed > 0 => "changed",
            None if summary.interrupted && host.resources.is_empty() => "not checked",
            None => "in sync",
        };
        table.row([
            name.to_string(),
            host.count(|outcome| *outcome == Outcome::Unchanged)
                .to_string(),
            changed.to_string(),
            differs.to_string(),
            host.count(|outcome| matches!(outcome, Outcome::Failed { .. }))
                .to_string(),
            host.count(|outcome| matches!(outcome, Outcome::Skipped { .. }))
                .to_string(),
            state.to_owned(),
        ]);
    }
    let mut text = table.text();
    if fold {
        text.push_str(&format!("and {} in sync\n", super::hosts_text(quiet_hosts)));
    }
    text
}
