//! `skep plan`: shows the changes that `apply` would make.

use super::GlobalArgs;
use super::execute::run_plan;
use super::exit_code::ExitStatus;
use super::selection::RunSelection;
use crate::report::{PlanStyle, plan_text, plan_totals};

/// Show the changes that `apply` would make. Reads only.
#[derive(clap::Args)]
pub(super) struct PlanArgs {
    #[command(flatten)]
    selection: RunSelection,
    /// Show whole diffs of files, however long.
    #[arg(long)]
    diff: bool,
    /// Exit with 3 if there are changes (otherwise 0).
    #[arg(long)]
    exit_code: bool,
}

/// Plans and prints.
///
/// # Errors
/// Fails on configuration errors.
pub(super) async fn run(common: &GlobalArgs, args: &PlanArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    let summary = run_plan(common, &screen, &args.selection, "plan").await?;
    if !common.json {
        screen.result(&plan_text(
            &summary,
            PlanStyle {
                color: screen.colors_results(),
                diff: args.diff,
                causes: false,
            },
        ));
        screen.result(&format!("Plan: {}.\n", plan_totals(&summary)));
    }
    Ok(ExitStatus::of(&summary, args.exit_code))
}
