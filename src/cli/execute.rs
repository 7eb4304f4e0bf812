//! Shared steps of `plan`, `check` and `apply`: load, resolve, connect, run, report.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::GlobalArgs;
use super::apply::run_owner;
use super::connect::SshConnector;
use super::interrupt::stop_on_interrupt;
use super::login::LoginArgs;
use super::selection::RunSelection;
use super::unlock_key::unlock_key_source;
use crate::drift::IgnoreRules;
use crate::inventory::Inventory;
use crate::maintenance::{DrainOptions, DrainPurpose, PlayDrain};
use crate::names::HostName;
use crate::playbook::{PreparedRun as Loaded, ResolvedPlaybook};
use crate::report::{Screen, report_json, report_progress};
use crate::runner;
use crate::runner::{
    DisruptionNotes, DockerReader as _, Event, EventSender, Fleet, LeaseOwner, NodeDrain,
    RunSummary,
};
use crate::safety::{AutolockForecast, SwarmCheck, expected_members};
use crate::swarm::CertificateValidity;

/// A prepared run: the input of the runner, for every verb.
pub(super) struct RunContext {
    /// The hosts, connected on demand.
    pub fleet: Arc<Fleet>,
    /// Their desired state.
    pub work: Arc<ResolvedPlaybook>,
    /// Number of hosts in work at a time.
    pub forks: usize,
    /// Cancelled by Ctrl-C.
    pub stop: CancellationToken,
}

/// Loads and resolves, connects to the hosts and only reads their resources, for `plan`. A plan
/// shows the changes that `apply` would make; `check` reports drift of the whole cluster.
///
/// # Errors
/// Fails on configuration errors, before it connects to any host.
pub(super) async fn run_plan(
    common: &GlobalArgs,
    screen: &Screen,
    selection: &RunSelection,
    verb: &'static str,
) -> anyhow::Result<RunSummary> {
    let loaded = selection.prepare(screen)?;
    let inventory = loaded.inventory.clone();
    let unlocks = unlock_key_source(&inventory, &loaded.resolved.hosts())?.is_some();
    let look = async |run: &RunContext| {
        let drain = play_drain(run, &inventory, &run_owner(), false);
        let autolock = AutolockForecast { unlocks };
        let drain: &dyn NodeDrain = &drain;
        let notes = DisruptionNotes::new(&autolock, Some(drain), &run.work);
        let notes = Some(&notes);
        runner::run_read_only(&run.fleet, &run.work, run.forks, None, notes, &run.stop).await
    };
    execute_loaded(common, screen, selection, loaded, verb, None, look).await
}

/// Time for the tasks of a node to leave it.
const DRAIN_LIMIT: Duration = Duration::from_secs(5 * 60);
/// Time for a node to be back after its Engine was restarted.
const RETURN_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Time to wait for another run that disrupts the swarm.
pub(super) const LEASE_WAIT: Duration = Duration::from_secs(60);

/// Returns the drain of nodes, for the plays that ask for it and for hosts that leave the swarm.
pub(super) fn play_drain(
    run: &RunContext,
    inventory: &Arc<Inventory>,
    owner: &LeaseOwner,
    allow_interruption: bool,
) -> PlayDrain {
    let options = DrainOptions {
        purpose: DrainPurpose::Apply,
        allow_interruption,
        ignores_volumes: false,
        unlock_key: None,
        limit: DRAIN_LIMIT,
        lease_wait: LEASE_WAIT,
        owner: owner.clone(),
        forks: run.forks,
    };
    PlayDrain::new(inventory.clone(), options, RETURN_LIMIT)
}

/// Returns the check of the whole swarm; `None` if the playbook has no `swarm_member`.
#[must_use]
pub(super) fn cluster_check(
    run: &RunContext,
    earlier: BTreeMap<HostName, CertificateValidity>,
) -> Option<SwarmCheck> {
    let members = expected_members(&run.work);
    let selected = run.work.hosts();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let everything = run.fleet.hosts().iter().all(|host| selected.contains(host));
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    (!members.is_empty()).then(|| SwarmCheck::new(members, earlier, everything, now))
}

/// Connects to the hosts of loaded files, and passes the prepared run to the part of the verb.
/// `rules` mark ignored drift in the events.
///
/// # Errors
/// Fails if a file of known hosts cannot be read.
pub(super) async fn execute_loaded<T>(
    common: &GlobalArgs,
    screen: &Screen,
    selection: &RunSelection,
    loaded: Loaded,
    verb: &'static str,
    rules: Option<Arc<IgnoreRules>>,
    run: impl AsyncFnOnce(&RunContext) -> T,
) -> anyhow::Result<T> {
    let (events, receiver) = EventSender::channel();
    let reporter = {
        let (screen, json) = (screen.clone(), common.json);
        tokio::spawn(async move {
            if json {
                report_json(&screen, receiver, rules).await;
            } else {
                report_progress(&screen, receiver).await;
            }
        })
    };
    let result = {
        let prepared = RunContext {
            fleet: fleet(
                &loaded.inventory,
                events.clone(),
                &selection.inventory.login,
                screen,
            )?,
            work: Arc::new(loaded.resolved),
            forks: selection.inventory.forks(&loaded.inventory),
            stop: stop_on_interrupt(),
        };
        events
            .send(Event::RunStarted {
                verb,
                hosts: prepared.work.hosts(),
            })
            .await;
        let result = run(&prepared).await;
        prepared.fleet.close().await;
        result
    };
    // The reporter ends when the last sender is dropped.
    drop(events);
    reporter.await?;
    Ok(result)
}

/// Creates the fleet of all hosts of the inventory, connected on demand.
///
/// # Errors
/// Fails if a file or a password of the command line is missing.
pub(super) fn fleet(
    inventory: &Inventory,
    events: EventSender,
    login: &LoginArgs,
    screen: &Screen,
) -> anyhow::Result<Arc<Fleet>> {
    let connector = SshConnector::new(inventory, login, screen)?;
    Ok(fleet_through(&Arc::new(connector), inventory, events))
}

/// Returns the hosts of an inventory, to be reached through a connector that exists already.
pub(super) fn fleet_through(
    connector: &Arc<SshConnector>,
    inventory: &Inventory,
    events: EventSender,
) -> Arc<Fleet> {
    Arc::new(Fleet::new(
        connector.clone(),
        inventory.hosts().map(|(name, _)| name.clone()),
        events,
    ))
}
