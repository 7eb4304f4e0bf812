//! `skep history`: shows since when each resource drifts, from the reports that `skep check` kept.
//! Contacts no host.

use std::time::{Duration, SystemTime};

use super::GlobalArgs;
use super::exit_code::ExitStatus;
use super::outputs::history;
use super::selection::RunSelection;
use crate::drift::{CheckReport, history_rows};
use crate::report::history_text;

/// Show since when each resource drifts, for the same arguments as those of `check`
#[derive(Debug, Clone, clap::Args)]
pub(super) struct HistoryArgs {
    #[command(flatten)]
    selection: RunSelection,
    /// First remove reports that are older than this, e.g. `30d`
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    max_age: Option<Duration>,
}

/// Prunes and prints.
///
/// # Errors
/// Fails if there is no state folder.
pub(super) fn run(common: &GlobalArgs, args: &HistoryArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let Some(history) = history(&args.selection) else {
        anyhow::bail!("there is no state folder; set XDG_STATE_HOME or HOME to an absolute path");
    };
    if let Some(age) = args.max_age {
        let removed = history.prune(age, SystemTime::now());
        screen.note(&format!(
            "removed {removed} reports older than {}",
            humantime::format_duration(age)
        ));
    }
    let mut reports: Vec<CheckReport> = history.newest_first().collect();
    reports.reverse();
    let rows = history_rows(&reports);
    if common.json {
        let checks: Vec<&str> = reports
            .iter()
            .map(|report| report.started.as_str())
            .collect();
        let drifted: Vec<usize> = reports
            .iter()
            .map(|report| report.totals.drifted_resources)
            .collect();
        let page = serde_json::json!({ "schema": 1, "checks": checks, "drifted_resources": drifted, "resources": rows });
        screen.result(&format!("{page:#}\n"));
    } else {
        screen.result(&history_text(&reports, &rows, common.verbose > 0));
    }
    Ok(ExitStatus::Fine)
}
