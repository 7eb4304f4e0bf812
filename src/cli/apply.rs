//! `skep apply`: plans, asks for confirmation, applies and verifies.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::GlobalArgs;
use super::execute::{RunContext, cluster_check, execute_loaded, play_drain};
use super::exit_code::ExitStatus;
use super::selection::RunSelection;
use super::unlock_key::unlock_key_source;
use crate::playbook;
use crate::rebuild::accept_lost_cluster;
use crate::report::{PlanStyle, Screen, hosts_text, plan_text, plan_totals, recap_text};
use crate::runner::{
    ClusterCheck, LeaseOwner, NodeDrain, PlanApproval, RunOptions, RunPlan, RunSummary, apply,
};
use crate::safety::SwarmGuard;

/// Number of hosts in sync that the recap lists one by one; with more, it only counts them.
const RECAP_LINES: usize = 40;

/// Apply the playbook to the hosts: plan, ask, apply, verify.
#[derive(clap::Args)]
pub(super) struct ApplyArgs {
    #[command(flatten)]
    selection: RunSelection,
    /// Do not ask for confirmation.
    #[arg(short, long)]
    yes: bool,
    /// Show whole diffs of files, however long.
    #[arg(long)]
    diff: bool,
    /// Wait this long for another run's lock on a host.
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    lock_wait: Duration,
    /// Continue even if the swarm's managers lose their majority: the swarm then accepts no change
    /// until they are back.
    #[arg(long)]
    force: bool,
    /// Interrupt services where a play with `drain = true` drains a node.
    #[arg(long)]
    allow_interruption: bool,
    /// Start a new swarm although an older one is remembered: its services, secrets, configs and
    /// labels are lost.
    #[arg(long)]
    new_cluster: bool,
}

/// Options of a run that applies.
pub(super) struct ApplyOptions {
    /// Apply without asking for confirmation.
    pub yes: bool,
    /// Show whole diffs.
    pub diff: bool,
    /// Time to wait for another run's lock.
    pub lock_wait: Duration,
    /// Continue even if the managers lose their majority.
    pub force: bool,
    /// Drains may interrupt services.
    pub allow_interruption: bool,
    /// The run, as its locks and leases name it.
    pub owner: LeaseOwner,
}

/// Shows the forecast and asks for confirmation.
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
/// Fails on configuration errors.
pub(super) async fn run(common: &GlobalArgs, args: &ApplyArgs) -> anyhow::Result<ExitStatus> {
    let screen = common.screen();
    if !args.yes && !screen.can_ask() {
        anyhow::bail!(
            "apply asks for confirmation, and there is no terminal; read `skep plan`, then pass --yes"
        );
    }
    let manner = ApplyOptions {
        yes: args.yes,
        diff: args.diff,
        lock_wait: args.lock_wait,
        force: args.force,
        allow_interruption: args.allow_interruption,
        owner: run_owner(),
    };
    let mut loaded = args.selection.prepare(&screen)?;
    if args.new_cluster {
        accept_lost_cluster(&mut loaded.resolved);
    }
    apply_loaded(common, &screen, &args.selection, loaded, &manner).await
}

/// Like [`run`], for files that are already loaded.
///
/// # Errors
/// Fails if a file of known hosts cannot be read.
pub(super) async fn apply_loaded(
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
    let unlock_key = unlock_key_source(&loaded.inventory, &loaded.resolved.hosts())?;
    let guard = Arc::new(SwarmGuard {
        unlocks: unlock_key.is_some(),
        ..SwarmGuard::new(manner.force, &loaded)
    });
    let inventory = loaded.inventory.clone();
    let act = async |run: &RunContext| {
        let cluster_check = cluster_check(run, BTreeMap::new())
            .map(|check| Arc::new(check) as Arc<dyn ClusterCheck>);
        let drain = play_drain(run, &inventory, &manner.owner, manner.allow_interruption);
        let unlock_key = unlock_key.clone();
        let options = RunOptions {
            unlock_key,
            drain: Some(Arc::new(drain) as Arc<dyn NodeDrain>),
            forks: run.forks,
            lock_wait: manner.lock_wait,
            owner: manner.owner.clone(),
            cluster_check,
        };
        apply(&run.fleet, &run.work, guard, &ask, &options, &run.stop).await
    };
    let summary = execute_loaded(common, screen, selection, loaded, "apply", None, act).await?;
    if !common.json {
        // A host that failed in the forecast was never changed, so the reason is shown here, too.
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
    // Differences that remain were shown and not confirmed, so the run is not a success.
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
        ExitStatus::Drift => "Not applied: not confirmed",
        ExitStatus::Unreachable => "Applied to the reachable hosts; some hosts are unreachable",
        ExitStatus::Interrupted => "Interrupted",
        _ => "Some hosts failed",
    }
}

/// Returns this run as locks and leases name it, `user@machine`, with a new token.
pub(super) fn run_owner() -> LeaseOwner {
    // Timers and containers have no USER; the number of the account still identifies it.
    let number = || format!("uid-{}", rustix::process::geteuid().as_raw());
    let user = std::env::var("USER")
        .or_else(|_| std::env::var("LOGNAME"))
        .unwrap_or_else(|_| number());
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    LeaseOwner::new(format!("{user}@{}", machine.trim()))
}
