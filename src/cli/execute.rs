//! What `plan`, `check` and `apply` share: load, resolve, reach, run, report.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::GlobalArgs;
use super::connect::SshConnector;
use super::interrupt::stop_on_interrupt;
use super::login::LoginArgs;
use super::selection::RunSelection;
use crate::drift::IgnoreRules;
use crate::inventory::Inventory;
use crate::names::HostName;
use crate::playbook::{PreparedRun as Loaded, ResolvedPlaybook};
use crate::report::{Screen, report_json, report_progress};
use crate::runner;
use crate::runner::{DockerReader as _, Event, EventSender, Fleet, RunSummary};
use crate::safety::{SwarmCheck, expected_members};
use crate::swarm::CertificateValidity;

/// A run that has been prepared: what the engine needs, whatever the verb.
pub struct RunContext {
    /// The hosts, connected on demand.
    pub fleet: Arc<Fleet>,
    /// What they should be.
    pub work: Arc<ResolvedPlaybook>,
    /// Hosts worked on at once.
    pub forks: usize,
    /// Cancelled by Ctrl-C.
    pub stop: CancellationToken,
}

/// Loads and resolves, contacts the hosts and only looks at their resources: `plan`. A plan is what `apply` would do; the whole
/// cluster's drift is the business of `check`.
///
/// # Errors
/// Configuration errors, before any host was contacted.
pub async fn run_plan(
    common: &GlobalArgs,
    screen: &Screen,
    selection: &RunSelection,
    verb: &'static str,
) -> anyhow::Result<RunSummary> {
    let look = async |run: &RunContext| {
        runner::run_read_only(&run.fleet, &run.work, run.forks, None, &run.stop).await
    };
    execute(common, screen, selection, verb, look).await
}

/// Returns the check of the whole swarm; `None` if the playbook has no `swarm_member`.
#[must_use]
pub fn cluster_check(
    run: &RunContext,
    earlier: BTreeMap<HostName, CertificateValidity>,
) -> Option<Arc<SwarmCheck>> {
    let members = expected_members(&run.work);
    let selected = run.work.hosts();
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    let everything = run.fleet.hosts().iter().all(|host| selected.contains(host));
    let now = i64::try_from(now).unwrap_or(i64::MAX);
    (!members.is_empty()).then(|| Arc::new(SwarmCheck::new(members, earlier, everything, now)))
}

/// Loads and resolves, and gives what was prepared to the verb's own part of the engine.
///
/// # Errors
/// Configuration errors, before any host was contacted.
pub async fn execute<T>(
    common: &GlobalArgs,
    screen: &Screen,
    selection: &RunSelection,
    verb: &'static str,
    run: impl AsyncFnOnce(&RunContext) -> T,
) -> anyhow::Result<T> {
    let loaded = selection.prepare(screen)?;
    execute_loaded(common, screen, selection, loaded, verb, None, run).await
}

/// The same for files that were loaded already; `rules` mark what is ignored in the events.
///
/// # Errors
/// When a file of known hosts cannot be read.
pub async fn execute_loaded<T>(
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
                report_json(&screen, receiver, rules).await
            } else {
                report_progress(&screen, receiver).await
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
    // The reporter ends when the last sender is gone.
    drop(events);
    reporter.await?;
    Ok(result)
}

/// All hosts of the inventory, connected on demand.
///
/// # Errors
/// When a file or a password of the command line is missing.
pub fn fleet(
    inventory: &Inventory,
    events: EventSender,
    login: &LoginArgs,
    screen: &Screen,
) -> anyhow::Result<Arc<Fleet>> {
    let connector = SshConnector::new(inventory, login, screen)?;
    Ok(Arc::new(Fleet::new(
        Arc::new(connector),
        inventory.hosts().map(|(name, _)| name.clone()),
        events,
    )))
}
