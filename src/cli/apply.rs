//! `skep apply`: plan, ask, do, verify.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::GlobalArgs;
use super::execute::{RunContext, cluster_check, execute_loaded};
use super::exit_code::ExitStatus;
use super::selection::RunSelection;
use crate::playbook;
use crate::report::{PlanStyle, Screen, hosts_text, plan_text, plan_totals, recap_text};
use crate::runner::{ClusterCheck, PlanApproval, RunOptions, RunPlan, RunSummary, apply};
use crate::safety::SwarmGuard;

/// Hosts in sync that the recap lists one by one before it only counts them.
const RECAP_LINES: usize = 40;

/// Make the hosts what the playbook says: plan, ask, do, verify.
#[derive(clap::Args)]
pub struct ApplyArgs {
    #[command(flatten)]
    selection: RunSelection,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Show whole diffs of files, however long.
    #[arg(long)]
    diff: bool,
    /// Wait this long for another run's lock on a host.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    lock_wait: Duration,
    /// Go on where a majority of the swarm's managers would be lost: the swarm then accepts no change until they are back.
    #[arg(long)]
    force: bool,
}

/// How a run applies.
pub struct ApplyOptions {
    /// Nobody is asked.
    pub yes: bool,
    /// Whole diffs.
    pub diff: bool,
    /// How long another run's lock is waited for.
    pub lock_wait: Duration,
    /// Whether the majority of the managers may be lost.
    pub force: bool,
}

/// Shows the forecast and asks.
struct InteractiveApproval {
    screen: Screen,
    style: PlanStyle,
    silent: bool,
    yes: bool,
}

#[async_trait::async_trait]
impl PlanApproval for InteractiveApproval {
    async fn approve(&self, forecast: &RunPlan) -> bool {
        let summary = RunSummary {
            hosts: forecast
                .hosts
                .iter()
                .map(|(name, host)| (name.clone(), host.outcome.clone()))
                .collect(),
            ..RunSummary::default()
        };
        if !self.silent {
            self.screen.result(&plan_text(&summary, self.style));
            self.screen
                .result(&format!("Plan: {}.\n", plan_totals(&summary)));
        }
        if self.yes {
            return true;
        }
        let (screen, question) = (
            self.screen.clone(),
            format!("Apply this to {}?", hosts_text(summary.hosts.len())),
        );
        tokio::task::spawn_blocking(move || screen.ask(&question))
            .await
            .unwrap_or(false)
    }
}

/// Applies and prints the recap.
///
/// # Errors
/// Configuration errors.
pub async fn run(common: &GlobalArgs, args: &ApplyArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    if !args.yes && !screen.can_ask() {
        anyhow::bail!(
            "apply asks before it acts, and nobody is at the terminal; look with `skep plan`, then give --yes"
        );
    }
    let manner = ApplyOptions {
        yes: args.yes,
        diff: args.diff,
        lock_wait: args.lock_wait,
        force: args.force,
    };
    let loaded = args.selection.prepare(&screen)?;
    apply_loaded(common, &screen, &args.selection, loaded, &manner).await
}

/// The same for files that were loaded already.
///
/// # Errors
/// When a file of known hosts cannot be read.
pub async fn apply_loaded(
    common: &GlobalArgs,
    screen: &Screen,
    selection: &RunSelection,
    loaded: playbook::PreparedRun,
    manner: &ApplyOptions,
) -> anyhow::Result<ExitStatus> {
    let style = PlanStyle {
        color: screen.colors_results(),
        diff: manner.diff,
        causes: false,
    };
    let ask = InteractiveApproval {
        screen: screen.clone(),
        style,
        silent: common.json,
        yes: manner.yes,
    };
    let guard = Arc::new(SwarmGuard::new(manner.force));
    let act = async |run: &RunContext| {
        let cluster_check = cluster_check(run, BTreeMap::new())
            .map(|cluster_check| cluster_check as Arc<dyn ClusterCheck>);
        let options = RunOptions {
            forks: run.forks,
            lock_wait: manner.lock_wait,
            owner: owner(),
            cluster_check,
        };
        apply(&run.fleet, &run.work, guard, &ask, &options, &run.stop).await
    };
    let summary = execute_loaded(common, screen, selection, loaded, "apply", None, act).await?;
    if !common.json {
        // A host that failed in the forecast was never acted on: say why here, too.
        let told = RunSummary {
            hosts: summary.hosts.clone(),
            ..RunSummary::default()
        };
        if summary.differs() || summary.failed() || summary.unreachable() || summary.interrupted {
            screen.result(&plan_text(&told, style));
        }
        screen.result(&recap_text(&summary, RECAP_LINES));
        screen.result(&format!(
            "{} in {:.1} s.\n",
            verdict(&summary),
            Duration::from_millis(summary.millis).as_secs_f64()
        ));
    }
    // What still differs was shown and not agreed to: that is a no, not a success.
    Ok(ExitStatus::of(&summary, true))
}

fn verdict(summary: &RunSummary) -> &'static str {
    match ExitStatus::of(summary, true) {
        ExitStatus::Fine
            if summary.count(|outcome| *outcome == crate::runner::Outcome::Changed) == 0 =>
        {
            "In sync, checked"
        }
        ExitStatus::Fine => "Applied",
        ExitStatus::Drift => "Not applied: nobody said yes",
        ExitStatus::Unreachable => "Applied where it could be; some hosts are unreachable",
        ExitStatus::Interrupted => "Interrupted",
        _ => "Some hosts failed",
    }
}

/// Who this run is, for locks: `user@machine`.
fn owner() -> String {
    // Timers and containers have no USER; the account's number still tells who it is.
    let number = || format!("uid-{}", rustix::process::geteuid().as_raw());
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| number());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{user}@{}", machine.trim())
}
