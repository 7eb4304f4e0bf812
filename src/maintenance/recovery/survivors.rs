//! Decides whether the majority of the managers is lost, and which of the others knows most. Pure.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde::Serialize;

use crate::model::RaftPosition;
use crate::names::HostName;
use crate::swarm::{DockerInfo, DockerStatus, HostAddresses, SwarmNode, Voters};

/// Answers of one host about the managers of its swarm.
#[derive(Debug, Clone)]
pub(super) struct ManagerReport {
    pub host: HostName,
    pub status: DockerStatus,
    /// The nodes as the host lists them; empty if it does not.
    pub nodes: Vec<SwarmNode>,
    pub position: Option<RaftPosition>,
}

impl ManagerReport {
    /// Returns the answer of the Engine if it is a manager.
    fn manager(&self) -> Option<&DockerInfo> {
        let info = self.status.info()?;
        (info.control_available && !info.node_id.is_empty()).then_some(info)
    }

    fn is_leader(&self) -> bool {
        let id = self.manager().map(|info| info.node_id.clone());
        Voters::count(&self.nodes).leader == id && id.is_some()
    }

    /// Returns the rank of the manager's knowledge: a leader knows every entry.
    fn rank(&self) -> (bool, Option<RaftPosition>) {
        (self.is_leader(), self.position)
    }
}

/// A manager that runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SurvivingManager {
    /// The host.
    pub host: HostName,
    /// ID of its node.
    pub node_id: String,
    /// Address that its node advertises.
    pub address: String,
    /// Its knowledge, in words.
    pub knowledge: String,
}

/// A manager that is lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LostManager {
    /// The host of the inventory, if the address belongs to one.
    pub host: Option<HostName>,
    /// Address as the surviving managers know it.
    pub address: String,
}

impl LostManager {
    /// Returns the name and the address.
    #[must_use]
    pub fn name(&self) -> String {
        match &self.host {
            Some(host) => format!("{host} ({})", self.address),
            None => self.address.clone(),
        }
    }
}

/// Plan of a recovery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveryPlan {
    /// Number of managers that the swarm had.
    pub total: usize,
    /// The manager with which the swarm starts anew.
    pub chosen: SurvivingManager,
    /// Managers that join it again by themselves.
    pub others: Vec<SurvivingManager>,
    /// Managers that are lost.
    pub lost: Vec<LostManager>,
    /// Consequences of the choice.
    pub notes: Vec<String>,
}

/// Returns the hosts whose word about the managers counts. A compromised worker may say that it is
/// a manager: if the inventory has managers, another host counts only if one of them knows it as a
/// manager, or the operator chose it.
pub(super) fn trusted(
    infos: Vec<(HostName, DockerStatus)>,
    group: &[&HostName],
    addresses: &HostAddresses,
    from: Option<&HostName>,
) -> Vec<(HostName, DockerStatus)> {
    if group.is_empty() {
        return infos;
    }
    let of_group = infos.iter().filter(|(host, _)| group.contains(&host));
    let answers = of_group.filter_map(|(_, status)| status.info());
    let listed = answers.flat_map(|info| &info.remote_managers);
    let known: Vec<HostName> = listed
        .filter_map(|manager| owner(addresses, &manager.addr))
        .collect();
    let counts =
        |host: &HostName| group.contains(&host) || known.contains(host) || from == Some(host);
    infos.into_iter().filter(|(host, _)| counts(host)).collect()
}

/// Makes the plan from the answers of all hosts that may be managers. `from` is the manager that
/// the operator chose; `given_up` are hosts whose machines answer, and whose managers the operator
/// counts as lost.
///
/// # Errors
/// A sentence with the next step, if the majority is not lost or that is not certain.
pub(super) fn plan(
    reports: &[ManagerReport],
    addresses: &HostAddresses,
    from: Option<&HostName>,
    given_up: &[HostName],
) -> Result<RecoveryPlan, String> {
    for report in reports {
        let voters = Voters::count(&report.nodes);
        if voters.leader.is_some() && voters.has_majority() {
            return Err(format!(
                "the swarm has a leader and {} of {} managers, so there is nothing to recover; `skep status` shows its nodes",
                voters.reachable, voters.total
            ));
        }
    }
    let alive: Vec<(&ManagerReport, &DockerInfo)> = reports
        .iter()
        .filter_map(|report| Some((report, report.manager()?)))
        .collect();
    if alive.is_empty() {
        return Err(no_manager(reports));
    }
    let known = known_managers(&alive)?;
    let total = known.len();
    if alive.len() > total / 2 {
        return Err(format!(
            "{} of {total} managers run, which is a majority: they elect a leader by themselves within seconds; if they do not, \
             look for a broken network between them (port 2377)",
            alive.len()
        ));
    }
    let mut lost = Vec::new();
    for (id, address) in &known {
        if alive.iter().any(|(_, info)| info.node_id == *id) {
            continue;
        }
        let manager = LostManager {
            host: owner(addresses, address),
            address: address.clone(),
        };
        check_lost(&manager, reports, given_up)?;
        lost.push(manager);
    }
    let best = alive.iter().max_by_key(|(report, _)| report.rank());
    let chosen = match from {
        None => best,
        Some(host) => alive.iter().find(|(report, _)| report.host == *host),
    };
    let (Some(&chosen), Some(&best)) = (chosen, best) else {
        let names: Vec<&str> = alive
            .iter()
            .map(|(report, _)| report.host.as_str())
            .collect();
        return Err(format!(
            "the host of --from is no manager that runs; choose one of {}",
            names.join(", ")
        ));
    };
    let mut notes = vec![format!(
        "changes that only {} knew are lost: the last ones before the loss, if they had not reached {}",
        names(&lost),
        chosen.0.host
    )];
    if chosen.0.rank() < best.0.rank() {
        notes.push(format!(
            "{} knows more ({}) than {} ({}): changes after that entry are lost",
            best.0.host,
            knowledge(best.0),
            chosen.0.host,
            knowledge(chosen.0)
        ));
    }
    let survivor = |(report, info): (&ManagerReport, &DockerInfo)| SurvivingManager {
        host: report.host.clone(),
        node_id: info.node_id.clone(),
        address: info.node_address.clone(),
        knowledge: knowledge(report),
    };
    let others = alive
        .iter()
        .filter(|(report, _)| report.host != chosen.0.host);
    Ok(RecoveryPlan {
        total,
        others: others.copied().map(survivor).collect(),
        chosen: survivor(chosen),
        lost,
        notes,
    })
}

/// Returns the managers that the living ones know, by node ID, with their addresses.
fn known_managers(
    alive: &[(&ManagerReport, &DockerInfo)],
) -> Result<BTreeMap<String, String>, String> {
    let mut known = BTreeMap::new();
    for (report, info) in alive {
        for manager in &info.remote_managers {
            known.insert(manager.node_id.clone(), manager.addr.clone());
        }
        if !info
            .remote_managers
            .iter()
            .any(|one| one.node_id == info.node_id)
        {
            return Err(format!(
                "{} does not list itself as a manager; run the command again in a minute",
                report.host
            ));
        }
    }
    let (first, rest) = match alive.split_first() {
        Some(((first, info), rest)) => ((&first.host, &info.node_id), rest),
        None => return Ok(known),
    };
    let stranger = rest.iter().find(|(_, info)| {
        let mut managers = info.remote_managers.iter();
        !managers.any(|one| one.node_id == *first.1)
    });
    match stranger {
        None => Ok(known),
        Some((report, _)) => Err(format!(
            "{} and {} are managers of different swarms; choose the hosts of one of them with --limit",
            first.0, report.host
        )),
    }
}

fn owner(addresses: &HostAddresses, address: &str) -> Option<HostName> {
    let address: SocketAddr = address.parse().ok()?;
    addresses.owners(&[address.ip()]).next().cloned()
}

/// Checks that a manager is really lost: its machine must not answer, or its Engine must have
/// forgotten the swarm.
fn check_lost(
    manager: &LostManager,
    reports: &[ManagerReport],
    given_up: &[HostName],
) -> Result<(), String> {
    let Some(host) = &manager.host else {
        return Ok(());
    };
    let Some(report) = reports.iter().find(|report| report.host == *host) else {
        return Ok(());
    };
    if given_up.contains(host) {
        return Ok(());
    }
    let next = |state: &str, step: &str| {
        Err(format!(
            "{host} is a manager too, and {state}: {step}, and the swarm may be whole again; if that is not possible, count it as lost with \
             --lost {host}"
        ))
    };
    match &report.status {
        DockerStatus::Unreachable(_) => Ok(()),
        DockerStatus::Answered(info) if info.state == "locked" => next(
            "is locked",
            "give it the unlock key with `docker swarm unlock`",
        ),
        DockerStatus::Answered(_) => Ok(()),
        DockerStatus::Down(_) => next(
            "its Docker Engine is stopped",
            "start it with `systemctl start docker`",
        ),
        DockerStatus::Absent => Ok(()),
        DockerStatus::Failed(why) => Err(format!("{host} could not be read: {why}")),
    }
}

fn knowledge(report: &ManagerReport) -> String {
    match (report.is_leader(), report.position) {
        (true, _) => "it was the leader".into(),
        (false, Some(position)) => {
            format!("log entry {} of term {}", position.index, position.term)
        }
        (false, None) => "its log entry is not known".into(),
    }
}

fn names(lost: &[LostManager]) -> String {
    let names: Vec<String> = lost.iter().map(LostManager::name).collect();
    names.join(", ")
}

fn no_manager(reports: &[ManagerReport]) -> String {
    let locked = reports.iter().find(|report| {
        let info = report.status.info();
        info.is_some_and(|info| info.state == "locked")
    });
    if let Some(report) = locked {
        return format!(
            "{} is a manager that is locked; give it the unlock key with `docker swarm unlock`, then run the command again",
            report.host
        );
    }
    let reasons: Vec<String> = reports
        .iter()
        .filter_map(|report| Some(format!("{}: {}", report.host, report.status.unknown()?)))
        .collect();
    if reasons.is_empty() {
        return "no host of the inventory is a manager of a swarm; `skep apply` makes a new swarm, a backup brings the old one back".into();
    }
    format!(
        "no manager runs: {}; start one of them, or restore a backup",
        reasons.join("; ")
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::{Value, json};

    use super::*;
    use crate::inventory::{Roster, RosterEntry};

    const ALL: [&str; 3] = ["a", "b", "c"];

    fn address(name: &str) -> String {
        let number = ALL.iter().position(|one| *one == name).unwrap_or(7);
        format!("192.0.2.{}", number + 1)
    }

    fn addresses() -> HostAddresses {
        let mut roster = Roster::default();
        for name in ALL {
            let host = RosterEntry {
                address: address(name),
                ..RosterEntry::default()
            };
            roster.hosts.insert(HostName::new(name), host);
        }
        HostAddresses::of(&roster)
    }

    fn info(name: &str, managers: &[&str]) -> Value {
        let remote: Vec<Value> = managers
            .iter()
            .map(|name| json!({"NodeID": format!("id-{name}"), "Addr": format!("{}:2377", address(name))}))
            .collect();
        json!({"Swarm": {
            "NodeID": format!("id-{name}"), "NodeAddr": address(name), "LocalNodeState": "active",
            "ControlAvailable": true, "RemoteManagers": remote,
        }})
    }

    fn manager(name: &str, index: u64) -> ManagerReport {
        ManagerReport {
            host: HostName::new(name),
            status: DockerStatus::Answered(DockerInfo::read(&info(name, &ALL))),
            nodes: Vec::new(),
            position: Some(RaftPosition { term: 2, index }),
        }
    }

    fn other(name: &str, status: DockerStatus) -> ManagerReport {
        ManagerReport {
            host: HostName::new(name),
            status,
            nodes: Vec::new(),
            position: None,
        }
    }

    fn gone(name: &str) -> ManagerReport {
        other(name, DockerStatus::Unreachable("timeout".into()))
    }

    fn nodes(reachable: &[&str]) -> Vec<SwarmNode> {
        let node = |name: &&str| {
            let reachability = if reachable.contains(name) {
                "reachable"
            } else {
                "unreachable"
            };
            json!({
                "ID": format!("id-{name}"), "Version": {"Index": 1},
                "Spec": {"Role": "manager", "Availability": "active", "Labels": {}},
                "Description": {"Hostname": name}, "Status": {"State": "ready", "Addr": address(name)},
                "ManagerStatus": {"Leader": *name == "a", "Reachability": reachability, "Addr": format!("{}:2377", address(name))},
            })
        };
        SwarmNode::list(&Value::Array(ALL.iter().map(node).collect())).unwrap()
    }

    fn refused(reports: &[ManagerReport]) -> String {
        plan(reports, &addresses(), None, &[]).unwrap_err()
    }

    #[test]
    fn the_only_survivor_of_three_is_chosen() {
        let reports = [gone("a"), manager("b", 31), gone("c")];
        let plan = plan(&reports, &addresses(), None, &[]).unwrap();
        assert_eq!((plan.total, plan.chosen.host.as_str()), (3, "b"));
        assert_eq!(plan.chosen.address, "192.0.2.2");
        assert_eq!(plan.chosen.knowledge, "log entry 31 of term 2");
        assert_eq!(names(&plan.lost), "a (192.0.2.1:2377), c (192.0.2.3:2377)");
        assert_eq!(plan.notes.len(), 1);
    }

    #[test]
    fn the_survivor_that_knows_most_is_chosen_and_another_choice_is_noted() {
        let five = ["a", "b", "c", "d", "e"];
        let survivor = |name: &str, index| ManagerReport {
            status: DockerStatus::Answered(DockerInfo::read(&info(name, &five))),
            ..manager(name, index)
        };
        let reports = [survivor("a", 29), survivor("b", 31), gone("c")];
        let chosen = |from: Option<&str>| {
            let from = from.map(HostName::new);
            plan(&reports, &addresses(), from.as_ref(), &[])
        };
        let made = chosen(None).unwrap();
        assert_eq!(
            (
                made.chosen.host.as_str(),
                made.others.len(),
                made.notes.len()
            ),
            ("b", 1, 1)
        );
        let made = chosen(Some("a")).unwrap();
        assert!(
            made.notes[1].contains("b knows more (log entry 31 of term 2) than a"),
            "{:?}",
            made.notes
        );
        assert!(
            chosen(Some("c"))
                .unwrap_err()
                .contains("choose one of a, b")
        );
        // The last leader knows every entry, whatever its last line about votes says.
        let mut leader = reports;
        leader[0].nodes = nodes(&["a"]);
        let made = plan(&leader, &addresses(), None, &[]).unwrap();
        assert_eq!(made.chosen.host.as_str(), "a");
    }

    #[test]
    fn a_majority_that_is_not_lost_is_left_alone() {
        let mut healthy = manager("a", 1);
        healthy.nodes = nodes(&["a", "b"]);
        assert!(refused(&[healthy, gone("b"), gone("c")]).contains("there is nothing to recover"));
        let two = refused(&[manager("a", 1), manager("b", 1), gone("c")]);
        assert!(
            two.contains("2 of 3 managers run, which is a majority"),
            "{two}"
        );
        let mut stale = manager("a", 1);
        stale.nodes = nodes(&["a"]);
        assert!(plan(&[stale, gone("b"), gone("c")], &addresses(), None, &[]).is_ok());
    }

    #[test]
    fn a_manager_whose_machine_answers_is_started_first() {
        let down = || other("c", DockerStatus::Down("stopped".into()));
        let error = refused(&[manager("a", 1), gone("b"), down()]);
        assert!(
            error.contains("systemctl start docker") && error.contains("--lost c"),
            "{error}"
        );
        let given_up = [HostName::new("c")];
        let reports = [manager("a", 1), gone("b"), down()];
        assert!(plan(&reports, &addresses(), None, &given_up).is_ok());
        let mut locked = info("c", &[]);
        locked["Swarm"]["LocalNodeState"] = "locked".into();
        locked["Swarm"]["ControlAvailable"] = false.into();
        let locked = || other("c", DockerStatus::Answered(DockerInfo::read(&locked)));
        assert!(refused(&[manager("a", 1), gone("b"), locked()]).contains("docker swarm unlock"));
        assert!(refused(&[gone("a"), gone("b"), locked()]).contains("docker swarm unlock"));
        assert!(refused(&[gone("a"), gone("b"), gone("c")]).contains("no manager runs: a: "));
        // An Engine without a swarm has nothing that could come back.
        let empty = || other("c", DockerStatus::Answered(DockerInfo::default()));
        assert!(
            plan(
                &[manager("a", 1), gone("b"), empty()],
                &addresses(),
                None,
                &[]
            )
            .is_ok()
        );
    }

    #[test]
    fn a_worker_that_claims_to_be_a_manager_does_not_count() {
        let (b, c) = (HostName::new("b"), HostName::new("c"));
        let claim = |name: &str, managers: &[&str]| {
            let status = DockerStatus::Answered(DockerInfo::read(&info(name, managers)));
            (HostName::new(name), status)
        };
        let counted = |group: &[&HostName], from: Option<&HostName>, managers: &[&str]| {
            let infos = vec![claim("a", &ALL), claim("b", managers)];
            let trusted = trusted(infos, group, &addresses(), from);
            trusted
                .into_iter()
                .map(|(host, _)| host.to_string())
                .collect::<Vec<_>>()
                .join(" ")
        };
        assert_eq!(counted(&[&b], None, &["b"]), "b");
        // Somebody has promoted it, and a manager of the group says so.
        assert_eq!(counted(&[&b], None, &["a", "b"]), "a b");
        assert_eq!(counted(&[&c], Some(&b), &["b"]), "b");
        assert_eq!(counted(&[], None, &["b"]), "a b");
    }

    #[test]
    fn managers_of_different_swarms_are_not_mixed() {
        let stranger = ManagerReport {
            status: DockerStatus::Answered(DockerInfo::read(&info("b", &["b"]))),
            ..manager("b", 1)
        };
        assert!(refused(&[manager("a", 1), stranger, gone("c")]).contains("different swarms"));
    }
}
