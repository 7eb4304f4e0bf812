//! Shared parts of the verbs that maintain nodes: connections, the question, the plan of a drain,
//! and the exit code.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use tokio_util::sync::CancellationToken;

use super::GlobalArgs;
use super::apply::run_owner;
use super::connect::SshConnector;
use super::execute::{LEASE_WAIT, fleet_through};
use super::exit_code::ExitStatus;
use super::known_hosts::forget_keys;
use super::selection::{InventorySelection, reject};
use super::unlock_key::unlock_key_source;
use crate::inventory::Inventory;
use crate::maintenance::{
    DrainOptions, DrainPurpose, MaintenanceError, NodeTarget, NodeVisit, Reconnect,
};
use crate::names::HostName;
use crate::probe::{ProbeUrl, UrlProber};
use crate::report::{Screen, TextTable, literal};
use crate::runner::{EventSender, Fleet};

/// The inventory, the hosts and the connections of an act.
pub(super) struct MaintenanceSite {
    pub inventory: Arc<Inventory>,
    pub hosts: Vec<HostName>,
    pub fleet: Arc<Fleet>,
    pub options: DrainOptions,
    pub screen: Screen,
    connector: Arc<SshConnector>,
    probe: Option<ProbeUrl>,
    /// Runs from the confirmation to the end of the act.
    prober: Mutex<Option<UrlProber>>,
}

/// Options of every verb that drains nodes.
#[derive(Debug, Args)]
pub(super) struct DrainLimits {
    /// Go on although services are interrupted
    #[arg(long)]
    pub allow_interruption: bool,
    /// Time for the tasks of one node to leave it; after it, the node gets its availability back
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = humantime::parse_duration)]
    pub timeout: Duration,
    /// Send ten requests a second to this URL of a service meanwhile, and tell how many were lost,
    /// and the longest gap, for example `http://web.lan:8080/health`
    #[arg(long, value_name = "URL")]
    pub probe: Option<ProbeUrl>,
}

/// Options of every verb that drains nodes, stops something there, and takes them back.
#[derive(Debug, Args)]
pub(super) struct VisitLimits {
    #[command(flatten)]
    pub drain: DrainLimits,
    /// Time for a machine, and then for its node, to come back
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = humantime::parse_duration)]
    pub return_timeout: Duration,
}

impl MaintenanceSite {
    /// Loads the inventory, selects its hosts, and connects to them on demand.
    ///
    /// # Errors
    /// Configuration errors.
    pub(super) fn open(
        common: &GlobalArgs,
        selection: &InventorySelection,
    ) -> anyhow::Result<Self> {
        let screen = common.screen();
        let loaded = selection.hosts(&screen);
        let (inventory, hosts) = loaded.map_err(|errors| reject(&errors, &screen))?;
        Self::new(Arc::new(inventory), hosts, selection, screen)
    }

    /// Connects to the hosts of an inventory, on demand.
    ///
    /// # Errors
    /// If a file or a password of the command line is missing.
    pub(super) fn new(
        inventory: Arc<Inventory>,
        hosts: Vec<HostName>,
        selection: &InventorySelection,
        screen: Screen,
    ) -> anyhow::Result<Self> {
        let connector = SshConnector::new(&inventory, &selection.login, &screen)?;
        let connector = Arc::new(connector);
        let fleet = fleet_through(&connector, &inventory, EventSender::silent());
        let options = DrainOptions {
            purpose: DrainPurpose::Drain,
            allow_interruption: false,
            ignores_volumes: false,
            unlock_key: unlock_key_source(&inventory, &hosts)?,
            limit: Duration::ZERO,
            lease_wait: LEASE_WAIT,
            owner: run_owner(),
            forks: selection.forks(&inventory),
        };
        Ok(Self {
            inventory,
            hosts,
            fleet,
            options,
            screen,
            connector,
            probe: None,
            prober: Mutex::default(),
        })
    }

    /// Does an act, closes the connections, prints the error, and returns the exit code.
    ///
    /// # Errors
    /// Returns the errors of the act that are not about maintenance.
    pub(super) async fn act(
        self,
        act: impl AsyncFnOnce(&Self) -> anyhow::Result<ExitStatus>,
    ) -> anyhow::Result<ExitStatus> {
        let outcome = act(&self).await;
        self.tell_lost_requests();
        self.fleet.close().await;
        settle(outcome, &self.screen)
    }

    /// Takes the limits of the drains from the command line.
    pub(super) fn limit(mut self, limits: &DrainLimits) -> Self {
        self.options.allow_interruption = limits.allow_interruption;
        self.options.limit = limits.timeout;
        self.probe.clone_from(&limits.probe);
        self
    }

    /// Starts the requests to the URL of `--probe`.
    ///
    /// # Errors
    /// If the service does not answer now: every request would count as lost.
    async fn start_probe(&self) -> anyhow::Result<()> {
        let Some(url) = &self.probe else {
            return Ok(());
        };
        if let Err(why) = url.ask().await {
            anyhow::bail!(
                "--probe {url} does not answer before anything is changed: {why}; give a URL that this machine reaches"
            );
        }
        let prober = UrlProber::start(url.clone());
        *self.prober.lock().unwrap_or_else(PoisonError::into_inner) = Some(prober);
        Ok(())
    }

    /// Stops the requests, and tells how many were lost.
    fn tell_lost_requests(&self) {
        let mut prober = self.prober.lock().unwrap_or_else(PoisonError::into_inner);
        let (Some(url), Some(prober)) = (&self.probe, prober.take()) else {
            return;
        };
        let stats = prober.stop();
        let gap = stats.outage.map_or_else(String::new, |outage| {
            format!("; the longest gap was {:.1} s", outage.as_secs_f64())
        });
        let line = format!("{url}: {} of {} requests lost{gap}", stats.lost, stats.sent);
        self.screen.note(&literal(&line));
    }

    /// Returns the visit of nodes with the limits of the command line.
    pub(super) fn visit<'a>(
        &'a self,
        limits: &VisitLimits,
        reconnect: Reconnect<'a>,
        stop: &'a CancellationToken,
        note: &'a (dyn Fn(&str) + Sync),
    ) -> NodeVisit<'a> {
        NodeVisit {
            reconnect,
            inventory: &self.inventory,
            options: self.options.clone(),
            return_limit: limits.return_timeout,
            stop,
            note,
        }
    }

    /// Returns new connections: those to a machine that restarts end. Passwords are not asked
    /// again, and a host key that this run has learned stays a learned one.
    pub(super) fn connect(&self) -> Arc<Fleet> {
        fleet_through(&self.connector, &self.inventory, EventSender::silent())
    }

    /// Removes a host that has left from the files of known hosts: its address may get another
    /// machine. A failure is a note.
    pub(super) async fn forget_host_key(&self, host: &HostName) {
        let Some(settings) = self.connector.settings(host).await else {
            return;
        };
        let lines = match settings.and_then(|target| forget_keys(host.as_str(), &target)) {
            Ok(forgotten) => [forgotten.results, forgotten.notes].concat(),
            Err(error) => vec![format!("{host}: its host key was not forgotten: {error}")],
        };
        for line in lines {
            self.screen.note(&literal(&line));
        }
    }

    /// Asks the operator; notes a refusal.
    ///
    /// # Errors
    /// If the question panics, or the service of `--probe` does not answer.
    pub(super) async fn confirm(&self, yes: bool, question: String) -> anyhow::Result<bool> {
        if yes {
            self.start_probe().await?;
            return Ok(true);
        }
        let screen = self.screen.clone();
        let ask = move || screen.can_ask() && screen.ask(&question);
        let confirmed = tokio::task::spawn_blocking(ask).await?;
        if confirmed {
            self.start_probe().await?;
        } else {
            self.screen
                .note("Nothing was changed: not confirmed; pass --yes to skip the prompt");
        }
        Ok(confirmed)
    }
}

/// Prints the error of an act, and returns its exit code.
fn settle(outcome: anyhow::Result<ExitStatus>, screen: &Screen) -> anyhow::Result<ExitStatus> {
    let error = match outcome {
        Ok(exit) => return Ok(exit),
        Err(error) => error.downcast::<MaintenanceError>()?,
    };
    screen.note(&format!("error: {}", literal(&error.to_string())));
    Ok(match error {
        MaintenanceError::Interrupted(_) => ExitStatus::Interrupted,
        MaintenanceError::Unreadable { .. } => ExitStatus::Unreachable,
        _ => ExitStatus::Failed,
    })
}

pub(super) fn names<'a>(targets: impl IntoIterator<Item = &'a NodeTarget>) -> String {
    let names: Vec<&str> = targets
        .into_iter()
        .map(|target| target.host.as_str())
        .collect();
    names.join(", ")
}

pub(super) fn nodes(count: usize) -> String {
    match count {
        1 => "1 node".into(),
        count => format!("{count} nodes"),
    }
}

/// Returns the plan: per node, each service with tasks there, and what becomes of it.
pub(super) fn plan_text<'a>(targets: impl IntoIterator<Item = &'a NodeTarget>) -> String {
    let mut table = TextTable::new(&["HOST", "SERVICE", "TASKS", "MOVE", "ELSEWHERE", "EFFECT"]);
    for target in targets {
        let host = target.host.to_string();
        if target.impacts.is_empty() {
            let none = || "-".to_owned();
            table.row([
                host,
                none(),
                "0".into(),
                "0".into(),
                none(),
                "runs no task".into(),
            ]);
            continue;
        }
        for impact in &target.impacts {
            let effect = match (&impact.interruption, &impact.stops) {
                (Some(why), _) => format!("interrupted: {why}"),
                (None, Some(why)) => format!("stops here: {why}"),
                (None, None) if impact.spread_first => "is spread first, then moves".to_owned(),
                (None, None) => "moves".to_owned(),
            };
            table.row([
                host.clone(),
                impact.service.clone(),
                impact.tasks.to_string(),
                impact.moving.to_string(),
                impact.elsewhere.to_string(),
                effect,
            ]);
        }
    }
    table.text()
}
