//! `skep node rebuild`: arguments, the question, output and exit code. The rebuild itself is in
//! `crate::rebuild`.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cli::GlobalArgs;
use crate::cli::apply::{ApplyOptions, apply_loaded, run_owner};
use crate::cli::execute::fleet;
use crate::cli::exit_code::ExitStatus;
use crate::cli::selection::{RunSelection, reject};
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::playbook::PreparedRun;
use crate::rebuild::{RebuildConsent, RebuildOutcome, RebuildSession, rebuild};
use crate::report::{Screen, literal};
use crate::runner::{EventSender, Fleet, LeaseOwner};

/// Time to wait for another run's lock on a host.
const LOCK_WAIT: Duration = Duration::from_secs(60);

/// Arguments of `skep node rebuild`.
#[derive(Debug, Args)]
pub(super) struct RebuildArgs {
    /// The machine
    #[arg(value_name = "HOST")]
    host: String,
    #[command(flatten)]
    selection: RunSelection,
    /// Do not ask.
    #[arg(short, long)]
    yes: bool,
    /// Rebuild although a majority of the managers is lost
    #[arg(long)]
    force: bool,
    /// Rebuild the only manager: the swarm, its services, secrets and labels are lost, and a new
    /// one is started
    #[arg(long)]
    new_cluster: bool,
    /// The data directories of the new machine are meant to be empty: its labels are set all the
    /// same
    #[arg(long)]
    data_empty: bool,
}

/// Runs the verb.
///
/// # Errors
/// Configuration errors, and a rebuild that is refused, not confirmed, or fails.
pub(super) async fn run(common: &GlobalArgs, args: &RebuildArgs) -> anyhow::Result<ExitStatus> {
    let started = Instant::now();
    let host = HostName::new(&args.host);
    let session = CliRebuildSession {
        common,
        args,
        screen: common.screen(),
        owner: run_owner(),
    };
    let consent = RebuildConsent {
        force: args.force,
        new_cluster: args.new_cluster,
        data_empty: args.data_empty,
    };
    let screen = &session.screen;
    match rebuild(&session, &host, consent).await? {
        RebuildOutcome::Stopped(exit) => Ok(exit),
        RebuildOutcome::WithoutLabels { empty } => {
            screen.note(&format!(
                "{host} is back without its labels: {} is empty, and services that are bound to the labels would start without their data\n  \
                 try: put the data back and `skep apply` again; if it is meant to be empty, `skep node rebuild` with --data-empty, or `skep apply`",
                empty.join(", ")
            ));
            Ok(ExitStatus::Failed)
        }
        RebuildOutcome::Rebuilt => {
            screen.result(&format!(
                "{host} is rebuilt, in {:.1} s.\n",
                started.elapsed().as_secs_f64()
            ));
            Ok(ExitStatus::Fine)
        }
    }
}

/// The rebuild's access to the command line.
struct CliRebuildSession<'a> {
    common: &'a GlobalArgs,
    args: &'a RebuildArgs,
    screen: Screen,
    owner: LeaseOwner,
}

#[async_trait::async_trait(?Send)]
impl RebuildSession for CliRebuildSession<'_> {
    type Error = anyhow::Error;
    type Stopped = ExitStatus;

    fn prepare(&self) -> anyhow::Result<PreparedRun> {
        Ok(self.args.selection.prepare(&self.screen)?)
    }

    fn load_inventory(&self) -> anyhow::Result<Inventory> {
        let loaded = self.args.selection.inventory.hosts(&self.screen);
        let (inventory, _) = loaded.map_err(|errors| reject(&errors, &self.screen))?;
        Ok(inventory)
    }

    fn connect(&self, inventory: &Inventory) -> anyhow::Result<Arc<Fleet>> {
        let login = &self.args.selection.inventory.login;
        fleet(inventory, EventSender::silent(), login, &self.screen)
    }

    fn forks(&self, inventory: &Inventory) -> usize {
        self.args.selection.inventory.forks(inventory)
    }

    async fn confirm(&self, question: &str) -> anyhow::Result<bool> {
        if self.args.yes {
            return Ok(true);
        }
        let (screen, question) = (self.screen.clone(), question.to_owned());
        let ask = move || screen.can_ask() && screen.ask(&question);
        Ok(tokio::task::spawn_blocking(ask).await?)
    }

    fn note(&self, line: &str) {
        self.screen.note(&literal(line));
    }

    fn run_owner(&self) -> LeaseOwner {
        self.owner.clone()
    }

    async fn apply(&self, run: PreparedRun) -> anyhow::Result<ControlFlow<ExitStatus>> {
        // The operator has confirmed the rebuild.
        self.apply_with(run, true).await
    }

    async fn offer(&self, run: PreparedRun) -> anyhow::Result<ControlFlow<ExitStatus>> {
        self.apply_with(run, self.args.yes).await
    }

    fn can_ask(&self) -> bool {
        !self.args.yes && self.screen.can_ask()
    }
}

impl CliRebuildSession<'_> {
    async fn apply_with(
        &self,
        run: PreparedRun,
        yes: bool,
    ) -> anyhow::Result<ControlFlow<ExitStatus>> {
        let options = ApplyOptions {
            allow_interruption: false,
            yes,
            diff: false,
            lock_wait: LOCK_WAIT,
            force: self.args.force,
            owner: self.owner.part(),
        };
        let selection = &self.args.selection;
        let exit = apply_loaded(self.common, &self.screen, selection, run, &options).await?;
        Ok(if exit == ExitStatus::Fine {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(exit)
        })
    }
}
