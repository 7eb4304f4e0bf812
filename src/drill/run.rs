//! The steps of a drill, in order: refuse, stop the machines, watch the others, start the machines
//! again, and wait until the cluster is whole.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::{
    DrillMeasurement, DrillNode, DrillPlan, DrillResult, Scenario, SwarmWatch, drill_results,
    plan_drill, published_port, watch,
};
use crate::inventory::Inventory;
use crate::machine::{MachineError, Machines};
use crate::names::HostName;
use crate::probe::PortProber;
use crate::runner::{
    Fleet, LeaseError, LeaseOutcome, LeaseOwner, SwarmLease, fan_out, take_swarm_lease,
};
use crate::safety::{ClusterStatus, read_cluster};
use crate::swarm::overview::{ClusterOverview, OverviewRow};
use crate::swarm::{NodeRole, host_part};

/// Time limit for the watch while machines are stopped.
const WATCH: Duration = Duration::from_secs(150);
/// Duration of the watch without a majority: no recovery is expected.
const WATCH_WITHOUT_MAJORITY: Duration = Duration::from_secs(20);
/// Time limit until the cluster is whole again.
const WHOLE: Duration = Duration::from_secs(240);
/// Pause between two readings of the recovering cluster.
const PAUSE: Duration = Duration::from_millis(500);
/// Duration of the requests after the cluster is whole, so that a port that answers again is
/// measured.
const LAST_REQUESTS: Duration = Duration::from_secs(2);

/// Arguments of a drill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DrillRequest {
    /// The drill.
    pub scenario: Scenario,
    /// Hosts to stop; empty means that the scenario chooses.
    pub hosts: Vec<HostName>,
    /// Published TCP port for the requests; default: the first port that a service publishes.
    pub port: Option<u16>,
}

/// Access of a drill to the configuration, to the hosts and to the operator.
pub trait DrillSession {
    /// Error of the session.
    type Error: From<DrillError>;

    /// Loads the inventory, and returns it with the selected hosts.
    ///
    /// # Errors
    /// Configuration errors.
    fn load(&self) -> Result<(Inventory, Vec<HostName>), Self::Error>;

    /// Returns the hosts of the inventory, connected on demand.
    ///
    /// # Errors
    /// If a file or a password of the login is missing.
    fn connect(&self, inventory: &Inventory) -> Result<Arc<Fleet>, Self::Error>;

    /// Returns the maximum number of hosts at once.
    fn forks(&self, inventory: &Inventory) -> usize;

    /// Shows one line of progress.
    fn note(&self, line: &str);

    /// Returns a token that the first interrupt cancels. Before this call, an interrupt ends the
    /// process at once.
    fn stop_on_interrupt(&self) -> CancellationToken;

    /// Returns this run as the lease of the swarm names it.
    fn run_owner(&self) -> LeaseOwner;
}

/// Reason why a drill was refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum DrillError {
    /// The inventory does not permit drills.
    #[error(
        "{host} is not disposable, so no drill is run: {file} does not say `disposable = true` at its top"
    )]
    NotDisposable {
        /// Name of the host.
        host: HostName,
        /// Inventory that names the host.
        file: String,
    },
    /// The cluster has problems before the drill.
    #[error("the cluster is not whole before the drill: {0}; see `skep status`")]
    NotWhole(String),
    /// The swarm has too few machines for the scenario, or a chosen host does not fit it.
    #[error("{0}")]
    Unfit(String),
    /// Another run disrupts the swarm, or its managers cannot record this one.
    #[error("{0}; no machine was stopped: run again when that has ended")]
    Lease(LeaseError),
    /// A machine cannot be stopped or started.
    #[error(transparent)]
    Machine(#[from] MachineError),
    /// skep itself failed.
    #[error("{0}")]
    Internal(String),
}

impl From<LeaseError> for DrillError {
    fn from(error: LeaseError) -> Self {
        Self::Lease(error)
    }
}

/// Result of a drill.
#[derive(Debug)]
pub struct DrillReport {
    /// Expectations and measurements.
    pub results: Vec<DrillResult>,
    /// True if the operator interrupted the drill.
    pub interrupted: bool,
}

impl DrillReport {
    /// Returns true if an expectation was not met.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.results.iter().any(|result| result.held == Some(false))
    }
}

/// A drill that may be run: nothing is stopped yet.
struct PreparedDrill {
    inventory: Inventory,
    machines: Machines,
    plan: DrillPlan,
    /// Selected hosts, in the order of the inventory.
    hosts: Vec<HostName>,
    /// Node IDs of the machines to stop.
    lost_ids: Vec<String>,
}

/// Runs a drill. All checks come before a machine is stopped; from then on, the stopped machines
/// are started again whatever happens.
///
/// # Errors
/// [`DrillError`] if the drill is refused, or a machine cannot be stopped or started; errors of the
/// session.
pub async fn run_drill<S: DrillSession>(
    session: &S,
    request: &DrillRequest,
) -> Result<DrillReport, S::Error> {
    let (inventory, hosts) = session.load()?;
    check_disposable(&inventory)?;
    let machines = Machines::of(&inventory).map_err(DrillError::from)?;
    let fleet = session.connect(&inventory)?;
    let forks = session.forks(&inventory);
    let seen = read_cluster(&fleet, &hosts, forks, true).await;
    let drill = match plan(request, &seen, inventory, hosts, machines) {
        Ok(drill) => drill,
        Err(error) => {
            fleet.close().await;
            return Err(error.into());
        }
    };
    let lost = drill.lost();
    session.note(&format!("{lost} will be stopped. What should happen:"));
    for line in &drill.plan.expected {
        session.note(&format!("  - {line}"));
    }
    let stop = session.stop_on_interrupt();
    // The lease has connections of its own, which stay open until the cluster is whole again.
    let lease_fleet = session.connect(&drill.inventory)?;
    let lease = match take_lease(session, &drill, &lease_fleet, &stop).await {
        Ok(lease) => lease,
        Err(error) => {
            fleet.close().await;
            lease_fleet.close().await;
            return Err(error.into());
        }
    };
    let report = lose_machines(session, request, &drill, &fleet, &stop).await;
    if let Some(lease) = lease {
        lease.release().await;
    }
    lease_fleet.close().await;
    report
}

/// Takes the lease of the swarm, from before the stop until the cluster is whole again.
async fn take_lease<S: DrillSession>(
    session: &S,
    drill: &PreparedDrill,
    fleet: &Arc<Fleet>,
    stop: &CancellationToken,
) -> Result<Option<SwarmLease>, DrillError> {
    let Some(host) = drill.plan.lost.first() else {
        return Ok(None);
    };
    let owner = session.run_owner();
    match take_swarm_lease(fleet, host, &owner, Duration::ZERO, stop).await? {
        LeaseOutcome::Taken(lease) => Ok(lease),
        LeaseOutcome::NoSwarm | LeaseOutcome::NoManager => Ok(None),
    }
}

/// Stops the machines, watches the others, and starts the machines again.
async fn lose_machines<S: DrillSession>(
    session: &S,
    request: &DrillRequest,
    drill: &PreparedDrill,
    fleet: &Arc<Fleet>,
    stop: &CancellationToken,
) -> Result<DrillReport, S::Error> {
    let lost = drill.lost();
    let prober = drill.start_requests(request.port, fleet).await;
    session.note(&format!("stopping {lost}"));
    let stopped = change_power(&drill.machines, &drill.plan.lost, PowerChange::Stop).await;
    let mut measured = DrillMeasurement::default();
    if stopped.is_ok() {
        session.note("watching the others");
        measured.watched = watch(&drill.watch(fleet, stop)).await;
    }
    fleet.close().await;
    session.note(&format!("starting {lost}"));
    let begun = Instant::now();
    let started = change_power(&drill.machines, &drill.plan.lost, PowerChange::Start).await;
    stopped.and(started)?;
    wait_until_whole(session, begun, stop, &mut measured).await?;
    if let Some(prober) = prober {
        tokio::time::sleep(LAST_REQUESTS).await;
        measured.requests = Some(prober.stop().await).filter(|all_stats| !all_stats.is_empty());
    }
    Ok(DrillReport {
        results: drill_results(&drill.plan, &measured),
        interrupted: stop.is_cancelled(),
    })
}

/// Refuses an inventory with a host that is not disposable. All hosts count, regardless of
/// `--limit`, because all of them form the swarm.
fn check_disposable(inventory: &Inventory) -> Result<(), DrillError> {
    match inventory.hosts().find(|(_, host)| !host.disposable) {
        None => Ok(()),
        Some((name, host)) => Err(DrillError::NotDisposable {
            host: name.clone(),
            file: host.place.source.path().display().to_string(),
        }),
    }
}

/// Refuses a cluster with problems, and chooses the machines to stop.
fn plan(
    request: &DrillRequest,
    seen: &ClusterStatus,
    inventory: Inventory,
    hosts: Vec<HostName>,
    machines: Machines,
) -> Result<PreparedDrill, DrillError> {
    let page = &seen.page;
    if !page.problems.is_empty() || !seen.listed {
        return Err(DrillError::NotWhole(page.problems.join("; ")));
    }
    let plan = plan_drill(request.scenario, &members(page, &inventory), &request.hosts)
        .map_err(DrillError::Unfit)?;
    machines.check(&inventory, &plan.lost, "stop")?;
    Ok(PreparedDrill {
        lost_ids: node_ids(page, &plan.lost),
        inventory,
        machines,
        plan,
        hosts,
    })
}

impl PreparedDrill {
    /// Returns the names of the machines to stop, for messages.
    fn lost(&self) -> String {
        let names: Vec<&str> = self.plan.lost.iter().map(HostName::as_str).collect();
        names.join(", ")
    }

    /// Returns the hosts that keep running.
    fn left(&self) -> Vec<HostName> {
        let is_left = |host: &&HostName| !self.plan.lost.contains(host);
        self.hosts.iter().filter(is_left).cloned().collect()
    }

    /// Starts the requests; `None` if no port is known.
    async fn start_requests(&self, port: Option<u16>, fleet: &Arc<Fleet>) -> Option<PortProber> {
        let port = match port {
            Some(port) => port,
            None => published_port(fleet, &self.left()).await?,
        };
        let addresses = addresses(&self.inventory, &self.hosts);
        Some(PortProber::start(&addresses, port).await)
    }

    fn watch<'a>(&'a self, fleet: &'a Arc<Fleet>, stop: &'a CancellationToken) -> SwarmWatch<'a> {
        let expects_recovery = self.plan.keeps_majority();
        SwarmWatch {
            fleet,
            hosts: self.left(),
            lost_ids: &self.lost_ids,
            expects_recovery,
            limit: if expects_recovery {
                WATCH
            } else {
                WATCH_WITHOUT_MAJORITY
            },
            stop,
        }
    }
}

/// Reads the cluster until it has no problem, the time limit has passed, or the operator interrupts
/// the drill. The inventory is loaded again, because a machine may have another address after its
/// start.
async fn wait_until_whole<S: DrillSession>(
    session: &S,
    begun: Instant,
    stop: &CancellationToken,
    measured: &mut DrillMeasurement,
) -> Result<(), S::Error> {
    let (inventory, hosts) = session.load()?;
    let forks = session.forks(&inventory);
    while begun.elapsed() < WHOLE && !stop.is_cancelled() {
        // A fleet keeps the failure of a connection: each reading needs a new one.
        let fleet = session.connect(&inventory)?;
        let seen = read_cluster(&fleet, &hosts, forks, true).await;
        fleet.close().await;
        measured.problems = problems(seen);
        if measured.problems.is_empty() {
            measured.whole = Some(begun.elapsed());
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

/// Returns the problems of the cluster, with the services that lack tasks.
fn problems(seen: ClusterStatus) -> Vec<String> {
    let mut problems = seen.page.problems;
    if !seen.listed {
        problems.push("no manager lists the nodes".into());
    }
    for service in &seen.page.services {
        if let Some((running, desired)) =
            service.tasks.filter(|(running, desired)| running < desired)
        {
            problems.push(format!("{} has {running} of {desired} tasks", service.name));
        }
    }
    problems
}

#[derive(Debug, Clone, Copy)]
enum PowerChange {
    Stop,
    Start,
}

/// Stops or starts all machines at once. Waits for all of them, and returns the first failure.
async fn change_power(
    machines: &Machines,
    hosts: &[HostName],
    change: PowerChange,
) -> Result<(), DrillError> {
    let done = fan_out(hosts.to_vec(), hosts.len(), |host| {
        let machines = machines.clone();
        async move {
            // Each call blocks until a program of this machine ends.
            tokio::task::block_in_place(|| match change {
                PowerChange::Stop => machines.stop(&host),
                PowerChange::Start => machines.start(&host, &|_| {}),
            })
        }
    })
    .await;
    for (host, done) in hosts.iter().zip(done) {
        match done {
            Ok(done) => done?,
            Err(panic) => {
                let message = format!("{}; {}", panic.why(host), panic.hint());
                return Err(DrillError::Internal(message));
            }
        }
    }
    Ok(())
}

/// Returns the nodes of the inventory's hosts.
fn members(page: &ClusterOverview, inventory: &Inventory) -> Vec<DrillNode> {
    let member = |row: &OverviewRow| {
        let host = row.host.clone()?;
        let groups = &inventory.host(&host)?.groups;
        Some(DrillNode {
            balances: groups.iter().any(|group| group == "load_balancers"),
            host,
            role: if row.role == NodeRole::Manager.word() {
                NodeRole::Manager
            } else {
                NodeRole::Worker
            },
            leader: row.leader,
        })
    };
    page.rows.iter().filter_map(member).collect()
}

/// Returns the node IDs of these hosts.
fn node_ids(page: &ClusterOverview, hosts: &[HostName]) -> Vec<String> {
    page.rows
        .iter()
        .filter(|row| row.host.as_ref().is_some_and(|host| hosts.contains(host)))
        .map(|row| row.node_id.clone())
        .collect()
}

/// Returns the addresses for the requests: those in the swarm's network, where clients reach the
/// services as well. A host whose address is a name is left out.
fn addresses(inventory: &Inventory, hosts: &[HostName]) -> Vec<(HostName, IpAddr)> {
    let roster = inventory.roster();
    let address = |host: &HostName| {
        let entry = roster.hosts.get(host)?;
        let address = entry
            .swarm_address
            .as_deref()
            .map_or(entry.address.as_str(), host_part);
        Some((host.clone(), address.parse().ok()?))
    };
    hosts.iter().filter_map(address).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::safety::samples::prepared;
    use crate::swarm::overview::ServiceOverview;

    fn inventory(top: &str) -> Arc<Inventory> {
        let hosts = "[hosts.m1]\naddress = '192.0.2.1'\ngroups = ['managers']\n\
             [hosts.w1]\naddress = '192.0.2.2'\ngroups = ['load_balancers']\nvars = { swarm_address = '10.0.0.2:2377' }\n\
             [hosts.w2]\naddress = 'w2.example'\n";
        let plays = "[[plays]]\nhosts = 'all'\nresources = [{ package = { name = 'curl' } }]\n";
        prepared(&format!("{top}{hosts}"), plays).inventory
    }

    fn host(name: &str) -> HostName {
        HostName::new(name)
    }

    fn row(name: &str, role: &str) -> OverviewRow {
        OverviewRow {
            host: Some(host(name)),
            node_id: format!("id-of-{name}"),
            role: role.into(),
            leader: role == "manager",
            ..OverviewRow::default()
        }
    }

    fn status() -> ClusterStatus {
        let unknown = OverviewRow {
            host: None,
            ..row("", "worker")
        };
        ClusterStatus {
            page: ClusterOverview {
                rows: vec![row("m1", "manager"), row("w1", "worker"), unknown],
                ..ClusterOverview::default()
            },
            unreachable: false,
            failed: false,
            listed: true,
        }
    }

    #[test]
    fn only_disposable_inventories() {
        assert!(check_disposable(&inventory("disposable = true\n")).is_ok());
        let error = check_disposable(&inventory("")).unwrap_err().to_string();
        assert!(
            error.starts_with("m1 is not disposable, so no drill is run: "),
            "{error}"
        );
    }

    #[test]
    fn nodes_of_the_inventory() {
        let page = status().page;
        let node = |name, role, leader, balances| DrillNode {
            host: host(name),
            role,
            leader,
            balances,
        };
        assert_eq!(
            members(&page, &inventory("")),
            [
                node("m1", NodeRole::Manager, true, false),
                node("w1", NodeRole::Worker, false, true),
            ]
        );
        assert_eq!(node_ids(&page, &[host("w1")]), ["id-of-w1"]);
    }

    #[test]
    fn addresses_of_the_swarm_come_first() {
        let hosts = ["m1", "w1", "w2", "w3"].map(host);
        assert_eq!(
            addresses(&inventory(""), &hosts),
            [
                (host("m1"), "192.0.2.1".parse().unwrap()),
                (host("w1"), "10.0.0.2".parse().unwrap()),
            ]
        );
    }

    #[test]
    fn refusals_before_a_machine_is_stopped() {
        let request = |scenario| DrillRequest {
            scenario,
            hosts: Vec::new(),
            port: None,
        };
        let refusal = |seen: &ClusterStatus, scenario| {
            let inventory = Arc::into_inner(inventory("disposable = true\n")).unwrap();
            plan(
                &request(scenario),
                seen,
                inventory,
                Vec::new(),
                Machines::default(),
            )
            .map(|drill| drill.plan)
            .unwrap_err()
            .to_string()
        };
        let (mut broken, mut unlisted) = (status(), status());
        broken.page.problems = vec!["w1 is down".into(), "w2 is down".into()];
        unlisted.listed = false;
        for (seen, scenario, expected) in [
            (
                &broken,
                Scenario::WorkerLoss,
                "the cluster is not whole before the drill: w1 is down; w2 is down; see `skep status`",
            ),
            (
                &unlisted,
                Scenario::WorkerLoss,
                "the cluster is not whole before the drill: ; see `skep status`",
            ),
            (
                &status(),
                Scenario::TwoWorkers,
                "the drill is about two workers, and the swarm has 1 of them",
            ),
        ] {
            assert_eq!(refusal(seen, scenario), expected);
        }
        // Neither the lab nor Vagrant manages the machine.
        let unmanaged = refusal(&status(), Scenario::WorkerLoss);
        assert!(
            unmanaged.starts_with("skep cannot stop w1 ("),
            "{unmanaged}"
        );
    }

    #[test]
    fn problems_with_missing_tasks() {
        let service = |name: &str, tasks| ServiceOverview {
            name: name.into(),
            image: "web:1".into(),
            mode: "replicated".into(),
            tasks,
        };
        let mut seen = status();
        assert!(problems(status()).is_empty());
        seen.page.problems = vec!["w1 is down".into()];
        seen.page.services = vec![
            service("whole", Some((2, 2))),
            service("short", Some((1, 2))),
            service("unknown", None),
        ];
        seen.listed = false;
        assert_eq!(
            problems(seen),
            [
                "w1 is down",
                "no manager lists the nodes",
                "short has 1 of 2 tasks"
            ]
        );
    }
}
