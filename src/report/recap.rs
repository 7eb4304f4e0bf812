//! The table at the end of a run: one line a host.

use super::TextTable;
use crate::runner::{Outcome, RunSummary};

/// The recap of a run. Hosts in which nothing happened are summed up in one line when there are more than `most` of them.
#[must_use]
pub fn recap_text(summary: &RunSummary, most: usize) -> String {
    let mut table = TextTable::new(&[
        "HOST", "OK", "CHANGED", "DIFFERS", "FAILED", "SKIPPED", "STATE",
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
                "left out"
            }
            None if changed > 0 => "changed",
            None if summary.interrupted && host.resources.is_empty() => "not looked at",
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
        text.push_str(&format!("and {quiet_hosts} hosts in sync\n"));
    }
    text
}
