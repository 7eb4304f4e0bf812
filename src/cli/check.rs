//! `skep check`: a plan for timers. Every difference is reported as drift, in the report and in the
//! exit code.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::GlobalArgs;
use super::execute::{RunContext, cluster_check, execute_loaded};
use super::exit_code::{ExitStatus, FailOn};
use super::outputs::{OutputArgs, deliver, history};
use super::selection::{RunSelection, reject};
use crate::drift::{
    CheckMetadata, FilteredRun, IgnoreRules, apply_ignore_rules, assemble, earlier_certificates,
    fill_from_history, rfc3339,
};
use crate::report::{PlanStyle, document_line, ignored_text, plan_text, plan_totals, state_folder};
use crate::runner::{ClusterCheck, run_read_only};
use crate::safety::members;
use crate::schedule::single_run::SingleRunLock;

/// Check whether the hosts are still in sync with the playbook. Reads only; exit 3 on drift.
#[derive(clap::Args)]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) selection: RunSelection,
    /// Show whole diffs of files, however long.
    #[arg(long)]
    diff: bool,
    /// Findings that make the exit code other than 0.
    #[arg(long, value_name = "FINDING", value_enum, value_delimiter = ',', default_values = ["drift", "unreachable", "failed"])]
    fail_on: Vec<FailOn>,
    /// File of rules for ignored drift; may be repeated [default: ignore.toml beside the inventory]
    #[arg(long, value_name = "FILE")]
    ignore: Vec<PathBuf>,
    /// Do not start while the same check is still running (exit code 1): for cron
    #[arg(long)]
    single: bool,
    /// Also report security updates that wait; apt takes about a second of each host's processor
    #[arg(long)]
    updates: bool,
    #[command(flatten)]
    outputs: OutputArgs,
}

/// Checks and prints.
///
/// # Errors
/// Fails on configuration errors.
pub(super) async fn run(common: &GlobalArgs, args: &CheckArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let _single = if args.single {
        match SingleRunLock::take(state_folder().as_deref(), &args.selection.words()) {
            Ok(single) => Some(single),
            // No host was checked, so the result is not "in sync", and it is not a configuration
            // error either.
            Err(error) => {
                screen.note(&format!("error: {error}"));
                return Ok(ExitStatus::Failed);
            }
        }
    } else {
        None
    };
    let started = SystemTime::now();
    let prepared = args.selection.prepare(&screen)?;
    let inventories = args
        .selection
        .inventory
        .request()
        .map(|request| request.paths)
        .unwrap_or_default();
    let files = if args.ignore.is_empty() {
        IgnoreRules::beside(&inventories)
    } else {
        args.ignore.clone()
    };
    let rules = IgnoreRules::load(&files, &prepared.inventory, &today(started))
        .map_err(|errors| reject(&errors, &screen))?;
    let rules = Arc::new(rules);
    let inventory = prepared.inventory.clone();
    let history = history(&args.selection);
    let earlier = earlier_certificates(history.iter().flat_map(|history| history.newest_first()));
    let run_read_only = async |run: &RunContext| {
        let cluster_check = cluster_check(run, earlier);
        let cluster_check = cluster_check.map(|check| Arc::new(check.with_upkeep(args.updates)));
        let everybody = cluster_check
            .clone()
            .map(|cluster_check| cluster_check as Arc<dyn ClusterCheck>);
        let summary =
            run_read_only(&run.fleet, &run.work, run.forks, everybody, None, &run.stop).await;
        let (shown, known) = (args.outputs.show_cluster(), cluster_check.is_some());
        let cluster = if (shown || known) && !summary.interrupted {
            members(
                &run.fleet,
                &inventory,
                &run.work.hosts(),
                run.forks,
                cluster_check.as_deref(),
                shown,
            )
            .await
        } else {
            None
        };
        (summary, cluster)
    };
    let (summary, cluster) = execute_loaded(
        common,
        &screen,
        &args.selection,
        prepared,
        "check",
        Some(rules.clone()),
        run_read_only,
    )
    .await?;
    let filtered = apply_ignore_rules(summary, &rules);
    let exit = ExitStatus::among(&filtered.summary, &args.fail_on);
    let shown = |paths: &[PathBuf]| {
        paths
            .iter()
            .map(|path| path.display().to_string())
            .collect()
    };
    let mut report = assemble(
        &filtered,
        &CheckMetadata {
            started,
            inventory: shown(&inventories),
            playbooks: shown(&args.selection.playbooks),
            exit_code: exit.code(),
            rules: &rules,
            cluster: cluster.as_ref(),
        },
    );
    fill_from_history(
        &mut report,
        history.iter().flat_map(|history| history.newest_first()),
    );
    if common.json {
        screen.result(&document_line(&report));
    } else {
        let style = PlanStyle {
            color: screen.colors_results(),
            diff: args.diff,
            causes: true,
        };
        screen.result(&plan_text(&filtered.summary, style));
        screen.result(&ignored_text(&report));
        screen.result(&verdict(&filtered, report.totals.ignored));
    }
    if exit == ExitStatus::Interrupted {
        // An interrupted check is incomplete, so the report of the last complete check stays.
        if args.outputs.writes() {
            screen.note("interrupted: no report was written");
        }
        return Ok(exit);
    }
    let delivered = deliver(&screen, &args.outputs, history.as_ref(), &report, &filtered).await?;
    Ok(if delivered || exit != ExitStatus::Fine {
        exit
    } else {
        ExitStatus::Failed
    })
}

/// Returns the last line: one word, then the numbers. It states the findings, whatever `--fail-on`
/// makes of them.
fn verdict(filtered: &FilteredRun, ignored: usize) -> String {
    let summary = &filtered.summary;
    let word = match ExitStatus::of(summary, true) {
        ExitStatus::Fine => "In sync",
        ExitStatus::Drift => "DRIFT",
        ExitStatus::Interrupted => "Interrupted",
        _ => "Some hosts or resources could not be read",
    };
    let ignored = if ignored > 0 {
        format!(", {ignored} ignored")
    } else {
        String::new()
    };
    let seconds = Duration::from_millis(summary.millis).as_secs_f64();
    format!(
        "{word}: {}{ignored}, in {seconds:.1} s.\n",
        plan_totals(summary)
    )
}

/// Returns the day in UTC, as `YYYY-MM-DD`.
fn today(now: SystemTime) -> String {
    rfc3339(now).chars().take(10).collect()
}
